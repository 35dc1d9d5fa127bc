"""What a model stands: false rejects, recall and AUROC against the strength of each corruption, and where limits break."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.config.bundle import load_bundle
from edge.errors import UserError
from edge.models.evaluate.intervals import Interval, share_interval
from edge.models.evaluate.ranking import auroc, steps
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import fitted_on
from edge.shift.planted import DESCRIPTION as PLANTED_DESCRIPTION
from edge.shift.seen_frames import SeenFrames, check_shows, check_size
from edge.shift.stress_task import Outcome, StressTask, Way
from edge.shift.subject import Subject
from edge.spread import shards_of, spread
from edge.spread.results import unpacked

STRESS_SCHEMA: Final = 1
_SHARD: Final = 4
"""Frames of a shard: each is judged more than a hundred times."""
LEAST_FRAMES: Final = 10
"""Fewer good frames can't show a share of false rejects: none of 10 still leaves room for 31 %."""


@dataclass(frozen=True, slots=True)
class LineLimits:
    """What the line can live with. ``recall_loss``: how far recall may fall below that of the frames as they are."""

    false_rejects: float = 0.05
    recall_loss: float = 0.10


@dataclass(frozen=True, slots=True)
class StressRun:
    """How frames are spread; it changes no figure.

    ``cluster``: address of a Ray cluster whose nodes do the work, and see set and bundle by the same paths. ``kept_in``:
    folder for finished shards, from which a run that was stopped goes on.
    """

    workers: int = 1
    cluster: str | None = None
    kept_in: Path | None = None


@dataclass(frozen=True, slots=True)
class StressPoint:
    """Figures at one strength; 0 is the frames as they are. ``auroc`` NaN if no frame of a class has a map."""

    strength: float
    false_rejects: float
    false_rejects_interval: Interval
    recall: float
    auroc: float
    invalid: float
    """Share of all frames that got no verdict."""


@dataclass(frozen=True, slots=True)
class LimitBreak:
    """Where a limit breaks, between two steps by interpolation, and which one."""

    strength: float
    what: str


@dataclass(frozen=True, slots=True)
class StressCurve:
    """One corruption in one direction: the frames as they are, then five strengths."""

    way: Way
    points: tuple[StressPoint, ...]
    breach: LimitBreak | None

    @property
    def verdict(self) -> str:
        """``gradient 31 %``: up to where it stands; or that it stands all of it."""
        if self.breach is None:
            return f"stands {self.way.words(self.points[-1].strength)}"
        return f"{self.breach.what} at {self.way.words(self.breach.strength)}"


@dataclass(frozen=True, slots=True)
class Stress:
    """All curves, and on what they rest."""

    curves: tuple[StressCurve, ...]
    good: int
    defective: int
    defects_source: str
    unreadable: tuple[tuple[str, str], ...]
    known: int = 0
    """Good frames that the model was fitted on."""

    def notes(self, limits: LineLimits) -> list[str]:
        """What a reader must know before the figures."""
        said, recall = [], self.curves[0].points[0].recall
        if self.known:
            said.append(
                f"{self.known} of the {self.good} good frames are those that the model was fitted on; others it stands less"
            )
        if recall <= limits.recall_loss:
            said.append(
                f"as they are it sees {recall:.0%} of the defects, so recall can't fall any more: false rejects alone count"
            )
        return said

    def to_json(self, subject: Subject, limits: LineLimits, seed: int) -> dict[str, Any]:
        """``stress.json``."""
        return {
            "schema": STRESS_SCHEMA,
            "kind": "stress",
            "model": {"name": subject.bundle.spec.name, "sha256": subject.bundle.sha256},
            "threshold": subject.threshold,
            "threshold_from": subject.threshold_from,
            "good": self.good,
            "defective": self.defective,
            "defects": self.defects_source,
            "fitted_on": self.known,
            "limits": {"false_rejects": limits.false_rejects, "recall_loss": limits.recall_loss},
            "seed": seed,
            "curves": [_curve_json(curve) for curve in self.curves],
        }


def run_stress(
    subject: Subject,
    source: FrameSet,
    frames: Sequence[SetFrame],
    ways: Sequence[Way],
    *,
    limits: LineLimits = LineLimits(),
    seed: int = 0,
    run: StressRun = StressRun(),
    say: Callable[[int, int], None] = lambda *_: None,
) -> Stress:
    """Judge every frame as it is and at five strengths of each way, at the frozen threshold.

    ``frames``: labelled; without a defective one, defects are planted into the good ones.

    Raises:
        UserError: fewer than ten good frames that can be read, frames of another size than the model's, or constant ones.
    """
    known = _looked_at(subject, source, frames)
    plant = not any(frame.label == "defect" for frame in frames)
    task = StressTask(subject.inspector, source, tuple(frames), tuple(ways), seed, plant)
    try:
        done = spread(
            task,
            shards_of(len(frames), _SHARD),
            workers=run.workers,
            cluster=run.cluster,
            kept_in=run.kept_in,
            key="" if run.kept_in is None else task.key(),
            seen=partial(_seen, source, frames, subject.bundle.folder),
            progress=lambda p: say(p.frames, p.total),
        )
    finally:
        task.close()
    good: list[list[Outcome]] = []
    bad: list[list[Outcome]] = []
    unreadable: list[tuple[str, str]] = [(lost.name, f"it killed two workers: {lost.how}") for lost in done.lost]
    for data in done.results:
        outcomes, failed = unpacked(data, tuple, (Outcome,))
        unreadable += failed
        for _, is_defective, found in outcomes:
            (bad if is_defective else good).append(found)
    if len(good) < LEAST_FRAMES:
        raise UserError(
            f"{source.path}: too few good frames to say what the model stands",
            received=f"{len(good)} that can be read",
            expected=f"at least {LEAST_FRAMES}; 40 show a share of 5 % to about 6 %",
        )
    defects_source = PLANTED_DESCRIPTION if plant else "the set's own"
    return Stress(_curves(good, bad, ways, limits), len(good), len(bad), defects_source, tuple(unreadable), known)


