"""Buffers for copies of frames are made once and used again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame
from edge.storage.pictures import Pixels


@dataclass(slots=True)
class KeptFrame:
    """A frame was copied; ``ticket`` gives its buffer back. ``why`` is None while it waits for a fail."""

    ticket: int
    frame: Frame
    why: str | None


class Pool:
    """A pool has ``count`` buffers that grow to the frames' size. One thread copies, another one gives back."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free: deque[NDArray[np.uint8]] = deque(np.empty(0, np.uint8) for _ in range(count))
        self._tickets = 0
        self._lent: dict[int, NDArray[np.uint8]] = {}

    def copy(self, pixels: Pixels, *, leave: int = 0) -> tuple[int, Pixels] | None:
        """Return a copy of ``pixels`` and the ticket to give it back with; None if no more than ``leave`` buffers are
        free.
        """
        if len(self._free) <= leave:
            return None
        buffer = self._free.popleft()
        if buffer.nbytes < pixels.nbytes:
            buffer = np.empty(pixels.nbytes, np.uint8)
        copy: Any = buffer[: pixels.nbytes].view(pixels.dtype).reshape(pixels.shape)
        np.copyto(copy, pixels)
        self._tickets += 1
        self._lent[self._tickets] = buffer
        return self._tickets, copy

    def give_back(self, ticket: int) -> None:
        """Give back a copy that isn't used any more. A ticket may be given back twice."""
        buffer = self._lent.pop(ticket, None)
        if buffer is not None:
            self._free.append(buffer)
