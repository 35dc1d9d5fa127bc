"""The judge's criteria for one run are thresholds from config or calibration, the ROI mask and the deadline."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.config.calibration import TUNED, Calibration, calibration_key, check_key
from edge.config.line import Config, ModelConfig
from edge.config.regions import MaskPicture, RegionsConfig, ThresholdConfig
from edge.errors import UserError
from edge.frames import ANY_KIND, AnomalyMap, FrameKind
from edge.regions.plan import RegionPlan
from edge.regions.plans import RegionPlans
from edge.regions.roi import ShapePixels


@dataclass(slots=True)
class Criteria:
    """Criteria hold the thresholds in force and the plan made for each size of frame. They are used by one thread."""

    regions: RegionsConfig
    high: float
    low: float | None = None
    mask: NDArray[np.uint8] | None = None
    deadline_ms: float | None = None
    calibration_sha256: str | None = None
    overridden: bool = False
    """True if explicit thresholds stand in the config although there is a calibration file."""
    stale: str = ""
    """What differs from the line that the thresholds were measured on, in words; only while somebody tunes it."""
    explain: bool = False
    """Also report what was dropped on the way to the regions. This is for replay, because it costs time."""
    score_high: float | None = None
    """Threshold of the image score, None if it decides nothing."""
    frames: FrameKind = ANY_KIND
    """What every frame must be like: those that the thresholds were measured on."""
    shapes: ShapePixels | None = None
    """Keeps the pixels of ROI and zones from one set of criteria to the next, with their mask; None: none are kept."""
    reachable: bool = True
    """Whether criteria that no region can meet are refused. Tuning asks for it when a config is exported."""
    _plans: RegionPlans = field(init=False)
    _seen_errors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._plans = RegionPlans(
            self.regions, self.mask, self.high, self.low, shapes=self.shapes, reachable=self.reachable
        )

    def plan(self, amap: AnomalyMap, width: int, height: int) -> RegionPlan:
        """Return the plan for maps of this shape over frames of this size, which is made once.

        Raises:
            UserError: the ROI or the mask picture doesn't fit such a frame.
        """
        return self._plans.plan(amap, width, height)

    def is_news(self, error: UserError) -> bool:
        """Return True the first time, so that a problem that every frame has is logged once."""
        text = str(error)
        news = text not in self._seen_errors
        self._seen_errors.add(text)
        return news


def load_criteria(
    config: Config,
    bundle: Bundle,
    scales: str | None,
    mask_picture: MaskPicture,
    *,
    named: Path,
    tuning: bool = False,
) -> Criteria:
    """Take thresholds from the config or, where it says ``calibrated``, from the calibration file, and check that it fits.

    ``config`` has its paths resolved; ``named`` is its file, for errors. ``mask_picture`` is what the ROI's picture says
    (``edge.storage.mask_picture``).
    ``scales`` is ``edge.engines.line_engine.scales_sha256`` of the same config and bundle, a part of the calibration's key.
    It has no default, because a caller that forgot it would accept an int8 calibration that was made with other scales.
    ``tuning``: take thresholds that were measured with another ROI, border, smoothing or zones, and say so in ``stale``.

    Raises:
        UserError: there is no calibration file, or it was made for another model, ROI, border, smoothing, zones or
            precision.
    """
    mask, mask_bytes = mask_picture
    threshold = config.regions.threshold
    check_highest(config.regions, bundle.spec.map_highest)
    given = None if config.score is None else config.score.high
    bounded = bundle.spec.score_highest
    if isinstance(given, float):
        _check_reached("score.high", given, bounded, "score")
    if isinstance(threshold, ThresholdConfig):
        overridden = config.calibration is not None
        criteria = Criteria(config.regions, threshold.high, threshold.low, mask, config.deadline_ms, overridden=overridden)
        criteria.frames = _of_size(ANY_KIND if bundle.spec.frames is None else bundle.spec.frames.kind, config.model)
        if given == "calibrated":
            raise UserError(
                f"{named}: score.high is 'calibrated', and regions.threshold gives numbers",
                expected="both from the calibration file, or both by hand",
                fix="set score: {high: NUMBER}, or regions.threshold: calibrated",
            )
        criteria.score_high = given
        return criteria
    path = _calibration_of(config, named)
    calibration = Calibration.load(path)
    precision = config.model.precision
    key = calibration_key(config.regions, bundle.sha256, precision, mask_bytes, scales, source=config.source)
    differs = check_key(calibration, key, path, allowed=TUNED if tuning else frozenset())
    _check_reached(f"{path}: high", calibration.high, bundle.spec.map_highest)
    criteria = Criteria(config.regions, calibration.high, calibration.low, mask, config.deadline_ms, calibration.sha256)
    criteria.stale = differs
    if given == "calibrated" and calibration.score_high is None:
        raise UserError(
            f"{path}: no threshold of the score was measured",
            expected="a model that gives a score, and a calibration of it",
            fix="run edge calibrate again, or set score: {high: NUMBER}",
        )
    criteria.score_high = calibration.score_high if given == "calibrated" else given
    if given == "calibrated" and calibration.score_high is not None:
        _check_reached(f"{path}: score_high", calibration.score_high, bounded, "score")
    measured = calibration.key.frames or bundle.spec.frames
    criteria.frames = _of_size(ANY_KIND if measured is None else measured.kind, config.model)
    return criteria


def check_calibration_is_there(config: Config, named: Path) -> None:
    """Raises UserError if the config needs a calibration file and none is named, or it isn't there."""
    if not isinstance(config.regions.threshold, ThresholdConfig):
        _calibration_of(config, named)


