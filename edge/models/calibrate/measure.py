"""A line's thresholds measured on recorded good frames: its own model and ROI, through the live inspection's first half."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import load_bundle
from edge.config.calibration import Calibration, CalibrationKey, calibration_key
from edge.config.load import Loaded
from edge.config.sources import SourceConfig
from edge.engines.line_engine import open_line_engine, scales_sha256
from edge.engines.protocol import BuildProgress, Engine, untold
from edge.engines.to_map import to_map
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Skip, Unmapped
from edge.models.calibrate.thresholds import CalibrationResult, calibrate
from edge.preprocess.pixel_formats import levels_of, to_depth
from edge.preprocess.prepare import Workspace
from edge.regions.criteria import Criteria, read_mask
from edge.storage.pictures import frame_name


def measure(
    loaded: Loaded,
    frames: Callable[[], Iterable[Frame | Skip]],
    *,
    source: str,
    false_rejects: float = 0.001,
    quantile: float = 0.999,
    leave_out: bool = False,
    tell: BuildProgress = untold,
) -> tuple[Calibration, CalibrationResult]:
    """The calibration of the config's model, ROI, border and smoothing on good frames; skips are passed over.

    ``frames`` gives them; it is called once more, for the same frames, where there are outliers to be left out.
    ``tell``: hears how far a build is that takes minutes.

    Raises:
        UserError: no frame, a frame that the model or the ROI doesn't fit, a map that isn't finite.
    """
    config = loaded.config
    bundle = load_bundle(loaded.resolve(config.model.bundle))
    mask, mask_bytes = read_mask(loaded)
    criteria = Criteria(config.regions, 0.0, None, mask, None, None, False)
    engine = open_line_engine(loaded, bundle, tell=tell)
    try:

        def maps() -> Iterator[tuple[str, AnomalyMap, int, int]]:
            return _maps((as_live(frame, config.source) for frame in frames()), engine)

        begun = maps()
        first = next(begun, None)
        if first is None:
            raise UserError(
                f"{source}: no frame to calibrate on", expected="pictures, a recording or a video of good parts"
            )
        _, amap, width, height = first
        plan = criteria.plan(amap, width, height)
        passes = [chain([first], begun)]

        def values() -> Iterator[tuple[str, NDArray[np.float32]]]:
            for name, found, w, h in passes.pop() if passes else maps():
                if criteria.plan(found, w, h) is not plan:
                    raise UserError(
                        f"{name}: a frame of another size than the first",
                        received=f"{w}x{h}",
                        expected=f"{width}x{height}: one ROI and one map size for all",
                        fix="calibrate on frames of one camera setting",
                    )
                yield name, found.values

        result = calibrate(
            values,
            plan,
            false_rejects=false_rejects,
            quantile=quantile,
            floor=bundle.spec.display.threshold,
            leave_out=leave_out,
        )
    finally:
        engine.close()
    key = calibration_key(config.regions, bundle.sha256, config.model.precision, mask_bytes, scales_sha256(loaded, bundle))
    calibration = Calibration(
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        high=result.high,
        low=result.low,
        false_rejects=false_rejects,
        quantile=quantile,
        frames=result.frames,
        left_out=result.left_out,
        source=source,
        note=result.note,
        key=CalibrationKey.model_validate(key),
    )
    return calibration, result


def as_live(frame: Frame | Skip, source: SourceConfig) -> Frame | Skip:
    """Files may hold more bits than the line's model is given."""
    return frame if isinstance(frame, Skip) else to_depth(frame, *levels_of(source))


def _maps(frames: Iterable[Frame | Skip], engine: Engine) -> Iterator[tuple[str, AnomalyMap, int, int]]:
    workspace = Workspace()
    for frame in frames:
        if isinstance(frame, Skip):
            continue
        name = frame_name(frame.meta.frame_ref, frame.meta.frame_id)
        amap = to_map(frame, engine, workspace)
        if isinstance(amap, Unmapped):
            raise UserError(f"{name}: {amap.text}")
        yield name, amap, frame.meta.width, frame.meta.height
