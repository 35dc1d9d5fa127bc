"""A map becomes a verdict here; with ``edge.engines.to_map``, which makes a frame's map, that is the whole inspection.

Calibration and evaluation call both. The daemon's infer stage takes the first half in two steps, ``start`` and ``finish``,
with the engine between them (``edge.line.in_flight``); its judge stage calls the second. Replay is the daemon's own stages.
"""

from __future__ import annotations

import math

import structlog

from edge.errors import UserError
from edge.frames import AnomalyMap, Found, Frame, Inspection, Unmapped
from edge.regions.criteria import Criteria
from edge.regions.find import MapNotFinite, find_regions, map_max
from edge.regions.verdict import invalid, judge

log = structlog.get_logger()


def to_inspection(frame: Frame, amap: AnomalyMap | Unmapped, criteria: Criteria) -> tuple[Inspection, Found | None]:
    """Judge one map; the latency is added later. ``Found`` holds the mask, which is valid until the next call."""
    if isinstance(amap, Unmapped):
        return invalid(frame.meta, amap.reason, criteria.high), None
    try:
        plan = criteria.plan(amap, frame.meta.width, frame.meta.height)
    except UserError as error:  # an ROI or mask picture that doesn't fit a frame of this size
        if criteria.is_news(error):
            log.warning("regions_do_not_fit", width=frame.meta.width, height=frame.meta.height, error=str(error))
        return invalid(frame.meta, "frame_size", criteria.high, amap.score), None
    try:
        highest = map_max(amap.values, plan)
    except MapNotFinite:
        return invalid(frame.meta, "map_not_finite", criteria.high, amap.score), None
    if criteria.score_high is not None and (amap.score is None or not math.isfinite(amap.score)):
        return invalid(frame.meta, "score_not_finite", criteria.high, amap.score), None
    found = find_regions(amap.values, plan, highest, explain=criteria.explain)
    return judge(frame.meta, amap, highest, found, criteria.high, criteria.score_high), found
