"""The evaluation of one or two models on a labelled set: frames chosen, judged and summed up into one report."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.config.bundle import Bundle, load_bundle
from edge.config.calibration import Calibration
from edge.config.line import ModelConfig
from edge.config.load import Loaded
from edge.config.regions import RegionsConfig, ThresholdConfig
from edge.engines.line_engine import scales_sha256
from edge.errors import UserError
from edge.models.evaluate.judge import Inspector, JudgeTask, ShardResult, check_labelled
from edge.models.evaluate.latency import latency
from edge.models.evaluate.matrix import matrix
from edge.models.evaluate.ranking import threshold_at
from edge.models.evaluate.scored import Scored
from edge.models.evaluate.side_by_side import side_by_side
from edge.models.evaluate.summary import (
    by_defect,
    by_kind,
    by_tag,
    false_positives,
    pixel_figures,
    plain,
    ranking,
    verdicts,
)
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import fitted_on, ids_of, refuse_used, refuse_used_parts
from edge.regions.criteria import load_criteria
from edge.spread import shards_of, spread

EVALUATION_SCHEMA: Final = 1
SHARD: Final = 32
"""Frames of a shard: the same for any number of workers, and with it the last digits of every sum."""
NOT_REPRODUCIBLE: Final = ("created", "latency_ms", "seconds")
"""Keys that another run on the same frames may give differently."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for. ``side``: None takes ``test`` where the set has sides. ``threshold``: None: see
    ``_threshold``.
    """

    side: str | None = None
    threshold: float | None = None
    false_rejects: float = 0.01
    tags: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    workers: int = 1
    replicates: int = 1000
    seed: int = 0
    pixels: bool = True
    seen_before: bool = False
    """Judge frames that the model was fitted on all the same."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One model: its bundle, or a line's whole config with its calibration, ROI and filters."""

    name: str
    bundle: Path
    line: Loaded | None = None


@dataclass(slots=True)
class Judged:
    """One model's frames, and what is needed to look at them again."""

    contestant: Contestant
    bundle: Bundle
    inspector: Inspector
    threshold_from: str
    result: ShardResult
    calibrated_on: list[Scored] = field(default_factory=list)


Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""


def evaluate(
    source: FrameSet, contestants: Sequence[Contestant], options: Options, progress: Progress = lambda *_: None
) -> tuple[dict[str, Any], list[Judged]]:
    """The report, ready for JSON, and what pictures of it are drawn from.

    Raises:
        UserError: a set without both classes, frames that a model was fitted on or its threshold measured on, a model that
            can't be opened.
    """
    frames = chosen_frames(source, options)
    check_labelled(source, frames)
    began = time.monotonic()
    judged = [_judged(source, frames, contestant, options, progress) for contestant in contestants]
    report: dict[str, Any] = {
        "schema": EVALUATION_SCHEMA,
        "kind": "evaluation",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "set": _about(source, frames, options),
        "replicates": options.replicates,
        "seed": options.seed,
        "models": [_of_model(one, source, frames, options) for one in judged],
        "notes": _notes(source, frames, judged),
    }
    if len(judged) == 2:
        names = (judged[0].contestant.name, judged[1].contestant.name)
        report["comparison"] = side_by_side(
            judged[0].result.frames, judged[1].result.frames, names, replicates=options.replicates, seed=options.seed
        )
    if (across := _across(judged, options)) is not None:
        report["matrix"] = across
    report["seconds"] = round(time.monotonic() - began, 1)
    result: dict[str, Any] = plain(report)
    return result, judged


