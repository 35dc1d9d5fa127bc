"""The inspection itself, in two halves: a frame to its anomaly map, and a map to its verdict.

The daemon's infer and judge stages call one half each; replay, calibration and evaluation call both. Nothing else calls
``engine.infer``.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from edge.engines import Engine
from edge.errors import UserError
from edge.frames import AnomalyMap, Frame, Inspection
from edge.preprocess import FrameSizeMismatch, Workspace, prepare
from edge.regions import Found, MapNotFinite, find_regions, map_max
from edge.rules import Rules
from edge.verdict import invalid, judge

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Why a frame has no map: ``reason`` is the record's, ``text`` is for the log."""

    reason: str
    text: str


def to_map(frame: Frame, engine: Engine, workspace: Workspace) -> AnomalyMap | Unmapped:
    """Prepare the frame as the bundle declares and run the model, on its tiles where the bundle has any.

    The score is then the highest tile's, and there is no embedding.
    ``Unmapped("frame_size")`` where the model can't take a frame of this size. Whatever the runtime raises passes through.
    """
    spec = engine.bundle.spec
    try:
        prepared = prepare(frame, spec, workspace)
    except FrameSizeMismatch as error:
        return Unmapped("frame_size", str(error))
    if spec.tile is None:
        prediction = engine.infer(prepared.image)
        return AnomalyMap(prediction.map, prepared.map_to_image, prediction.score, prediction.embedding)
    tiling = workspace.tiling(spec.tile, (prepared.image.shape[1], prepared.image.shape[0]), spec.tile_scale)
    prediction = engine.infer(tiling.cut(prepared.image))
    return AnomalyMap(tiling.stitch(prediction.map), prepared.map_to_image, prediction.score)


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
