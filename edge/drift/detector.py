"""Measured frames against the reference: which statistics left their usual range, how far, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.drift.reference import Reference

_LOOKS: Final = 5
"""Looks at the newest frames in the time of one block."""
_NEWEST: Final = 0.6
"""Share of a block's frames that a look takes."""
_LEAST_NEWEST: Final = 24
"""Blocks so short that a look would take fewer have none: they are quick themselves, and so few may be bad by chance."""
LARGE: Final = 1.5
"""Limits that three in four of the newest frames lie beyond, at two looks in a row, where a change is too large to wait
for. With variation of a time constant of 500 frames on all statistics no block of 220 runs lay so far; with 30 % bad parts
one look in ten million would have so many."""
_OF_FOUR: Final = 0.25


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block, or a look at the newest frames of one that is begun.

    ``middle``: medians of its frames, ``newest`` of the last three in five, (19,). ``z``: in widened deviations of the
    reference's blocks. ``lasting``: blocks in a row, this one included, that a statistic is beyond the limit to the same
    side, (19,). ``begun_ns``: of its first frame. ``large``: three in four of the newest frames lie beyond ``LARGE``
    limits, and did at the look before. ``whole``: False for a look.
    """

    middle: NDArray[np.float64]
    newest: NDArray[np.float64]
    z: NDArray[np.float64]
    lasting: NDArray[np.intp]
    begun_ns: int
    large: bool = False
    whole: bool = True

    @property
    def worst(self) -> int:
        """Number of the statistic that deviates most."""
        return int(np.argmax(np.abs(self.z)))

    def warns(self, persist: int) -> bool:
        """Whether it is a matter for a warning, of which small deviations are after ``persist`` blocks in a row."""
        return self.large or int(self.lasting.max()) >= persist


class Detector:
    """Collects the statistics of measured frames, compares each whole block, and looks at the newest frames five times as
    often, for a change that is too large to wait for. Used by one thread.
    """

    def __init__(self, reference: Reference, *, limit: float = 5.0) -> None:
        """``limit``: in widened deviations of the reference's blocks."""
        self._reference = reference
        self._limit = limit
        block, count = reference.block, len(reference.center)
        self._values = np.empty((block, count))
        self._stamps = [0] * block
        self._count = 0
        self._newest = math.ceil(_NEWEST * block)
        self._hop = max(1, block // _LOOKS) if self._newest >= _LEAST_NEWEST else block
        self._side = np.zeros(count, np.int8)
        self._lasting = np.zeros(count, np.intp)
        self._large_side = np.zeros(count, np.int8)

    def add(self, values: NDArray[np.float64], now_ns: int) -> Block | None:
        """Take the statistics of one frame; returns the block that it completes, or a look if what it shows is large.

        Blocks are counted in frames: a clock that is set changes no more than the stamps.
        """
        size = len(self._values)
        place = self._count % size
        self._values[place], self._stamps[place] = values, now_ns
        self._count += 1
        whole = place == size - 1
        if not whole and (self._count % self._hop or self._count < self._newest):
            return None
        rows = np.arange(self._count - self._newest, self._count) % size
        newest, large = self._look(self._values[rows])
        near = self._reference.block_z(newest)
        if not whole:
            begun_ns = min(self._stamps[rows[0]], now_ns)
            return Block(newest, newest, near, self._lasting, begun_ns, large=True, whole=False) if large else None
        middle = np.median(self._values, axis=0)
        z = self._reference.block_z(middle)
        side = self._sides(z, self._limit)
        self._lasting = np.where(side == 0, 0, np.where(side == self._side, self._lasting + 1, 1))
        self._side = side
        begun_ns = min(self._stamps[0], now_ns)
        if large and not side.any():  # what began near its end
            return Block(newest, newest, near, self._lasting, begun_ns, large=True)
        return Block(middle, newest, z, self._lasting, begun_ns, large=large)

    def _look(self, newest: NDArray[np.float64]) -> tuple[NDArray[np.float64], bool]:
        """The medians of the newest frames, and whether they and those of the look before are too far off to wait."""
        low, middle, high = np.quantile(newest, (_OF_FOUR, 0.5, 1 - _OF_FOUR), axis=0)
        far = LARGE * self._limit
        sides = (self._reference.block_z(low) > far).astype(np.int8) - (self._reference.block_z(high) < -far)
        large = len(newest) >= _LEAST_NEWEST and bool(((sides != 0) & (sides == self._large_side)).any())
        self._large_side = sides
        return np.asarray(middle), large

    def _sides(self, z: NDArray[np.float64], limit: float) -> NDArray[np.int8]:
        """-1, 0 or 1 for each statistic: to which side it lies beyond the limit."""
        return np.asarray(np.sign(z) * (np.abs(z) > limit), np.int8)
