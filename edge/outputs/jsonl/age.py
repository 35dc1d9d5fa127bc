"""Which closed files are too old, by a clock that may lie: a box without a battery for it, a BIOS that forgot, a wrong NTP.

Nothing is deleted on the word of a moment. Days must go by on the monotonic clock, too, before days of the log may go.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from pathlib import Path

import structlog

log = structlog.get_logger()

FIRST_S = 3600.0
"""Time in s that the process must have run before anything is deleted by age: after a power cut the clock may be set only
then."""
RATE = 2.0
"""Days of the log that may be deleted for each day that the process has run: a line that was off for a month catches up in
another one, and a clock that is years ahead costs little before somebody sees it."""
STEP_S = 60.0
"""Difference in s by which the clocks drift apart between two looks if one of them was set."""
PAUSE_S = 86400.0
"""Time in s after such a step in which nothing is deleted by age."""
DAY_S = 86400.0
_START = re.compile(r"-(\d{8}T\d{6}Z)-\d{6,}\.jsonl")


class TooOld:
    """One thread asks this again and again. ``wall`` and ``mono`` are the two clocks, in s."""

    def __init__(
        self, keep_days: int | None, wall: Callable[[], float] = time.time, mono: Callable[[], float] = time.monotonic
    ) -> None:
        self._keep_days = keep_days
        self._wall, self._mono = wall, mono
        self._began = mono()
        self._apart = wall() - mono()
        self._stepped_at = float("-inf")
        self._oldest: float | None = None

    def of(self, files: Iterable[tuple[Path, float]]) -> set[Path]:
        """Return those of ``files``, each with the time of its last record (mtime), that may be deleted now."""
        if self._keep_days is None:
            return set()
        now = self._mono()
        self._look_for_a_step(now)
        times = {path: last_moment(path, mtime) for path, mtime in files}
        if not times:
            return set()
        if self._oldest is None:
            self._oldest = min(times.values())
        if now - self._began < FIRST_S or now - self._stepped_at < PAUSE_S:
            return set()
        limit = min(self._wall() - self._keep_days * DAY_S, self._oldest + RATE * (now - self._began))
        return {path for path, moment in times.items() if moment <= limit}

    def _look_for_a_step(self, now: float) -> None:
        apart = self._wall() - now
        if abs(apart - self._apart) > STEP_S:
            self._stepped_at = now
            log.warning("clock_stepped", seconds=round(apart - self._apart, 1), effect="no log is deleted by age for a day")
        self._apart = apart


def last_moment(path: Path, mtime: float) -> float:
    """Return when the file's last record was written. A modification before the beginning that its name gives is no such
    time.
    """
    start = _START.search(path.name)
    if start is None:
        return mtime
    try:
        began = datetime.strptime(start[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return mtime
    return max(mtime, began)
