"""A line's thresholds are measured on recorded good frames: its own model and ROI, through the live inspection's first
half.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle, load_bundle
from edge.config.calibration import Calibration, CalibrationKey, calibration_key
from edge.config.frame_kind import common_kind
from edge.config.line import Config
from edge.config.sources import SourceConfig
from edge.engines.graph_io import blank_picture
from edge.engines.line_engine import open_line_engine, scales_sha256
from edge.engines.probe_pictures import generated_pictures
from edge.engines.protocol import BuildProgress, Engine, say_nothing
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, FrameKind, Skip, Unmapped
from edge.models.calibrate.quantile import QuantileSketch
from edge.models.calibrate.score import calibrate_score
from edge.models.calibrate.spread_measure import SpreadRun, measure_spread, other_size
from edge.models.calibrate.thresholds import CalibrationResult, ScoreResult, calibrate
from edge.models.frame_survey import Survey
from edge.models.sets.used import content_id, fitted_on, refuse_used
from edge.preprocess.pixel_formats import to_depth
from edge.regions.plan import RegionPlan
from edge.regions.plans import RegionPlans
from edge.storage.mask_picture import read_mask
from edge.storage.pictures import frame_name

Outliers: TypeAlias = Literal["refuse", "leave_out", "keep"]
_Named: TypeAlias = tuple[str, AnomalyMap, int, int]
"""A frame's name, its map, its width and height."""


def measure(
    config: Config,
    frames: Callable[[], Iterable[Frame | Skip]],
    *,
    source: str,
    false_rejects: float = 0.001,
    quantile: float = 0.999,
    outliers: Outliers = "refuse",
    seen_before: bool = True,
    tell: BuildProgress = say_nothing,
    run: SpreadRun | None = None,
) -> tuple[Calibration, CalibrationResult]:
    """The calibration of the config's model, ROI, border and smoothing on good frames; skips are passed over.

    ``config``: with its paths resolved. ``frames`` is called once more, for the same frames, if outliers are left out.
    ``outliers``: as in ``calibrate``. ``seen_before``: frames that the model was fitted on may be among them; a threshold
    from those is too low for others. ``tell``: hears how far a build is that takes minutes. ``run``: the same frames spread
    over processes; parts out of place are then left out and noted, as lost frames are.

    Raises:
        OutlierError: an outlier would set the threshold.
        UserError: no frame, frames of several kinds, one that the model or the ROI doesn't fit, a map that isn't finite or
            that no defect can raise.
    """
    bundle = load_bundle(config.model.bundle)
    mask, mask_bytes = read_mask(config.regions.roi)
    engine = open_line_engine(config.model, config.source, bundle, tell=tell)
    passes = _Passes(config.source, frames, engine, RegionPlans(config.regions, mask), source)
    passes.refused = frozenset() if seen_before else fitted_on(bundle)
    try:
        result = calibrate(
            passes.values,
            passes.first_plan(),
            false_rejects=false_rejects,
            quantile=quantile,
            floor=bundle.spec.display.threshold,
            outliers=outliers,
            reach=lambda: _reach(engine),
            highest=bundle.spec.map_highest,
            measured=None if run is None else lambda left_out: passes.spread(config, run, left_out),
        )
        score, why_not = _score(config, passes.scores, result.left_out, engine, (false_rejects, outliers))
    finally:
        engine.close()
    result = replace(result, score=score)
    calibration = Calibration(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        high=result.high,
        low=result.low,
        score_high=result.score_high,
        false_rejects=false_rejects,
        quantile=quantile,
        frames=result.frames,
        left_out=result.all_left_out,
        source=source,
        frames_used=" ".join(sorted(set(passes.contents.values()))),
        note="; ".join(filter(None, [result.note, why_not, *passes.survey_notes(), *passes.notes])),
        key=_key(config, bundle, mask_bytes, passes.kinds),
    )
    return calibration, result


def _score(
    config: Config,
    scores: Sequence[tuple[str, float | None]],
    left_out: Sequence[str],
    engine: Engine,
    rules: tuple[float, Outliers],
) -> tuple[ScoreResult | None, str]:
    """The score's threshold, or None and why there is none: a line that doesn't need one is calibrated all the same.

    Raises:
        UserError: the line has a rule of the score, and ``calibrate_score`` refuses.
    """
    highest, (false_rejects, outliers) = engine.bundle.spec.score_highest, rules
    try:
        return calibrate_score(
            scores,
            left_out,
            false_rejects=false_rejects,
            outliers=outliers,
            reach=lambda: _score_reach(engine),
            highest=highest,
        ), ""
    except UserError as error:
        if config.score is not None:
            raise
        return None, f"score.high is not measured: {error.what}"


def _key(config: Config, bundle: Bundle, mask: bytes | None, kinds: Collection[FrameKind]) -> CalibrationKey:
    model = config.model
    scales = scales_sha256(model, config.source, bundle)
    key = calibration_key(config.regions, bundle.sha256, model.precision, mask, scales, source=config.source)
    return CalibrationKey.model_validate({**key, "frames": common_kind(kinds)})