def _calibration_of(config: Config, named: Path) -> Path:
    if config.calibration is None:
        raise UserError(
            f"{named}: regions.threshold is 'calibrated', but no calibration file is named",
            expected="calibration: FILE, or regions.threshold: {high: ..., low: ...}",
            fix=f"add 'calibration: {config.camera}.calibration.yaml' and run: edge calibrate GOOD_FRAMES -c {named}",
        )
    path = config.calibration
    if not path.exists():
        raise UserError(
            f"{path}: no such calibration file",
            fix=f"make it from good frames: edge calibrate GOOD_FRAMES -c {named}",
            passes=True,
        )
    return path


def _of_size(kind: FrameKind, model: ModelConfig) -> FrameKind:
    """Check ``model.frame_size`` too. Raises UserError if it is another size than the good frames had."""
    size = model.frame_size
    if size is not None and kind.size not in (None, size):
        raise UserError(
            "model.frame_size: the good frames had another size",
            received=f"{size[0]}x{size[1]}",
            expected=str(kind),
            fix="correct it, or fit and calibrate on frames of this size",
        )
    return replace(kind, size=size or kind.size)


def check_highest(regions: RegionsConfig, highest: float | None) -> None:
    """Refuse thresholds and score gates that no map can reach. ``highest``: ``map_highest`` of the bundle.

    Raises:
        UserError: names the key.
    """
    limits = [("min_score_max", regions.min_score_max), ("min_score_mean", regions.min_score_mean)]
    if isinstance(regions.threshold, ThresholdConfig):
        limits.append(("threshold.high", regions.threshold.high))
    limits += [(f"zones[{i}].threshold.high", z.threshold.high) for i, z in enumerate(regions.zones) if z.threshold]
    for key, value in limits:
        if value is not None:
            _check_reached(f"regions.{key}", value, highest)


def _check_reached(what: str, value: float, highest: float | None, of: Literal["map", "score"] = "map") -> None:
    if highest is not None and value > np.nextafter(np.float32(highest), np.float32(np.inf)):
        then = "every frame would pass" if of == "map" else "no frame would fail by it"
        raise UserError(
            f"{what}: no {of} can reach it, so {then}",
            received=f"{value:g}",
            expected=f"at most {highest:g}, the highest value that the model can give ({of}_highest in bundle.yaml)",
            fix=f"set a lower one, or build the bundle from a model whose {of} is not bounded there",
        )