def stable(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without times: the same bytes for the same frames, models and options, whatever the workers."""

    def without(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: without(item) for key, item in value.items() if key not in NOT_REPRODUCIBLE}
        return [without(item) for item in value] if isinstance(value, list) else value

    result: dict[str, Any] = without(report)
    return result


def chosen_frames(source: FrameSet, options: Options) -> tuple[SetFrame, ...]:
    """The labelled frames of the side asked for.

    Raises:
        UserError: no such side.
    """
    side = options.side or ("test" if "test" in source.sides else None)
    if side is not None and side not in source.sides:
        raise UserError(
            "--side",
            received=side,
            expected=f"one of {', '.join(source.sides)}" if source.sides else "no side: it has none",
        )
    frames = source.frames if side is None else source.of(side)
    if options.values and options.tags:
        frames = tuple(f for f in frames if f.tags.get(options.tags[0]) in options.values)
    return tuple(frame for frame in frames if frame.label in ("good", "defect"))


def _judged(
    source: FrameSet, frames: tuple[SetFrame, ...], contestant: Contestant, options: Options, progress: Progress
) -> Judged:
    bundle = load_bundle(contestant.bundle)
    calibration = tuple(f for f in source.of("calibrate") if f.label == "good")
    if options.values and options.tags:
        calibration = tuple(f for f in calibration if f.tags.get(options.tags[0]) in options.values)
    inspector, told = _inspector(contestant, bundle, options)
    calibrated: list[Scored] = []
    if (inspector is None or options.tags) and calibration:
        probe = inspector or _plain_inspector(contestant, 0.0)
        calibrated = run(
            probe, source, calibration, options, pixels=False, say=_said(progress, contestant, "calibrating")
        ).frames
    if inspector is None:
        if calibrated:
            high = _threshold([f.score for f in calibrated], options.false_rejects)
            told = f"the {len(calibrated)} good frames of the side calibrate"
        else:
            high, told = 0.0, ""
        inspector = _plain_inspector(contestant, high)
        if not told:
            first = run(inspector, source, frames, options, pixels=False, say=_said(progress, contestant, "scoring"))
            good = [frame.score for frame in first.frames if not frame.is_bad]
            inspector = _plain_inspector(contestant, _threshold(good, options.false_rejects))
            told = f"the {len(good)} good frames that are judged here: optimistic, for want of a side calibrate"
    result = run(inspector, source, frames, options, pixels=options.pixels, say=_said(progress, contestant, "judging"))
    if not options.seen_before:
        _refuse_seen(source, frames, contestant, bundle, result)
    return Judged(contestant, bundle, inspector, told, result, calibrated)


def _refuse_seen(
    source: FrameSet, frames: Sequence[SetFrame], contestant: Contestant, bundle: Bundle, result: ShardResult
) -> None:
    """Refuse frames, and parts, that the model was fitted on or its threshold measured on."""
    fix = "judge another side of the split (--side), or split the set: edge split"
    seen = [(fitted_on(bundle), f"{contestant.name} was fitted on")]
    line = contestant.line
    if line is not None and line.config.calibration is not None and line.config.regions.threshold == "calibrated":
        calibration = Calibration.load(line.resolve(line.config.calibration))
        seen.append((ids_of(calibration.frames_used), f"the threshold of {contestant.name} was measured on"))
    for used, what in seen:
        refuse_used(used, result.contents, what, fix)
        refuse_used_parts(used, source, frames, what, fix)


def _threshold(scores: Sequence[float | None], rate: float) -> float:
    return threshold_at(np.array([s for s in scores if s is not None]), rate)


def _said(progress: Progress, contestant: Contestant, verb: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"{verb} with {contestant.name}", done, total)


def _inspector(contestant: Contestant, bundle: Bundle, options: Options) -> tuple[Inspector | None, str]:
    """What a line's config or ``--threshold`` says; None where the threshold must be found first."""
    line = contestant.line
    if line is None:
        if options.threshold is None:
            return None, ""
        return _plain_inspector(contestant, options.threshold), "--threshold"
    if options.threshold is not None:
        regions = line.config.regions.model_copy(update={"threshold": ThresholdConfig(high=options.threshold, low=None)})
        line = replace(line, config=line.config.model_copy(update={"regions": regions}))
    config = line.resolved
    criteria = load_criteria(line, bundle, scales_sha256(config.model, config.source, bundle))
    model = config.model.model_copy(update={"bundle": contestant.bundle})
    told = "the calibration file" if criteria.calibration_sha256 else "the config"
    return (
        Inspector(model, criteria.regions, criteria.high, criteria.low, criteria.mask, line.config.source.levels),
        told if options.threshold is None else "--threshold",
    )


def _plain_inspector(contestant: Contestant, high: float) -> Inspector:
    return Inspector(ModelConfig(bundle=contestant.bundle), RegionsConfig(), high)


def run(
    inspector: Inspector,
    source: FrameSet,
    frames: tuple[SetFrame, ...],
    options: Options,
    *,
    pixels: bool,
    say: Callable[[int, int], None] = lambda *_: None,
) -> ShardResult:
    """Every frame through the model, by as many workers as were asked for; the result doesn't depend on their number."""
    task = JudgeTask(inspector, source, frames, pixels)
    try:
        done = spread(
            task, shards_of(len(frames), SHARD), workers=options.workers, progress=lambda p: say(p.frames, p.total)
        )
    finally:
        task.close()
    whole = ShardResult()
    for data in done.results:
        part: ShardResult = pickle.loads(data)  # noqa: S301  (this program's own, from its own workers)
        whole.frames += part.frames
        whole.notes += part.notes
        whole.contents += part.contents
        whole.unreadable += part.unreadable
        whole.curves.merge(part.curves)
    whole.unreadable += [(lost.name, f"it killed two workers: {lost.how}") for lost in done.lost]
    return whole


def _about(source: FrameSet, frames: Sequence[SetFrame], options: Options) -> dict[str, Any]:
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


def _of_model(one: Judged, source: FrameSet, frames: tuple[SetFrame, ...], options: Options) -> dict[str, Any]:
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


def _matrix(one: Judged, tag: str, options: Options) -> dict[str, Any]:
    frames = one.result.frames
    values = sorted({frame.tags[tag] for frame in frames if tag in frame.tags})
    taken = one.calibrated_on or frames
    rows = {value: ([f for f in taken if f.tags.get(tag) == value], frames) for value in values}
    message = matrix(rows, tag, options.false_rejects, replicates=options.replicates, seed=options.seed)
    message["thresholds_from"] = "side calibrate" if one.calibrated_on else "the judged frames themselves: optimistic"
    return message


def _across(judged: Sequence[Judged], options: Options) -> dict[str, Any] | None:
    """The matrix in which each row has a model of its own; None where the models aren't named after values of the first
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


def _notes(source: FrameSet, frames: Sequence[SetFrame], judged: Sequence[Judged]) -> list[str]:
    notes = []
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
