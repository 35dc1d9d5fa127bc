"""Regions become a verdict here (pure): ``pass`` needs a finite map, no surviving region and the deadline kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge.frames import AnomalyMap, Found, FrameMeta, Inspection, Latency, Region


def judge(
    meta: FrameMeta, amap: AnomalyMap, map_max: float, found: Found, threshold: float, score_high: float | None = None
) -> Inspection:
    """Return ``fail`` if a region survived or the score reaches ``score_high``, otherwise ``pass``.

    Regions come in image pixels. ``map_max`` is the maximum of the unsmoothed map inside ROI and border; ``threshold`` is
    the ``high`` in force. If the score alone decides, ``reason`` is ``score``.
    """
    by_score = score_high is not None and amap.score is not None and amap.score >= score_high
    regions = tuple(to_image(region, amap.map_to_image, meta.width, meta.height) for region in found.regions)
    return Inspection(
        meta=meta,
        verdict="fail" if regions or by_score else "pass",
        reason="score" if by_score and not regions else None,
        map_max=map_max,
        smoothed_max=found.smoothed_max,
        score=amap.score,
        threshold=threshold,
        regions=regions,
        regions_dropped=found.dropped,
    )


def invalid(meta: FrameMeta, reason: str, threshold: float, score: float | None = None) -> Inspection:
    """Make an inspection without a verdict, for ``reason``."""
    return Inspection(meta=meta, verdict="invalid", reason=reason, threshold=threshold, score=score)


def under_drift(inspection: Inspection, drift: Mapping[str, Any] | None, reason: str | None) -> Inspection:
    """Add the drift in force to an inspection; with a ``reason`` the frames are locked, and it becomes ``invalid`` for it.

    A frame that is already invalid keeps its reason.
    """
    if reason is None or inspection.verdict == "invalid":
        return inspection if drift is None else replace(inspection, drift=drift)
    return replace(inspection, drift=drift, verdict="invalid", reason=reason)


def timed(inspection: Inspection, latency: Latency, deadline_ms: float | None, *, log_lost: bool = False) -> Inspection:
    """Add the latency to an inspection; it becomes ``invalid: late`` if the total exceeds the deadline, or did when
    recorded.

    ``log_lost`` makes it ``invalid`` for that reason, because the record would not get into a log that must have it. A
    frame that is already invalid keeps its reason: why there is no verdict matters more than when.
    """
    late = inspection.meta.late or (deadline_ms is not None and latency.total > deadline_ms)
    doubt = None if inspection.verdict == "invalid" else "late" if late else "log_lost" if log_lost else None
    if doubt is None:
        return replace(inspection, latency_ms=latency)
    return replace(inspection, latency_ms=latency, verdict="invalid", reason=doubt)


def to_image(region: Region, map_to_image: tuple[float, float, float, float], width: int, height: int) -> Region:
    """Convert map pixels to image pixels: edges outward to whole pixels and inside the frame, areas times sx * sy.

    Fill ratio, aspect ratio and solidity stay the map's: they are what the filters compared.
    """
    sx, sy, ox, oy = map_to_image
    cx, cy = region.centroid_xy
    return replace(
        region,
        bbox_xyxy=box_to_image(region.bbox_xyxy, map_to_image, width, height),
        area_px=region.area_px * sx * sy,
        # pixel centres lie half a pixel inside their edges, in both grids
        centroid_xy=((cx + 0.5) * sx + ox - 0.5, (cy + 0.5) * sy + oy - 0.5),
        polygon=None
        if region.polygon is None
        else tuple(((x + 0.5) * sx + ox - 0.5, (y + 0.5) * sy + oy - 0.5) for x, y in region.polygon),
    )


def box_to_image(
    box: tuple[int, int, int, int], map_to_image: tuple[float, float, float, float], width: int, height: int
) -> tuple[int, int, int, int]:
    """Convert a box of the map to image pixels: its edges outward to whole pixels, and inside the frame."""
    sx, sy, ox, oy = map_to_image
    x0, y0, x1, y1 = box
    return (
        _clamp(math.floor(x0 * sx + ox + _EPS), width),
        _clamp(math.floor(y0 * sy + oy + _EPS), height),
        _clamp(math.ceil(x1 * sx + ox - _EPS), width),
        _clamp(math.ceil(y1 * sy + oy - _EPS), height),
    )


_EPS = 1e-6
"""Slack for floating point: 800 / 3 * 3 is 800.0000000000001, and such an edge is 800, not 801."""


def _clamp(value: int, limit: int) -> int:
    return min(max(value, 0), limit)
