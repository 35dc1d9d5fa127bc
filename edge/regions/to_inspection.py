"""The inspection itself, in two halves: a frame to its anomaly map, and a map to its verdict.

Calibration and evaluation call both. The daemon's infer stage takes the first half in two steps, ``start`` and ``finish``,
with the engine between them (``edge.line.in_flight``); its judge stage calls the second. Replay is the daemon's own stages.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import BundleSpec
from edge.engines import Engine, Prediction
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Inspection
from edge.preprocess.prepare import FrameSizeMismatch, Workspace, prepare
from edge.preprocess.tiling import Tiling
from edge.regions.criteria import Rules
from edge.regions.find import Found, MapNotFinite, find_regions, map_max
from edge.regions.verdict import invalid, judge

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Why a frame has no map: ``reason`` is the record's, ``text`` is for the log."""

    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Job:
    """What one frame asks of an engine: ``image`` (H, W, C), or its tiles (n, h, w, C) where the bundle has any.

    ``image`` may be a view of the frame or of the workspace: valid until either is used again.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    map_to_image: tuple[float, float, float, float]
    tiling: Tiling | None


def start(frame: Frame, spec: BundleSpec, workspace: Workspace) -> Job:
    """Prepare the frame as the bundle declares, and cut it into tiles where the bundle has any.

    Raises:
        FrameSizeMismatch: the model can't take a frame of this size.
    """
    prepared = prepare(frame, spec, workspace)
    if spec.tile is None:
        return Job(prepared.image, prepared.map_to_image, None)
    tiling = workspace.tiling(spec.tile, (prepared.image.shape[1], prepared.image.shape[0]), spec.tile_scale)
    return Job(tiling.cut(prepared.image), prepared.map_to_image, tiling)


def finish(job: Job, prediction: Prediction) -> AnomalyMap:
    """What the engine said of a job, as a map of the frame. Of tiles: the highest score, no embedding."""
    if job.tiling is None:
        return AnomalyMap(prediction.map, job.map_to_image, prediction.score, prediction.embedding)
    return AnomalyMap(job.tiling.stitch(prediction.map), job.map_to_image, prediction.score)


def to_map(frame: Frame, engine: Engine, workspace: Workspace) -> AnomalyMap | Unmapped:
    """One frame through one engine, waited for.

    ``Unmapped("frame_size")`` where the model can't take a frame of this size. Whatever the runtime raises passes through.
    """
    try:
        job = start(frame, engine.bundle.spec, workspace)
        return finish(job, engine.infer(job.image))
    except FrameSizeMismatch as error:
        return Unmapped("frame_size", str(error))


def to_inspection(frame: Frame, amap: AnomalyMap | Unmapped, rules: Rules) -> tuple[Inspection, Found | None]:
    """The verdict on one map, without its latency. ``Found`` holds the mask, valid until the next call with these rules."""
    if isinstance(amap, Unmapped):
        return invalid(frame.meta, amap.reason, rules.high), None
    try:
        controls = rules.controls(amap, frame.meta.width, frame.meta.height)
    except UserError as error:  # an ROI or mask picture that doesn't fit a frame of this size
        if rules.is_news(error):
            log.warning("regions_do_not_fit", width=frame.meta.width, height=frame.meta.height, error=str(error))
        return invalid(frame.meta, "frame_size", rules.high, amap.score), None
    try:
        highest = map_max(amap.values, controls)
    except MapNotFinite:
        return invalid(frame.meta, "map_not_finite", rules.high, amap.score), None
    found = find_regions(amap.values, controls, highest, explain=rules.explain)
    return judge(frame.meta, amap, highest, found, rules.high), found
