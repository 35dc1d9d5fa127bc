"""The last minutes of a line: how many of its frames failed, and whether it loses frames, and which stage is to blame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from edge.line.tally import Tally

RECENT_S: Final = 300.0
"""Time in s that the shares of the last minutes cover."""
_EVERY_S: Final = 1.0
_LOOK_BACK: Final = 5
"""Seconds that are looked at for losses."""
_LOSING: Final = 3
"""So many of these must have lost frames: one burst is over when it is seen."""
_LEAST_SHARE: Final = 0.02
_DROPPED: Final = ("ring_full", "frame_id_gap")
_STAGES: Final = ("infer", "judge")
_STEP: Final = 5
"""The fault's text changes when its share did by so many percent, not with each frame."""


@dataclass(frozen=True, slots=True)
class _Sample:
    """Counts at one moment, since the start."""

    at_s: float
    verdicts: Mapping[str, int]
    dropped: Mapping[str, int]
    stage_ms: Mapping[str, float]

    @property
    def inspected(self) -> int:
        return sum(self.verdicts.values())

    @property
    def lost(self) -> int:
        return sum(self.dropped.values())


class Recent:
    """Recent counts are taken about once a second by the supervisor's thread; ``counters`` is for the heartbeat."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._loss: tuple[int, str, str] | None = None
        """Share in percent, who is to blame, and the fault's words, while frames are lost."""

    def look(self, tally: Tally, verdicts: Mapping[str, int], now_s: float) -> None:
        """Take the counts of now, if the last ones are a second old. ``verdicts`` counts them as they were published."""
        if self._samples and now_s - self._samples[-1].at_s < _EVERY_S:
            return
        dropped = {reason: tally.skipped_frames.get(reason, 0) for reason in _DROPPED}
        stage_ms = {stage: tally.latency_sums_ms[stage] for stage in _STAGES}
        self._samples.append(_Sample(now_s, dict(verdicts), dropped, stage_ms))
        while now_s - self._samples[0].at_s > RECENT_S:
            self._samples.popleft()
        self._loss = self._losing()

    def counters(self) -> dict[str, int]:
        """Return what came in the last ``recent_s`` seconds, 300 at most: verdicts and lost frames."""
        if len(self._samples) < 2:
            return {}
        first, last = self._samples[0], self._samples[-1]
        verdicts = {f"recent_{verdict}": count - first.verdicts.get(verdict, 0) for verdict, count in last.verdicts.items()}
        return {"recent_s": round(last.at_s - first.at_s), **verdicts, "recent_lost": last.lost - first.lost}

    def faults(self) -> dict[str, str]:
        """Return the fault ``frames_dropped`` while frames are lost for seconds on end."""
        return {} if self._loss is None else {"frames_dropped": self._loss[2]}

    def _losing(self) -> tuple[int, str, str] | None:
        window = list(self._samples)[-_LOOK_BACK - 1 :]
        lost = [after.lost - before.lost for before, after in pairwise(window)]
        first, last = window[0], window[-1]
        frames = last.inspected - first.inspected + sum(lost)
        seconds = sum(count > 0 for count in lost)
        if not seconds or (self._loss is None and (seconds < _LOSING or sum(lost) < _LEAST_SHARE * frames)):
            return None
        share = round(100 * (frames - sum(lost)) / frames)
        who, why = _blame(first, last)
        if self._loss is not None and who == self._loss[1] and abs(share - self._loss[0]) < _STEP:
            return self._loss
        return share, who, f"inspects {share} of 100 frames; {why}"


def _blame(first: _Sample, last: _Sample) -> tuple[str, str]:
    """Return where the frames are lost, and that in words."""
    if last.dropped["ring_full"] == first.dropped["ring_full"]:
        return "camera", "the camera or its network loses them"
    inspected = max(1, last.inspected - first.inspected)
    took = {stage: (last.stage_ms[stage] - first.stage_ms[stage]) / inspected for stage in _STAGES}
    slowest = max(took, key=took.__getitem__)
    return slowest, f"the slowest stage is {slowest}, {took[slowest]:.3g} ms a frame"