def _looked_at(subject: Subject, source: FrameSet, frames: Sequence[SetFrame]) -> int:
    """How many of the good frames the model was fitted on. Raises UserError for frames that say nothing of it."""
    seen, used = SeenFrames(), fitted_on(subject.bundle)
    good = [frame for frame in frames if frame.label != "defect"]
    for frame in good:
        seen.look(frame, source, subject.inspector.levels)
    check_size(source, subject.bundle, seen)
    check_shows(source, seen)
    defective = SeenFrames()  # one of another size is judged invalid, which would count as found
    for frame in frames:
        if frame.label == "defect":
            defective.look(frame, source, subject.inspector.levels)
    check_size(source, subject.bundle, defective)
    return sum(one in used for one in seen.ids.values())


def _seen(source: FrameSet, frames: Sequence[SetFrame], bundle: Path) -> str:
    """What a machine sees of the frames and of the model. Raises UserError where it sees none."""
    return f"{source.seen(frames)}, model {load_bundle(bundle).sha256[:12]}"


def _curves(
    good: Sequence[Sequence[Outcome]], bad: Sequence[Sequence[Outcome]], ways: Sequence[Way], limits: LineLimits
) -> tuple[StressCurve, ...]:
    as_they_are = point(0.0, [found[0] for found in good], [found[0] for found in bad])
    curves, at = [], 1
    for way in ways:
        points = [as_they_are]
        for strength in way.corruption.strengths.steps:
            points.append(point(strength, [found[at] for found in good], [found[at] for found in bad]))
            at += 1
        curves.append(StressCurve(way, tuple(points), first_breach(points, limits)))
    return tuple(curves)


def point(strength: float, good: Sequence[Outcome], bad: Sequence[Outcome]) -> StressPoint:
    """The figures of one strength. A frame without a verdict is rejected: a PLC can't take it for good."""
    rejected = sum(not outcome.passed for outcome in good)
    scores = [(outcome.score, False) for outcome in good] + [(outcome.score, True) for outcome in bad]
    valid = [(score, is_bad) for score, is_bad in scores if score is not None]
    ranked = steps(np.array([score for score, _ in valid], float), np.array([is_bad for _, is_bad in valid], bool))
    both = {is_bad for _, is_bad in valid} == {True, False}
    return StressPoint(
        strength=strength,
        false_rejects=rejected / len(good),
        false_rejects_interval=share_interval(rejected, len(good)),
        recall=sum(not outcome.passed for outcome in bad) / len(bad) if bad else float("nan"),
        auroc=float(auroc(ranked)) if both else float("nan"),
        invalid=1 - len(valid) / len(scores),
    )


def first_breach(points: Sequence[StressPoint], limits: LineLimits) -> LimitBreak | None:
    """The first strength at which a limit breaks; 0 where the frames as they are break it already."""
    floor = points[0].recall - limits.recall_loss
    found: list[LimitBreak] = []
    if points[0].false_rejects > limits.false_rejects:
        return LimitBreak(0.0, "false rejects")
    for before, after in pairwise(points):
        if after.false_rejects > limits.false_rejects:
            found.append(LimitBreak(_between(before, after, "false_rejects", limits.false_rejects), "false rejects"))
        if after.recall < floor:
            found.append(LimitBreak(_between(before, after, "recall", floor), "recall"))
        if found:
            return min(found, key=lambda breach: breach.strength)
    return None


def _between(before: StressPoint, after: StressPoint, name: str, limit: float) -> float:
    low, high = getattr(before, name), getattr(after, name)
    share = (limit - low) / (high - low) if high != low else 1.0
    return float(before.strength + share * (after.strength - before.strength))


def _curve_json(curve: StressCurve) -> dict[str, Any]:
    row = curve.way.corruption
    return {
        "corruption": row.name,
        "direction": {1: "more", -1: "less", 0: "either"}[curve.way.sign if row.strengths.two_way else 1],
        "group": row.group,
        "unit": row.unit,
        "breaks": None if curve.breach is None else {"strength": curve.breach.strength, "what": curve.breach.what},
        "points": [
            {
                "strength": p.strength,
                "false_rejects": p.false_rejects,
                "false_rejects_interval": list(p.false_rejects_interval),
                "recall": p.recall,
                "auroc": p.auroc,
                "invalid": p.invalid,
            }
            for p in curve.points
        ],
    }
