"""An anomaly map becomes defect regions here, in map pixels (pure).

The order is: ROI and border choose the pixels that take part; smoothing; threshold with hysteresis; opening, closing; one
filter after the other over the components; holes, dilation; regions; merging; sorting; ``max_regions``.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Found, Region, Rejected
from edge.regions.candidates import Candidates, find_candidates, scores_of
from edge.regions.components import Blob, Chosen, Components, find_components, merge_blobs
from edge.regions.filters import KEPT, dropped_by, fates_of, rejected_of
from edge.regions.funnel import funnel
from edge.regions.plan import RegionPlan


class BadMapError(ValueError):
    """No inspection can be based on this map: its type or size is not the one that the plan was made for."""


class MapNotFinite(BadMapError):  # noqa: N818  (it says what the map is)
    """The map holds NaN or infinity, inside the ROI or outside it."""


def map_max(values: NDArray[np.float32], plan: RegionPlan) -> float:
    """Return the maximum of the raw map inside ROI and border.

    Raises:
        MapNotFinite: any value of the whole map is NaN or infinite.
        BadMapError: the map is not float32, or its shape is not the plan's.
    """
    if values.dtype != np.float32 or values.shape != plan.inside.shape:
        raise BadMapError(f"the map is {values.dtype} {values.shape}, expected float32 {plan.inside.shape}")
    highest = plan.highest(values)
    if np.isnan(highest):
        raise MapNotFinite("the map has NaN or infinite values")
    return highest


def find_regions(
    values: NDArray[np.float32],
    plan: RegionPlan,
    highest: float | None = None,
    *,
    explain: bool = False,
    steps: bool | None = None,
) -> Found:
    """Find the regions of one map, sorted by ``sort_by`` from the largest, with ids from 1 in that order.

    ``highest`` is what ``map_max`` gave for this map; with None, ``map_max`` is called here and raises as it does.
    ``explain`` also returns the candidates, lists those that were dropped, and says what each step left (``funnel``);
    the latter can be asked for by itself, ``steps``, because it takes longer than all the rest.
    """
    if highest is None:
        highest = map_max(values, plan)
    smoothed = scores_of(values, plan, highest)
    smoothed_max = None if smoothed is None else plan.highest_smoothed(smoothed)
    found = judged_candidates(find_candidates(smoothed, plan), plan, explain=explain, smoothed_max=smoothed_max)
    if explain if steps is None else steps:  # last: it takes the scratch memory of what stands above
        return replace(found, funnel=funnel(values, plan))
    return found


def judged_candidates(
    candidates: Candidates | None, plan: RegionPlan, *, explain: bool = False, smoothed_max: float | None = None
) -> Found:
    """Judge candidates that stand already, as ``find_regions`` does, without its ``funnel``.

    They hold until the next map of their plan, and under every plan that ``RegionPlan.under`` makes of it: filters alone
    can be changed and judged again in a fraction of the time.
    """
    mask = plan.mask
    if plan.dirty:
        mask.fill(0)
        plan.dirty = False
    if candidates is None:
        return Found(mask, (), {}, smoothed_max=smoothed_max)
    config, components = plan.config, candidates.components
    shown = None
    if explain:
        shown = np.zeros(plan.inside.shape, np.uint8)
        components.paint(shown[plan.window], candidates.chosen, 255)
    fates = fates_of(candidates, config)
    dropped = dropped_by(fates)
    rejected = rejected_of(candidates, config, fates) if explain else []
    chosen = fates == KEPT
    window = mask[plan.window]
    if (config.fill_holes or config.dilate_px) and chosen.any():
        components = _grown(components, chosen, candidates.smoothed, plan)
        chosen = np.ones(len(components), bool)
    components.paint(window, chosen, 255)
    blobs = components.blobs(chosen)
    plan.dirty = bool(blobs)
    if config.merge_gap_px and len(blobs) > 1:
        blobs = merge_blobs(blobs, config.merge_gap_px, window)
    blobs.sort(key=lambda b: _order(b, config.sort_by))
    if config.max_regions is not None and len(blobs) > config.max_regions:
        dropped["max_regions"] = len(blobs) - config.max_regions
    x, y = plan.window[1].start, plan.window[0].start
    regions = tuple(_region(b, n, x, y, config.polygons) for n, b in enumerate(blobs[: config.max_regions], 1))
    if explain:
        beyond = enumerate(blobs[len(regions) :], len(regions) + 1)
        rejected += [Rejected(_box(b, x, y), b.area, "max_regions", number, len(regions)) for number, b in beyond]
    return Found(mask, regions, dropped, tuple(rejected), shown, smoothed_max=smoothed_max)


def _grown(components: Components, chosen: Chosen, smoothed: NDArray[np.float32], plan: RegionPlan) -> Components:
    """Fill the holes of the kept components (at least one), then dilate them inside the ROI."""
    config = plan.config
    grown = plan.spare
    grown.fill(0)
    components.paint(grown, chosen, 1, filled=config.fill_holes)
    if size := config.dilate_px:
        cv2.dilate(grown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), dst=grown)
    np.bitwise_and(grown, plan.growing, out=grown)
    grown_components = find_components(grown, smoothed)
    assert grown_components is not None, "growing takes nothing away"
    return grown_components


def _order(blob: Blob, sort_by: str) -> tuple[float, ...]:
    """Return a sort key: scores that agree in six decimals count as equal, then the larger, higher, more left comes
    first.
    """
    score_max, score_mean = round(blob.score_max, 6), round(blob.score_mean, 6)
    first = score_max if sort_by == "score_max" else score_mean if sort_by == "score_mean" else blob.area
    return -first, -score_max, -score_mean, -blob.area, blob.y0, blob.x0, blob.y1, blob.x1


def _box(blob: Blob, x: int, y: int) -> tuple[int, int, int, int]:
    return blob.x0 + x, blob.y0 + y, blob.x1 + x, blob.y1 + y


def _region(blob: Blob, number: int, x: int, y: int, with_polygon: bool) -> Region:
    """Make a region; ``x`` and ``y`` say where the blob's picture begins in the map."""
    polygon = None
    if with_polygon:
        points = cv2.approxPolyDP(blob.outline, 0.5, True)[:, 0].tolist()
        polygon = tuple((float(px + x), float(py + y)) for px, py in points)
    return Region(
        id=number,
        bbox_xyxy=_box(blob, x, y),
        area_px=float(blob.area),
        centroid_xy=(blob.centre[0] + x, blob.centre[1] + y),
        score_max=blob.score_max,
        score_mean=blob.score_mean,
        fill_ratio=blob.fill_ratio,
        aspect_ratio=blob.aspect_ratio,
        solidity=blob.solidity,
        polygon=polygon,
    )
