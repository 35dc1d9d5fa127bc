"""``edge shift``: two sets read, measured, told apart and diagnosed, as one report for people and programs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from edge.drift.floors import FLOORS
from edge.drift.signatures import Library
from edge.errors import UserError
from edge.models.evaluate.ranking import Floats
from edge.models.evaluate.summary import plain
from edge.models.sets.frame_set import FrameSet
from edge.shift.comparable import check_comparable
from edge.shift.diagnose import (
    Diagnosis,
    diagnose,
    headline,
    learned,
    names_and_units,
    ranges_of,
    strength_of,
    usual,
)
from edge.shift.embed import Embedder, lite0_embedder
from edge.shift.look import Ruler, ShiftSide, look, ruler_of
from edge.shift.shift_judge import ShiftJudge
from edge.shift.subject import Subject
from edge.shift.told_apart import LEAST, Effect, Separability, effects, separability

SHIFT_SCHEMA: Final = 1
MOST_PICTURES: Final = 5000
"""Frames of both sets up to which each has its picture under the pointer."""
_OF_A_MEDIAN: Final = 1.2533
"""Standard deviation of a median of n values of a normal distribution, times the square root of n."""
_WELL_KNOWN: Final = 20
"""Frames of each set below which the report says that figures are rough."""

ShiftProgress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""


@dataclass(frozen=True, slots=True)
class Shift:
    """All that is known of two sets. ``vectors``: (n + m, d), of both sets in their order. ``effects``: changed first."""

    sides: tuple[ShiftSide, ShiftSide]
    ruler: Ruler
    judge: ShiftJudge | None
    embedding: str
    vectors: Floats
    effects: tuple[Effect, ...]
    apart: Separability | None
    diagnosis: Diagnosis
    notes: tuple[str, ...]
    seconds: float

    def statistics(self) -> tuple[Floats, Floats]:
        """Statistics (n, 19) and (m, 19), without the frames that the reference was made of."""
        return self.sides[0].counted(self.ruler.taken)[0], self.sides[1].counted(())[0]

    def deviations(self) -> Floats:
        """The second set's statistics in deviations of the first set, (m, 19)."""
        a, b = self.statistics()
        center, sigma = usual(a)
        return np.asarray((b - center) / sigma)


def compare_sets(
    names: tuple[str, str],
    sources: tuple[FrameSet, FrameSet],
    model: Subject | None = None,
    *,
    seed: int = 0,
    progress: ShiftProgress = lambda *_: None,
) -> Shift:
    """Compare the frames of two sets; the first one is what is usual.

    Raises:
        UserError: a set of nothing, of one picture, or of another size or colour than the other one; a model that doesn't
            take the frames.
    """
    began = time.monotonic()
    sides = (ShiftSide(names[0], sources[0], sources[0].frames), ShiftSide(names[1], sources[1], sources[1].frames))
    ruler = ruler_of(sides)
    judge = None if model is None else ShiftJudge(model)
    try:
        _read_all(sides, ruler, judge, progress)
    finally:
        if judge is not None:
            judge.close()
    for side in sides:
        if not side.seen:
            raise UserError(
                f"{side.name}: none of its frames has the size of the others",
                received=f"{len(side.frames)} frames",
                expected=f"{ruler.meter.template.size[0]}x{ruler.meter.template.size[1]} px",
            )
    check_comparable(names, (sides[0].kinds, sides[1].kinds))
    (a, a_parts), (b, b_parts) = sides[0].counted(ruler.taken), sides[1].counted(())
    found = effects(names_and_units(), FLOORS, a, b, (a_parts, b_parts))
    embedding, vectors = _vectors(sides, a)
    notes = _notes(sides, ruler)
    apart: Separability | None = None
    if min(len(a), len(b)) >= LEAST:
        progress("telling apart", 0, 1)
        apart = _separability(vectors, sides, ruler, seed, notes)
    diagnosis = _diagnosis(ruler, (a, b), found, apart, progress)
    if diagnosis.verdict == "not different" and apart is not None and apart.is_unsure:
        low, high = apart.interval
        notes.append(
            f"the sets may differ all the same: AUROC {low:.2f} to {high:.2f}, but p {apart.p:.3g} is what chance does now "
            "and then; more frames would tell"
        )
    return Shift(
        sides=sides,
        ruler=ruler,
        judge=judge,
        embedding=embedding,
        vectors=vectors,
        effects=tuple(found),
        apart=apart,
        diagnosis=diagnosis,
        notes=tuple(notes),
        seconds=round(time.monotonic() - began, 1),
    )


def report_of(done: Shift) -> dict[str, Any]:
    """The report as ``shift.json`` has it."""
    worst = max((abs(effect.z) for effect in done.effects), default=0.0)
    causes = [
        {
            "cause": one.cause,
            "group": one.group,
            "size": one.size,
            "unit": one.unit,
            "strength": strength_of(one),
            "z": worst,
            "words": one.words,
        }
        for one in done.diagnosis.causes
    ]
    message: dict[str, Any] = {
        "schema": SHIFT_SCHEMA,
        "kind": "edge.shift",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "headline": done.diagnosis.headline,
        "verdict": done.diagnosis.verdict,
        "causes": causes,
        "ranges": done.diagnosis.ranges,
        "sets": [
            {
                "name": s.name,
                "path": str(s.source.path),
                "root": str(s.source.root.resolve()),
                "frames": len(s.seen),
                "parts": len(set(s.parts)),
            }
            for s in done.sides
        ],
        "separability": None if done.apart is None else _separability_json(done.apart, done.embedding),
        "statistics": [asdict(effect) | {"changed": effect.is_changed} for effect in done.effects],
        "model": _model(done),
        "notes": list(done.notes),
        "seconds": done.seconds,
    }
    result: dict[str, Any] = plain(message)
    return result


