"""Devices that have lost their camera send the last picture again, or a blank one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_GRID: Final = 8
"""Pictures are compared on each eighth pixel of each eighth row first: 0.1 ms at 1920x1080."""


class Doubts:
    """Doubts catch pictures that are none of this moment. One thread uses it."""

    def __init__(self, max_repeats: int | None, blank_level: int | None) -> None:
        self._max_repeats = max_repeats
        self._blank_level = blank_level
        self._last: NDArray[Any] | None = None
        self._grid: NDArray[Any] | None = None
        self._repeats = 0

    def about(self, picture: NDArray[Any]) -> str | None:
        """Return None for a picture to believe. The one before must be unchanged in memory, or be this very array."""
        if self._max_repeats is not None:
            self._repeats = self._repeats + 1 if self._same(picture) else 0
            if self._repeats > self._max_repeats:
                return "the device repeats its last picture"
        if self._blank_level is not None and self._is_blank(picture, self._blank_level):
            return "the device sends blank pictures"
        return None

    def _same(self, picture: NDArray[Any]) -> bool:
        last, before = self._last, self._grid
        grid = self._grid = picture[::_GRID, ::_GRID].copy()
        self._last = picture
        if before is None or not np.array_equal(before, grid):
            return False
        return last is picture or np.array_equal(last, picture)  # type: ignore[arg-type]

    def _is_blank(self, picture: NDArray[Any], level: int) -> bool:
        return all(
            (pixels.max(axis=(0, 1)) - pixels.min(axis=(0, 1)) <= level).all()
            for pixels in (picture[::_GRID, ::_GRID], picture)
        )
