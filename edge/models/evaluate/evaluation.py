"""The evaluation of one or two models on a labelled set: frames chosen, judged and summed up into one report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.config.bundle import Bundle, load_bundle
from edge.config.calibration import Calibration
from edge.config.line import ModelConfig
from edge.config.regions import RegionsConfig, ThresholdConfig
from edge.engines.line_engine import scales_sha256
from edge.errors import UserError
from edge.models.evaluate.chapters import about, across, notes_of, of_model
from edge.models.evaluate.contest import Contestant, EvaluateOptions, JudgedModel
from edge.models.evaluate.judge import Inspector, JudgeTask, ShardResult, check_labelled
from edge.models.evaluate.ranking import threshold_at
from edge.models.evaluate.scored import Scored
from edge.models.evaluate.side_by_side import side_by_side
from edge.models.evaluate.summary import (
    plain,
)
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import fitted_on, ids_of, refuse_used, refuse_used_parts
from edge.regions.criteria import load_criteria
from edge.spread import shards_of, spread
from edge.storage.mask_picture import read_mask

EVALUATION_SCHEMA: Final = 1
SHARD: Final = 32
"""Frames of a shard: the same for any number of workers, and with it the last digits of every sum."""
NOT_REPRODUCIBLE: Final = ("created", "latency_ms", "seconds")
"""Keys that another run on the same frames may give differently."""


EvaluateProgress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""


def evaluate(
    source: FrameSet,
    contestants: Sequence[Contestant],
    options: EvaluateOptions,
    progress: EvaluateProgress = lambda *_: None,
) -> tuple[dict[str, Any], list[JudgedModel]]:
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
        "set": about(source, frames, options),
        "replicates": options.replicates,
        "seed": options.seed,
        "models": [of_model(one, source, frames, options) for one in judged],
        "notes": notes_of(source, frames, judged),
    }
    if len(judged) == 2:
        names = (judged[0].contestant.name, judged[1].contestant.name)
        report["comparison"] = side_by_side(
            judged[0].result.frames, judged[1].result.frames, names, replicates=options.replicates, seed=options.seed
        )
    if (conditions := across(judged, options)) is not None:
        report["matrix"] = conditions
    report["seconds"] = round(time.monotonic() - began, 1)
    result: dict[str, Any] = plain(report)
    return result, judged


def without_times(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without times: the same bytes for the same frames, models and options, whatever the workers."""

    def without(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: without(item) for key, item in value.items() if key not in NOT_REPRODUCIBLE}
        return [without(item) for item in value] if isinstance(value, list) else value

    result: dict[str, Any] = without(report)
    return result


def chosen_frames(source: FrameSet, options: EvaluateOptions) -> tuple[SetFrame, ...]:
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
    source: FrameSet,
    frames: tuple[SetFrame, ...],
    contestant: Contestant,
    options: EvaluateOptions,
    progress: EvaluateProgress,
) -> JudgedModel:
    bundle = load_bundle(contestant.bundle)
    calibration = tuple(f for f in source.of("calibrate") if f.label == "good")
    if options.values and options.tags:
        calibration = tuple(f for f in calibration if f.tags.get(options.tags[0]) in options.values)
    inspector, origin = _inspector(contestant, bundle, options)
    calibrated: list[Scored] = []
    if (inspector is None or options.tags) and calibration:
        probe = inspector or _plain_inspector(contestant, 0.0)
        calibrated = judge_all(
            probe, source, calibration, options, pixels=False, say=_said(progress, contestant, "calibrating")
        ).frames
    if inspector is None:
        if calibrated:
            high = _threshold([f.score for f in calibrated], options.false_rejects)
            origin = f"the {len(calibrated)} good frames of the side calibrate"
        else:
            high, origin = 0.0, ""
        inspector = _plain_inspector(contestant, high)
        if not origin:
            first = judge_all(inspector, source, frames, options, pixels=False, say=_said(progress, contestant, "scoring"))
            good = [frame.score for frame in first.frames if not frame.is_bad]
            inspector = _plain_inspector(contestant, _threshold(good, options.false_rejects))
            origin = f"the {len(good)} good frames that are judged here: optimistic, for want of a side calibrate"
    result = judge_all(
        inspector, source, frames, options, pixels=options.pixels, say=_said(progress, contestant, "judging")
    )
    if not options.seen_before:
        _refuse_seen(source, frames, contestant, bundle, result)
    return JudgedModel(contestant, bundle, inspector, origin, result, calibrated)


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


def _said(progress: EvaluateProgress, contestant: Contestant, verb: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(f"{verb} with {contestant.name}", done, total)


def _inspector(contestant: Contestant, bundle: Bundle, options: EvaluateOptions) -> tuple[Inspector | None, str]:
    """What a line's config or ``--threshold`` says; None if the threshold must be found first."""
    line = contestant.line
    if line is None:
        if options.threshold is None:
            return None, ""
        return _plain_inspector(contestant, options.threshold), "--threshold"
    if options.threshold is not None:
        regions = line.config.regions.model_copy(update={"threshold": ThresholdConfig(high=options.threshold, low=None)})
        line = replace(line, config=line.config.model_copy(update={"regions": regions}))
    config = line.resolved
    scales = scales_sha256(config.model, config.source, bundle)
    criteria = load_criteria(config, bundle, scales, read_mask(config.regions.roi), named=line.path)
    model = config.model.model_copy(update={"bundle": contestant.bundle})
    origin = "the calibration file" if criteria.calibration_sha256 else "the config"
    return (
        Inspector(model, criteria.regions, criteria.high, criteria.low, criteria.mask, line.config.source.levels),
        origin if options.threshold is None else "--threshold",
    )


def _plain_inspector(contestant: Contestant, high: float) -> Inspector:
    return Inspector(ModelConfig(bundle=contestant.bundle), RegionsConfig(), high)


def judge_all(
    inspector: Inspector,
    source: FrameSet,
    frames: tuple[SetFrame, ...],
    options: EvaluateOptions,
    *,
    pixels: bool,
    say: Callable[[int, int], None] = lambda *_: None,
) -> ShardResult:
    """Every frame through the model, by as many workers as were asked for; the result doesn't depend on their number."""
    task, whole = JudgeTask(inspector, source, frames, pixels), ShardResult()
    try:
        done = spread(
            task,
            shards_of(len(frames), SHARD),
            workers=options.workers,
            cluster=options.cluster,
            kept_in=options.kept_in,
            key="" if options.kept_in is None else task.key(),
            seen=partial(_seen, source, frames, inspector.model.bundle),
            progress=lambda p: say(p.frames, p.total),
            taken=lambda data: whole.add(ShardResult.from_bytes(data)),
        )
    finally:
        task.close()
    whole.unreadable += [(lost.name, f"it killed two workers: {lost.how}") for lost in done.lost]
    return whole


def _seen(source: FrameSet, frames: tuple[SetFrame, ...], bundle: Path) -> str:
    """What a machine sees of the set and of the model. Raises UserError where it sees none."""
    return f"{source.seen(frames)}, model {load_bundle(bundle).sha256[:12]}"
