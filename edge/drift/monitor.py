"""The monitor of a line's drift: statistics of measured frames in, the drift in force out (pure)."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from edge.drift.detector import Block, Detector
from edge.drift.ladder import Ladder, PlaceLimits, locks_of
from edge.drift.named import BREACHES, Breach, Drift, Named
from edge.drift.reference import Reference
from edge.drift.signatures import Library
from edge.drift.statistics import NAMES


class DriftMonitor:
    """Says of each measured frame which drift is in force. Used by one thread.

    A warning comes after ``persist`` blocks in a row with a statistic beyond ``limit`` to the same side, or within a block
    where three in four of the newest frames lie beyond 1.5 limits, and goes after ``persist`` blocks without any; between
    is ``info``, with the block's own cause. A breach shows within half a block and ends within half a block, and locks if
    ``lock`` names it.
    """

    def __init__(
        self,
        reference: Reference,
        library: Library,
        places: PlaceLimits,
        *,
        every: int = 5,
        persist: int = 3,
        limit: float = 5.0,
        lock: Collection[Breach] = BREACHES,
    ) -> None:
        """``every``: frames from one that is measured to the next. ``limit``: in widened deviations of blocks."""
        self._reference, self._library = reference, library
        self._every, self._persist, self._limit = every, persist, limit
        self._lock = frozenset(lock)
        self._detector = Detector(reference, limit=limit)
        self._ladder = Ladder(reference, places, frames=max(1, reference.block // 2))
        self._frames = 0
        self._quiet = 0
        self._since_ns: int | None = None
        self._breached_ns: int | None = None
        self._warned = False
        self._lasted = False
        """The newest whole block was part of the drift in force."""
        self._block: Block | None = None
        self._whole: Block | None = None
        self._causes: tuple[Named, ...] = ()

    def wants(self) -> bool:
        """Whether this frame is to be measured; asked once of every frame, in order."""
        self._frames += 1
        return (self._frames - 1) % self._every == 0

    @property
    def warned(self) -> bool:
        """Whether a warning is in force."""
        return self._warned

    @property
    def block(self) -> Block | None:
        """The newest block or look that something was read off, None before the first."""
        return self._block

    @property
    def whole(self) -> Block | None:
        """The newest whole block, usual or not; None before the first."""
        return self._whole

    def band(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The lowest and the highest median of a block, (19,) each, that isn't beyond the limit."""
        return self._reference.block_band(self._limit)

    def see(self, values: NDArray[np.float64], now_ns: int) -> Drift | None:
        """The drift in force after this frame's statistics, (19,); None while the line is as it was. ``now_ns``: UTC."""
        breaches = self._ladder.add(values)
        if breaches and self._breached_ns is None:
            self._breached_ns = now_ns
        elif not breaches:
            self._breached_ns = None
        block = self._detector.add(values, now_ns)
        if block is not None:
            self._whole = block if block.whole else self._whole
            self._take(block)
        since = [stamp for stamp in (self._since_ns, self._breached_ns) if stamp is not None]
        if not since:
            return None
        locks = locks_of(breaches, self._lock)
        z, statistic = (0.0, "") if self._block is None else (float(self._block.z[self._block.worst]), self._block.worst)
        return Drift(
            causes=self._causes,
            since_ns=min(*since, now_ns),
            z=z,
            statistic=NAMES[statistic] if isinstance(statistic, int) else statistic,
            level="lock" if locks else "warn" if self._warned or breaches else "info",
            breaches=breaches,
            locks=locks,
        )

    def _take(self, block: Block) -> None:
        if not block.whole and self._warned:
            return  # it is known, and named anew at the end of the block
        self._block = block
        if not block.large and not block.lasting.any():
            self._quiet += 1
            if self._quiet >= self._persist or not self._warned:
                self._since_ns, self._warned, self._causes = None, False, ()
            self._lasted = False
            return
        self._quiet = 0
        if self._since_ns is None:
            self._since_ns = block.begun_ns
        self._warned = self._warned or block.warns(self._persist)
        # the first block of a drift may have begun before it: its newest frames show it alone
        middle = block.middle if self._lasted else block.newest
        self._lasted = block.whole
        self._causes = self._library.name(self._reference.frame_z(middle))
