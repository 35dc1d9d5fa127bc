"""The chapters of an evaluation's report: the set, each model, models side by side, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from edge.models.evaluate.contest import EvaluateOptions, JudgedModel
from edge.models.evaluate.latency import latency
from edge.models.evaluate.matrix import matrix
from edge.models.evaluate.scored import Scored
from edge.models.evaluate.summary import (
    by_defect,
    by_kind,
    by_tag,
    false_positives,
    pixel_figures,
    ranking,
    verdicts,
)
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.open import orphan_notes


def about(source: FrameSet, frames: Sequence[SetFrame], options: EvaluateOptions) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "side": options.side or ("test" if "test" in source.sides else None),
        "frames": len(frames),
        "good": sum(frame.label == "good" for frame in frames),
        "defective": sum(frame.label == "defect" for frame in frames),
        "parts": len({frame.part or frame.file for frame in frames}),
        "parts_known": all(frame.part is not None for frame in frames),
        "parts_by": source.parts_by,
    }


def of_model(one: JudgedModel, source: FrameSet, frames: tuple[SetFrame, ...], options: EvaluateOptions) -> dict[str, Any]:
    scored = one.result.frames
    how: dict[str, Any] = {"replicates": options.replicates, "seed": options.seed}
    message: dict[str, Any] = {
        "name": one.contestant.name,
        "bundle": str(one.contestant.bundle),
        "sha256": one.bundle.sha256,
        "threshold": {"high": one.inspector.high, "low": one.inspector.low, "from": one.threshold_from},
        "image": ranking(scored, **how),
        "verdicts": verdicts(scored),
        "pixel": pixel_figures(one.result.curves, scored, **how) if options.pixels else None,
        "by_kind": by_kind(scored, **how),
        "by_defect": by_defect(scored),
        "by_tag": {tag: by_tag(scored, tag, **how) for tag in options.tags},
        "matrix": [_matrix(one, tag, options) for tag in options.tags],
        "false_positives": false_positives(scored),
        "latency_ms": latency(one.inspector, source, frames),
        "frames": [_frame(frame) for frame in scored],
    }
    return message


def _matrix(one: JudgedModel, tag: str, options: EvaluateOptions) -> dict[str, Any]:
    frames = one.result.frames
    values = sorted({frame.tags[tag] for frame in frames if tag in frame.tags})
    taken = one.calibrated_on or frames
    rows = {value: ([f for f in taken if f.tags.get(tag) == value], frames) for value in values}
    message = matrix(rows, tag, options.false_rejects, replicates=options.replicates, seed=options.seed)
    message["thresholds_from"] = "side calibrate" if one.calibrated_on else "the judged frames themselves: optimistic"
    return message


def across(judged: Sequence[JudgedModel], options: EvaluateOptions) -> dict[str, Any] | None:
    """The matrix in which each row has a model of its own; None if the models aren't named after values of the first
    tag.
    """
    if not options.tags or len(judged) < 2:
        return None
    tag = options.tags[0]
    values = {frame.tags.get(tag) for one in judged for frame in one.result.frames}
    if not all(one.contestant.name in values for one in judged):
        return None
    rows = {}
    for one in judged:
        own = [frame for frame in one.calibrated_on or one.result.frames if frame.tags.get(tag) == one.contestant.name]
        rows[one.contestant.name] = (own, one.result.frames)
    message = matrix(rows, tag, options.false_rejects, replicates=options.replicates, seed=options.seed)
    apart = all(one.calibrated_on for one in judged)
    message["thresholds_from"] = "side calibrate" if apart else "the judged frames themselves: optimistic"
    return message


def _frame(frame: Scored) -> dict[str, Any]:
    return {
        "file": frame.file,
        "kind": frame.kind,
        "part": frame.part,
        "score": frame.score,
        "verdict": frame.verdict,
        "decided_by": frame.decided_by,
        "regions": [asdict(region) for region in frame.regions[:10]],
        "defects": [asdict(defect) for defect in frame.defects],
    }


def notes_of(source: FrameSet, frames: Sequence[SetFrame], judged: Sequence[JudgedModel]) -> list[str]:
    notes = orphan_notes(source)
    disputed = [frame.file for frame in source.frames if frame.label == "disputed"]
    if disputed:
        notes.append(f"{len(disputed)} frames whose labels disagree are left out: {', '.join(disputed[:3])}")
    if not all(frame.part is not None for frame in frames):
        notes.append(
            "parts are unknown, so each picture counts as a part of its own: intervals are too narrow if parts repeat"
        )
    if "train" in source.sides:
        notes.append("the folders train and test are a split of unknown making: edge audit says whether they share parts")
    result = judged[0].result
    if result.unreadable:
        named = ", ".join(f"{file} ({why})" for file, why in result.unreadable[:5])
        notes.append(f"{len(result.unreadable)} pictures can't be read: {named}")
    kinds: dict[str, list[str]] = {}
    for file, why in result.notes:
        kinds.setdefault(why, []).append(file)
    for why, files in kinds.items():
        notes.append(f"left out of the pixel metrics, {why}: {len(files)} frames, {', '.join(files[:3])}")
    for one in judged:
        one_less = len(one.result.frames) - sum(frame.score is not None for frame in one.result.frames)
        if one_less:
            notes.append(f"{one.contestant.name}: {one_less} frames are invalid and have no score")
    return notes
