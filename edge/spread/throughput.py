"""How fast frames go by, and when the last one will have."""

from __future__ import annotations

import time

from edge.spread.shards import Progress

_FIRST_S = 0.5
"""Before that nothing is said: the first frames are slower than the rest."""


class Throughput:
    """Counts from now; ``before``: frames of ``total`` that were done in an earlier run."""

    def __init__(self, total: int, before: int) -> None:
        self._total = total
        self._before = before
        self._began = time.monotonic()

    def progress(self, frames: int, *, workers: int, retries: int) -> Progress:
        """What to show after so many frames, earlier runs' included."""
        passed_s = time.monotonic() - self._began
        done = frames - self._before
        rate = done / passed_s if passed_s > 0 else 0.0
        eta = (self._total - frames) / rate if rate > 0 and passed_s >= _FIRST_S else None
        return Progress(frames, self._total, workers, retries, rate, eta)
