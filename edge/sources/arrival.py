"""A frame that has lain in a queue in front of us came at the earliest when that queue was last seen empty."""

from __future__ import annotations

import time
from collections import deque
from statistics import median_low
from typing import TypeAlias

Moment: TypeAlias = tuple[int, int, int]
"""UTC, monotonic time, and time since the machine was started, in ns; the last goes on while the machine is suspended."""
_AWAKE_NS = 1_000_000
"""Tolerance in ns, because the two clocks are read one after the other."""


def _now() -> Moment:
    return time.time_ns(), time.monotonic_ns(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ForeignQueue:
    """A camera library, a driver or a kernel has a queue whose entries don't say when they came. One thread uses this."""

    def __init__(self) -> None:
        self._empty = _now()

    def looking(self) -> Moment:
        """Return the moment before a look into the queue, for ``seen_empty``."""
        return _now()

    def seen_empty(self, moment: Moment) -> None:
        """Note that nothing waited at that moment."""
        self._empty = moment

    def earliest(self) -> tuple[int, int]:
        """Return UTC and monotonic ns before which what is taken out now can't have come."""
        utc, mono, boot = self._empty
        _, mono_now, boot_now = _now()
        asleep = (boot_now - boot) - (mono_now - mono)
        return utc, mono - (asleep if asleep > _AWAKE_NS else 0)


class BlockingCall(ForeignQueue):
    """A blocking call waits for the next entry of a queue that nobody can look into.

    A call that takes less than half of what those take that had to wait found an entry there: it may be as old as the last
    moment at which one had to wait. Where decoding alone takes longer than that, nothing can be said.
    """

    _SURE = 8
    """Number of calls until it is known what is usual; till then each is taken for one that waited."""

    def __init__(self) -> None:
        super().__init__()
        self._waits_ns: deque[int] = deque(maxlen=31)

    def came(self, began: Moment) -> tuple[int, int]:
        """Return UTC and monotonic ns before which what the call gave can't have come. ``began`` is ``looking`` before the
        call.
        """
        now = _now()
        took_ns = now[2] - began[2]
        if len(self._waits_ns) >= self._SURE and 2 * took_ns < median_low(self._waits_ns):
            return self.earliest()
        self._waits_ns.append(took_ns)
        self.seen_empty(now)
        return now[0], now[1]
