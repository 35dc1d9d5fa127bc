"""Blocks of measured frames against the reference: which statistics left their usual range, and for how many blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.drift.reference import Reference


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block. ``middle``: medians of its frames, (19,). ``z``: in widened deviations of the reference's blocks.
    ``lasting``: blocks in a row, this one included, that a statistic is beyond the limit to the same side, (19,).
    ``begun_ns``: of its first frame.
    """

    middle: NDArray[np.float64]
    z: NDArray[np.float64]
    lasting: NDArray[np.intp]
    begun_ns: int

    @property
    def worst(self) -> int:
        """Number of the statistic that deviates most."""
        return int(np.argmax(np.abs(self.z)))


class Detector:
    """Collects the statistics of measured frames and compares each whole block. Used by one thread."""

    def __init__(self, reference: Reference, *, limit: float = 5.0) -> None:
        """``limit``: in widened deviations of the reference's blocks."""
        self._reference = reference
        self._limit = limit
        self._values = np.empty((reference.block, len(reference.center)))
        self._count = 0
        self._begun_ns = 0
        self._side = np.zeros(len(reference.center), np.int8)
        self._lasting = np.zeros(len(reference.center), np.intp)

    def add(self, values: NDArray[np.float64], now_ns: int) -> Block | None:
        """Take the statistics of one frame; returns the block that it completes.

        Blocks are counted in frames: a clock that is set changes no more than the stamps.
        """
        if self._count == 0:
            self._begun_ns = now_ns
        self._values[self._count] = values
        self._count += 1
        if self._count < len(self._values):
            return None
        self._count = 0
        middle = np.median(self._values, axis=0)
        z = self._reference.block_z(middle)
        side = (np.sign(z) * (np.abs(z) > self._limit)).astype(np.int8)
        self._lasting = np.where(side == 0, 0, np.where(side == self._side, self._lasting + 1, 1))
        self._side = side
        return Block(middle, z, self._lasting, min(self._begun_ns, now_ns))
