"""Every frame's candidates are kept as a table: a filter judges all frames again from the tables, without one map.

A control that acts before the candidates makes the tables stale; they are made anew one by one, the frame in view first,
then outward from it, and whoever asks between two of them is answered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig
from edge.errors import UserError
from edge.frames import AnomalyMap, Unmapped
from edge.regions.candidates import EMPTY_TABLE, CandidateTable, candidate_table
from edge.regions.filters import KEPT, fates_of
from edge.regions.find import MapNotFinite, map_max
from edge.regions.plan import RegionPlan
from edge.regions.plans import RegionPlans
from edge.regions.roi import ShapePixels
from edge.web.tuning.maps import TunedMaps
from edge.web.tuning.tuned_frames import TunedFrames

PASS, FAIL, INVALID, UNJUDGED = b"pfi?"
"""One byte for a frame's verdict."""
MOST_ROWS: Final = 2_500_000
"""Rows that are kept, some 150 MB: beyond it frames stay unjudged, and the page says so."""


@dataclass(slots=True)
class TableOfFrame:
    """What is kept of one frame: its table, or why it is invalid. ``score_fails``: the image score alone decides."""

    table: CandidateTable | None
    reason: str | None
    map_max: float | None
    score_fails: bool = False


class Tables:
    """The tables of one subject under one upstream setting. One thread uses it."""

    def __init__(self, subject: TunedFrames, maps: TunedMaps, score_high: float | None) -> None:
        """``score_high`` is the threshold of the image score, None if it decides nothing."""
        self._subject, self._maps, self._score_high = subject, maps, score_high
        self._judged: list[TableOfFrame | None] = [None] * len(subject.frames)
        self._mask: NDArray[np.uint8] | None = None
        self._shapes = ShapePixels()
        self._plans: RegionPlans | None = None
        self._joined: tuple[CandidateTable, NDArray[np.intp]] | None = None
        self.rows = 0
        self.left = len(subject.frames)

    def begin(self, regions: RegionsConfig, high: float, low: float | None, mask: NDArray[np.uint8] | None) -> None:
        """Begin anew under another upstream setting. ROI and zones are drawn again only where their shapes changed.

        ``mask`` is what the picture that ``regions.roi.mask`` names says, (H, W).
        """
        if mask is not self._mask:
            self._mask, self._shapes = mask, ShapePixels(mask)
        self._plans = RegionPlans(regions, self._mask, high, low, shapes=self._shapes, reachable=False)
        self._judged = [None] * len(self._judged)
        self._joined, self.rows, self.left = None, 0, len(self._judged)

    def build(self, view: int) -> Iterator[int]:
        """Make the tables that are missing, the frame in view first, then outward; yield each frame's index when it is
        there.
        """
        for index in outward(view, len(self._judged)):
            if self._judged[index] is None and self.rows < MOST_ROWS:
                self.ensure(index)
                yield index

    def ensure(self, index: int) -> TableOfFrame:
        """Return what is kept of a frame; it is made first if it isn't there."""
        judged = self._judged[index]
        if judged is None:
            judged = self._judged[index] = self.judge(index)
            self.rows += 0 if judged.table is None else len(judged.table)
            self.left -= 1
            self._joined = None
        return judged

    def plan(self, amap: AnomalyMap, index: int) -> RegionPlan:
        """Return the plan for a frame's map. Raises UserError: the shapes don't fit such a frame."""
        assert self._plans is not None, "begin was called"
        meta = self._subject.frames[index].entry.meta
        return self._plans.plan(amap, meta.width, meta.height)

    def verdicts(self, regions: RegionsConfig) -> bytes:
        """Judge every frame from its table: a byte each."""
        rows, frame_of = self._rows()
        kept = np.zeros(len(self._judged), bool)
        if len(rows):
            kept[frame_of[fates_of(rows, regions) == KEPT]] = True
        verdicts = bytearray(len(self._judged))
        for index, judged in enumerate(self._judged):
            if judged is None:
                verdicts[index] = UNJUDGED
            elif judged.reason is not None or self._doubt(index) is not None:
                verdicts[index] = INVALID
            else:
                verdicts[index] = FAIL if kept[index] or judged.score_fails else PASS
        return bytes(verdicts)

    def verdict(self, index: int, judged: TableOfFrame, regions: RegionsConfig) -> int:
        """Judge one frame from what is kept of it."""
        if judged.reason is not None or self._doubt(index) is not None:
            return INVALID
        kept = judged.table is not None and bool((fates_of(judged.table, regions) == KEPT).any())
        return FAIL if kept or judged.score_fails else PASS

    def reason(self, index: int) -> str | None:
        """Return why a frame is invalid; None if it isn't."""
        judged = self._judged[index]
        return None if judged is None else judged.reason or self._doubt(index)

    def score_fails(self, score: float | None) -> bool:
        """Say whether the image score alone makes a frame fail."""
        return self._score_high is not None and score is not None and score >= self._score_high

    def known_max(self, index: int) -> float | None:
        """Return the raw maximum of one frame inside ROI and border, None if it isn't known."""
        judged = self._judged[index]
        return None if judged is None else judged.map_max

    def maxima(self) -> list[float | None]:
        """Return the raw maximum of each frame inside ROI and border; None if there is none, or not yet."""
        return [None if one is None else one.map_max for one in self._judged]

    def values(self, key: str) -> list[float]:
        """Return one measure of every candidate, for a histogram."""
        rows, _ = self._rows()
        column: Any = rows.solidities if key == "solidity" else getattr(rows, key)
        return [float(value) for value in column]

    def _rows(self) -> tuple[CandidateTable, NDArray[np.intp]]:
        if self._joined is None:
            tables = [(i, one.table) for i, one in enumerate(self._judged) if one is not None and one.table is not None]
            sizes = [len(table) for _, table in tables]
            rows = CandidateTable.joined([table for _, table in tables]) if tables else EMPTY_TABLE
            self._joined = rows, np.repeat(np.array([i for i, _ in tables], np.intp), sizes)
        return self._joined

    def _doubt(self, index: int) -> str | None:
        """Return what a replay of the frame says beside its map: it was late, or its world had drifted."""
        frame = self._subject.frames[index]
        return frame.lock or ("late" if frame.entry.meta.late else None)

    def judge(self, index: int) -> TableOfFrame:
        """Look at one frame's map, and keep nothing of it."""
        amap = self._maps.load(index)
        if isinstance(amap, Unmapped):
            return TableOfFrame(None, amap.reason, None)
        try:
            plan = self.plan(amap, index)
        except UserError:
            return TableOfFrame(None, "frame_size", None)
        try:
            highest = map_max(amap.values, plan)
        except MapNotFinite:
            return TableOfFrame(None, "map_not_finite", None)
        if self._score_high is not None and (amap.score is None or not math.isfinite(amap.score)):
            return TableOfFrame(None, "score_not_finite", highest)
        return TableOfFrame(candidate_table(amap.values, plan, highest), None, highest, self.score_fails(amap.score))


def outward(view: int, count: int) -> Iterator[int]:
    """Yield every index once, ``view`` first, then its neighbours by distance."""
    yield view
    for step in range(1, max(view, count - 1 - view) + 1):
        if view + step < count:
            yield view + step
        if view - step >= 0:
            yield view - step


def verdict_pairs(old: bytes, new: bytes) -> dict[str, int]:
    """Count frames by old and new verdict, ``"pf": 3`` being those that passed and fail now."""
    counts: dict[str, int] = {}
    for before, after in zip(old, new, strict=True):
        pair = chr(before) + chr(after)
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def against_labels(verdicts: bytes, labels: Sequence[str | None]) -> dict[str, int]:
    """Count good frames, bad ones, and those judged wrongly: ``false_rejects`` are good and don't pass, ``misses`` are bad
    and pass.
    """
    known = [(verdict, label) for verdict, label in zip(verdicts, labels, strict=True) if label and verdict != UNJUDGED]
    return {
        "good": sum(label == "good" for _, label in known),
        "bad": sum(label != "good" for _, label in known),
        "false_rejects": sum(label == "good" and verdict != PASS for verdict, label in known),
        "misses": sum(label != "good" and verdict == PASS for verdict, label in known),
    }
