"""What the model says of a frame: its score, its verdict, and its own embedding where its graph has one."""

from __future__ import annotations

from dataclasses import dataclass

from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Unmapped
from edge.models.sets.used import content_id, fitted_on
from edge.preprocess.pixel_formats import to_depth
from edge.regions.smooth import nearest_to_high
from edge.regions.to_inspection import to_inspection
from edge.shift.embed import Vector, embedding_of
from edge.shift.subject import Subject


@dataclass(frozen=True, slots=True)
class ShiftJudgement:
    """``score``: the highest value inside the ROI, None if the frame is invalid. ``verdict``: pass, fail or invalid."""

    score: float | None
    verdict: str
    embedding: Vector | None
    known: bool
    """Whether the model was fitted on this very frame."""


class ShiftJudge:
    """The model as it runs now, which judges the frames of both sets one after the other. Used by one thread."""

    def __init__(self, subject: Subject) -> None:
        """Open the model.

        Raises:
            UserError: no engine can open it here.
        """
        self.subject = subject
        self._engine = open_engine(subject.inspector.model, subject.bundle)
        self._fitted_on = fitted_on(subject.bundle)
        self._criteria, self._workspace = subject.inspector.criteria(), ready_workspace(self._engine.bundle)

    def close(self) -> None:
        """Free the model."""
        self._engine.close()

    def judge(self, frame: Frame) -> ShiftJudgement:
        """Judge one frame."""
        known = bool(self._fitted_on) and content_id(frame.pixels) in self._fitted_on
        frame = to_depth(frame, *self.subject.inspector.levels)
        amap = to_map(frame, self._engine, self._workspace)
        inspection, found = to_inspection(frame, amap, self._criteria)
        score = None
        if found is not None and isinstance(amap, AnomalyMap):
            plan = self._criteria.plan(amap, frame.meta.width, frame.meta.height)
            value, high = nearest_to_high(amap.values, plan)
            score = value - high + self._criteria.high
        return ShiftJudgement(score, inspection.verdict, embedding_of(amap), known)

    def check_takes(self, name: str, frame: Frame) -> None:
        """Refuse a set whose frames the model doesn't take.

        Raises:
            UserError: names the set and the model, and what each has.
        """
        made_of = self.subject.bundle.spec.frames
        size = (frame.meta.width, frame.meta.height)
        amap = to_map(to_depth(frame, *self.subject.inspector.levels), self._engine, self._workspace)
        if made_of is not None and made_of.size not in (None, size):
            why = "frames of {}x{} px".format(*(made_of.size or size))
        elif isinstance(amap, Unmapped) and amap.reason != "part_out_of_place":
            why = amap.text
        else:
            return
        raise UserError(
            f"{name}: the model {self.subject.name} doesn't take its frames",
            received=f"{name}: {size[0]}x{size[1]} px, {frame.meta.pixel_format}",
            expected=f"{self.subject.name}: {why}",
            fix="compare the sets without -m, or name the model of this line",
        )
