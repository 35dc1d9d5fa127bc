"""A free-running camera that says nothing for too long, by the interval of its own frames, is news."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median_low
from typing import Any, Final

_TIMES: Final = 3
_KEPT: Final = 5


class Pace:
    """The pace is the usual interval between frames. One thread uses it."""

    def __init__(self) -> None:
        self._expected_s = 0.0
        self._last_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=_KEPT)

    def start(self, expected_s: float) -> None:
        """Begin a stream of a camera that means to send a frame every so many seconds (0: not known)."""
        self._expected_s = expected_s
        self._last_s = None
        self._intervals_s.clear()

    def heard(self, now_s: float) -> None:
        """Note that a frame came."""
        if self._last_s is not None:
            self._intervals_s.append(now_s - self._last_s)
        self._last_s = now_s

    def limit_s(self, least_s: float) -> float:
        """Return three times the usual interval, seen or expected, and at least ``least_s``. One long pause makes no
        habit.
        """
        seen = median_low(self._intervals_s) if len(self._intervals_s) > 1 else 0.0
        return max(least_s, _TIMES * max(seen, self._expected_s))


def expected_interval_s(value_of: Callable[[str], Any]) -> float:
    """Return the interval by the features that ``value_of`` reads (None: absent): exposure, or period of a frame rate in
    force.
    """
    exposure_us, rate, in_force = map(value_of, ("ExposureTime", "AcquisitionFrameRate", "AcquisitionFrameRateEnable"))
    exposure_s = exposure_us / 1e6 if isinstance(exposure_us, (int, float)) else 0.0
    period_s = 1.0 / rate if isinstance(rate, (int, float)) and rate > 0 and in_force is not False else 0.0
    return max(exposure_s, period_s)
