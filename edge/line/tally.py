"""The tally counts one run. Only the judge writes; anyone may read: plain integers, no locks on the frame's way."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque

from edge.frames import STAGES, Inspection, Record, Skip

BUCKETS_MS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0)
"""Upper bounds of the latency histograms, in ms; one more bucket takes what is above."""
RECENT = 2048
"""Number of latest total latencies kept for percentiles."""
FINITE_S = 10.0
"""Time in s after which a model counts as well again, if its last map with NaN or infinity is so old and a finite one came
since."""


class Tally:
    """The tally holds the sequence numbers given out, verdicts, losses by reason, and latencies."""

    def __init__(self) -> None:
        self.last_seq: int | None = None
        self.verdicts: dict[str, int] = {"pass": 0, "fail": 0, "invalid": 0}
        self.invalid_reasons: dict[str, int] = {}
        self.skipped_frames: dict[str, int] = {}
        self.recent_ms: deque[float] = deque(maxlen=RECENT)
        self.histograms: dict[str, list[int]] = {stage: [0] * (len(BUCKETS_MS) + 1) for stage in STAGES}
        self.latency_sums_ms: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self.sum_checks = 0
        self.sum_fault: str | None = None
        """How the sum rule failed, the first time that it did."""
        self._not_finite: tuple[int, float] | None = None
        """For maps with NaN or infinity: the frame id of the first one since they were well, and when the last one came."""
        self._finite_since = False

    @property
    def next_seq(self) -> int:
        """Return the next record's number: 0, 1, 2 ... without a gap. It is given out once the record is counted."""
        return 0 if self.last_seq is None else self.last_seq + 1

    def inspected(self, record: Record, inspection: Inspection) -> None:
        """Count a record of an inspection; its number is then taken."""
        self.last_seq = record.seq
        self.verdicts[record.verdict] += 1
        if inspection.reason is not None:
            self.invalid_reasons[inspection.reason] = self.invalid_reasons.get(inspection.reason, 0) + 1
        if inspection.reason == "map_not_finite":
            known = self._not_finite if self.map_trouble() is not None else None
            first = inspection.meta.frame_id if known is None else known[0]
            self._not_finite, self._finite_since = (first, time.monotonic()), False
        elif inspection.map_max is not None:
            self._finite_since = True
        latency = inspection.latency_ms
        self.recent_ms.append(latency.total)
        for stage in STAGES:
            ms = getattr(latency, stage)
            self.histograms[stage][bisect_left(BUCKETS_MS, ms)] += 1
            self.latency_sums_ms[stage] += ms

    def skipped(self, record: Record, skip: Skip) -> None:
        """Count a record of a loss; its number is then taken."""
        self.last_seq = record.seq
        self.skipped_frames[skip.reason] = self.skipped_frames.get(skip.reason, 0) + skip.count

    def check(self, announced: int) -> None:
        """Check the sum rule at a point of the order with ``announced`` frames before it: all of them must be in
        records.
        """
        self.sum_checks += 1
        if self.sum_fault is None and announced != self.accounted:
            self.sum_fault = f"the source announced {announced} frames, the records account for {self.accounted}"

    def map_trouble(self) -> str | None:
        """Return what is wrong with the model's maps, until finite ones have come for 10 s; None if they are well.

        One bad map among good ones would otherwise be a fault too short to be seen, and many a fault that comes and goes.
        """
        found = self._not_finite
        if found is None or (self._finite_since and time.monotonic() - found[1] > FINITE_S):
            return None
        return f"the model's map has NaN or infinity, first on frame {found[0]}: such frames are invalid"

    @property
    def inspections(self) -> int:
        return sum(self.verdicts.values())

    @property
    def accounted(self) -> int:
        """Return the number of frames in records: inspections plus the counts of skips. ``check`` compares it with
        ``announced``.
        """
        return self.inspections + sum(self.skipped_frames.values())

    def percentile_ms(self, share: float) -> float | None:
        """Return the total latency in ms at ``share`` (0 to 1) of the latest frames, nearest rank."""
        values = sorted(self.recent_ms)
        return values[min(int(share * len(values)), len(values) - 1)] if values else None