def _separability_json(apart: Separability, embedding: str) -> dict[str, Any]:
    return {
        "embedding": embedding,
        "auroc": {"value": apart.auroc, "low": apart.interval[0], "high": apart.interval[1]},
        "mmd": {"value": apart.mmd, "p": apart.p},
        "mahalanobis_ratio": apart.mahalanobis,
        "different": apart.is_different,
    }


def _model(done: Shift) -> dict[str, Any] | None:
    if done.judge is None:
        return None
    rejected = [float(np.mean([v != "pass" for v in side.verdicts])) for side in done.sides]
    return {
        "name": done.judge.subject.name,
        "sha256": done.judge.subject.bundle.sha256,
        "threshold": {"high": done.judge.subject.threshold, "from": done.judge.subject.threshold_from},
        "rejected": dict(zip((side.name for side in done.sides), rejected, strict=True)),
    }


def _read_all(sides: tuple[ShiftSide, ShiftSide], ruler: Ruler, judge: ShiftJudge | None, progress: ShiftProgress) -> None:
    total = sum(len(side.frames) for side in sides)
    done = 0

    def seen() -> None:
        nonlocal done
        done += 1
        progress("reading", done, total)

    embedder: Embedder | None = lite0_embedder()
    for side in sides:
        if judge is not None:
            first = next((loaded for frame in side.frames if (loaded := side.read(frame)) is not None), None)
            if first is not None:
                judge.check_takes(side.name, first)
        look(side, ruler, embedder, judge, pictures=total <= MOST_PICTURES, seen=seen)


def _vectors(sides: tuple[ShiftSide, ShiftSide], a: Floats) -> tuple[str, Floats]:
    """Whose embeddings are compared, and these: the model's, lite0's, or the statistics in deviations of the first set."""
    own = [vector for side in sides for vector in side.vectors]
    if own and all(vector is not None for vector in own) and len({len(v) for v in own if v is not None}) == 1:
        name = "the model's embedding" if all(side.embedded_by_model for side in sides) else "lite0 (ImageNet)"
        return name, np.stack([np.asarray(vector, np.float64) for vector in own])
    center, sigma = usual(a)
    values = (np.array([one for side in sides for one in side.statistics]) - center) / sigma
    return "the statistics", np.asarray(np.sign(values) * np.log1p(np.abs(values)))


def _separability(
    vectors: Floats, sides: tuple[ShiftSide, ShiftSide], ruler: Ruler, seed: int, notes: list[str]
) -> Separability | None:
    first, parts = len(sides[0].seen), sides[0].parts
    # vectors of statistics are nearer to the reference where the frame is part of it; keep the others
    kept = [at for at, frame in enumerate(sides[0].seen) if frame.file not in ruler.taken]
    try:
        return separability(vectors[kept], vectors[first:], ([parts[at] for at in kept], sides[1].parts), seed=seed)
    except UserError as error:  # without the extra the causes are named all the same
        notes.append(str(error).replace("\n  ", "; "))
        return None


def _diagnosis(
    ruler: Ruler, values: tuple[Floats, Floats], found: list[Effect], apart: Separability | None, progress: ShiftProgress
) -> Diagnosis:
    a, b = values
    kept: list[Library] = []

    def library(sigma: Floats) -> Library:
        jitter = _OF_A_MEDIAN * float(np.sqrt(1 / len(a) + 1 / len(b)))
        kept.append(learned(ruler, sigma, jitter, lambda done, total: progress("learning", done, total)))
        return kept[0]

    verdict, causes = diagnose(a, b, found, apart, library)
    noise = float(np.median([ruler.meter.noise_sigma(pixels, ruler.bits) for pixels in ruler.samples]))
    ranges = ranges_of(a, b, noise, kept[0] if kept else None)
    return Diagnosis(verdict, headline(verdict, causes, found, apart, min(len(a), len(b))), causes, ranges)


def _notes(sides: tuple[ShiftSide, ShiftSide], ruler: Ruler) -> list[str]:
    notes = []
    for side in sides:
        if len(side.seen) < LEAST:
            notes.append(f"{side.name}: {len(side.seen)} frames are too few for a claim; at least {LEAST} are needed")
        elif len(side.seen) < _WELL_KNOWN:
            notes.append(f"{side.name}: with {len(side.seen)} frames sizes are rough")
        if side.unreadable:
            named = ", ".join(f"{file} ({why})" for file, why in side.unreadable[:3])
            notes.append(f"{side.name}: {len(side.unreadable)} pictures can't be read and are left out: {named}")
        if side.of_another_size:
            named = ", ".join(side.of_another_size[:3])
            notes.append(f"{side.name}: {len(side.of_another_size)} frames of another size are left out: {named}")
        if all(frame.part is None for frame in side.seen):
            notes.append(f"{side.name}: parts are unknown, so each frame counts as a part of its own (--by says otherwise)")
        if side.known:
            notes.append(
                f"{side.name}: {side.known} of {len(side.seen)} frames are among those that the model was fitted on, so "
                "what it says of this set flatters it"
            )
    first = {kind.content for kind in sides[0].kinds}
    if shared := sum(kind.content in first for kind in sides[1].kinds):
        notes.append(
            f"{shared} of {len(sides[1].seen)} frames of {sides[1].name} are frames of {sides[0].name}, too: the sets look "
            "more alike than they are"
        )
    if ruler.size is not None:
        width, height = ruler.size
        notes.append(f"pictures have sizes of their own: their middle {width}x{height} px is measured, at their own scale")
    if not ruler.meter.template.fixed:
        notes.append("parts don't lie alike, so place, rotation and scale are not measured")
    return notes
