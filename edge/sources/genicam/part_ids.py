"""Frames that never came get part ids if the camera's frame ids and its part counter go in step."""

from __future__ import annotations

from typing import Final

_SURE: Final = 3
"""Number of readings in a row, each one part after the one before, after which a frame without a reading gets a part id."""

Range = tuple[int | None, int | None]
"""Part ids of the first and the last of some frames; None if they aren't known."""


class PartIds:
    """Part ids of one stream are followed by frame id; not thread-safe.

    A part id that isn't sure is None: a wrong one would name another part. Of an encoder, whose values step by
    whatever a part is long, only those read are reported.
    """

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin a stream: what was before says nothing about it."""
        self._last: tuple[int, int] | None = None
        self._steps = 0

    def of_lost(self, first: int, last: int, frame_id: int, part_id: int | None) -> Range:
        """Return the part ids of the frames ``first`` to ``last``, all lost before ``frame_id``, whose own is
        ``part_id``.
        """
        if part_id is None:
            return self._ahead(first), self._ahead(last)
        if self._last is None or not self._in_step(frame_id, part_id) or self._last[0] >= first:
            return None, None
        return part_id + first - frame_id, part_id + last - frame_id

    def of(self, frame_id: int, part_id: int | None) -> int | None:
        """Return the part id of a frame that came: as read, or if it came without one, as the frames before it suggest."""
        if part_id is None:
            return self._ahead(frame_id)
        self._steps = self._steps + 1 if self._in_step(frame_id, part_id) else 0
        self._last = frame_id, part_id
        return part_id

    def _in_step(self, frame_id: int, part_id: int) -> bool:
        return self._last is not None and part_id - self._last[1] == frame_id - self._last[0]

    def _ahead(self, frame_id: int) -> int | None:
        if self._last is None or self._steps < _SURE or frame_id <= self._last[0]:
            return None
        return self._last[1] + frame_id - self._last[0]