@dataclass(slots=True)
class _Passes:
    """Goes through the maps of all good frames, as often as it is asked to, each map valid until the next."""

    config: SourceConfig
    frames: Callable[[], Iterable[Frame | Skip]]
    engine: Engine
    plans: RegionPlans
    source: str
    """What the frames are, for error texts."""
    survey: Survey = field(default_factory=Survey)
    kinds: set[FrameKind] = field(default_factory=set)
    """Kinds of the frames as the model gets them."""
    notes: list[str] = field(default_factory=list)
    """Frames that were left out or lost, and why."""
    _numbers: list[int] = field(default_factory=list)
    """Numbers of the frames that had a map in the last spread pass."""
    scores: list[tuple[str, float | None]] = field(default_factory=list)
    """Each frame's name and image score, None if the model gives none."""
    contents: dict[str, str] = field(default_factory=dict)
    """Names and content ids of the frames."""
    refused: frozenset[str] = frozenset()
    """Content ids that must not be among them."""
    _begun: list[Iterator[_Named]] = field(default_factory=list)
    """The pass whose first map was looked at for its size; it is gone on with."""
    _plan: RegionPlan | None = None
    _size: tuple[int, int] = (0, 0)

    @property
    def any_size(self) -> bool:
        """Frames may differ in size: no camera gives them, and the model was not fitted on frames of one size."""
        frames = self.engine.bundle.spec.frames
        return not self.config.one_size and (frames is None or frames.size is None)

    def survey_notes(self) -> list[str]:
        """What a person should know of the frames, for this model."""
        return self.survey.notes(any_size=self.engine.bundle.spec.input.size == "any")

    def first_plan(self) -> RegionPlan:
        """The plan for maps like the first frame's.

        Raises:
            UserError: there is no frame.
        """
        maps = self._maps()
        first = next(maps, None)
        if first is None:
            raise UserError(
                f"{self.source}: no frame to calibrate on", expected="pictures, a recording or a video of good parts"
            )
        _, amap, width, height = first
        self._size = width, height
        self._begun.append(chain([first], maps))
        self._plan = self.plans.plan(amap, width, height)
        return self._plan

    def values(self) -> Iterator[tuple[str, NDArray[np.float32]]]:
        """Each frame's name and map.

        Raises:
            UserError: frames of several sizes or kinds.
        """
        assert self._plan is not None
        first = bool(self._begun)
        for name, amap, width, height in self._begun.pop() if self._begun else self._maps():
            if (width, height) != self._size and not self._comparable(self.plans.plan(amap, width, height)):
                raise other_size(name, (width, height), self._size)
            if first:
                self.scores.append((name, amap.score))
            yield name, amap.values
        self.survey.check(self.source, sized=self.any_size)
        refuse_used(self.refused, self.contents.items(), "the model was fitted on", "calibrate on other frames")

    def _comparable(self, plan: RegionPlan) -> bool:
        """Maps of this plan can be measured by the first one's."""
        assert self._plan is not None
        return self.any_size and self._plan.is_of_same_pixels(plan)

    def spread(
        self, config: Config, run: SpreadRun, left_out: Collection[int]
    ) -> tuple[list[tuple[str, float]], QuantileSketch]:
        """One pass of ``run``: names and maxima, and the pixels of all but those at the places ``left_out``."""
        size = None if self.any_size else self._size
        done = measure_spread(config, run, self.engine, size, [self._numbers[place] for place in left_out])
        done.survey.check(self.source, sized=self.any_size)
        self._numbers = [number for number, _, _ in done.maxima]
        self.survey, self.kinds, self.scores = done.survey, done.kinds, done.scores
        self.contents |= done.contents
        refuse_used(self.refused, self.contents.items(), "the model was fitted on", "calibrate on other frames")
        # whoever gave the frames asks them what is missing
        run.frames.places[0].unread.update(done.unread | {lost.name: 1 for lost in done.lost})
        self.notes = [f"left out: {text}" for text in done.out_of_place]
        self.notes += [f"lost: {lost.name} ended two workers ({lost.how})" for lost in done.lost]
        return [(name, maximum) for _, name, maximum in done.maxima], done.pixels

    def _maps(self) -> Iterator[_Named]:
        frames = noted(self.survey.seen(self.frames()), self.contents)
        return _maps((as_live(frame, self.config) for frame in frames), self.engine, self.kinds)


def noted(frames: Iterable[Frame | Skip], contents: dict[str, str]) -> Iterator[Frame | Skip]:
    """Yield the frames as they come; ``contents`` gets the name and the content id of each."""
    for frame in frames:
        if isinstance(frame, Frame):
            contents[frame_name(frame.meta.frame_ref, frame.meta.frame_id)] = content_id(frame.pixels)
        yield frame


def _reach(engine: Engine) -> float:
    """The highest value that the map has on generated pictures, which are full of contrast."""
    maps = (engine.infer(picture).map for picture in _contrasts(engine))
    return max(float(values.max(where=np.isfinite(values), initial=-np.inf)) for values in maps)


def _score_reach(engine: Engine) -> float:
    """The highest score of those pictures."""
    scores = [engine.infer(picture).score for picture in _contrasts(engine)]
    return max((score for score in scores if score is not None and np.isfinite(score)), default=-np.inf)


def _contrasts(engine: Engine) -> Iterable[NDArray[Any]]:
    height, width, channels = blank_picture(engine.bundle).shape
    return generated_pictures((width, height), channels, engine.bundle.spec.input.bits).values()


def as_live(frame: Frame | Skip, source: SourceConfig) -> Frame | Skip:
    """Return a frame with the bits that the line's model is given, because files may hold more."""
    return frame if isinstance(frame, Skip) else to_depth(frame, *source.levels)


def _maps(frames: Iterable[Frame | Skip], engine: Engine, kinds: set[FrameKind]) -> Iterator[_Named]:
    workspace = ready_workspace(engine.bundle)
    for frame in frames:
        if isinstance(frame, Skip):
            continue
        name = frame_name(frame.meta.frame_ref, frame.meta.frame_id)
        kinds.add(FrameKind.of(frame))
        amap = to_map(frame, engine, workspace)
        if isinstance(amap, Unmapped):
            raise UserError(f"{name}: {amap.text}")
        yield name, amap, frame.meta.width, frame.meta.height
