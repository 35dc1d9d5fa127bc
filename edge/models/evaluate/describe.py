"""Defects of a mask and regions of a model, described: size, contrast, place, look (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Region
from edge.models.evaluate.scored import MaskDefect, SeenRegion

_RING: Final = 4
"""Px around a defect that its contrast is measured against."""
_BORDER: Final = 0.03
"""Share of the shorter side that counts as the frame's border."""
_LINE: Final = 4.0
"""Ratio of sides from which on a region is a line."""
_SMALL: Final = 12.0
"""Square root of the area, in px, below which a region is a spot."""


def defects_of(mask: NDArray[np.bool_], grey: NDArray[np.uint8], found: NDArray[np.bool_]) -> tuple[MaskDefect, ...]:
    """Connected defects of ``mask`` (H, W), on the frame ``grey``; ``found``: (H, W) True on the model's regions."""
    count, labels, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    height, width = mask.shape
    defects = []
    for number in range(1, count):
        x, y, w, h, area = stats[number].tolist()
        rows = slice(max(y - _RING, 0), y + h + _RING)
        across = slice(max(x - _RING, 0), x + w + _RING)
        inside = labels[rows, across] == number
        ring = (
            cv2.dilate(inside.astype(np.uint8), np.ones((2 * _RING + 1,) * 2, np.uint8)).astype(bool) & ~mask[rows, across]
        )
        window = grey[rows, across]
        contrast = float(window[inside].mean() - window[ring].mean()) if ring.any() else 0.0
        place = (float(centres[number][0] + 0.5) / width, float(centres[number][1] + 0.5) / height)
        defects.append(MaskDefect(area, contrast, place, bool((found[rows, across] & inside).any())))
    return tuple(defects)


def seen_of(
    regions: Sequence[Region], grey: NDArray[np.uint8], mask: NDArray[np.bool_] | None, inside: NDArray[np.bool_] | None
) -> tuple[SeenRegion, ...]:
    """The model's regions, in px of the frame. ``inside``: (H, W) True in the ROI, None: everywhere."""
    if not regions:
        return ()
    background = background_of(grey)
    return tuple(_seen(region, grey, mask, inside, background) for region in regions)


def _seen(
    region: Region,
    grey: NDArray[np.uint8],
    mask: NDArray[np.bool_] | None,
    inside: NDArray[np.bool_] | None,
    background: NDArray[np.bool_],
) -> SeenRegion:
    x0, y0, x1, y1 = region.bbox_xyxy
    box = (slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1)))
    right = None if mask is None else bool(mask[box].any())
    return SeenRegion(
        region.bbox_xyxy,
        region.area_px,
        region.score_max,
        _where(region, grey, inside, background),
        _look(region, grey),
        right,
    )


def _where(region: Region, grey: NDArray[np.uint8], inside: NDArray[np.bool_] | None, background: NDArray[np.bool_]) -> str:
    height, width = grey.shape
    x0, y0, x1, y1 = region.bbox_xyxy
    near = max(2, round(_BORDER * min(height, width)))
    if inside is not None:
        around = inside[max(y0 - near, 0) : y1 + near, max(x0 - near, 0) : x1 + near]
        if not around.all():
            return "roi_edge"
    if x0 < near or y0 < near or x1 > width - near or y1 > height - near:
        return "border"
    x, y = region.centroid_xy
    return "background" if background[min(int(y), height - 1), min(int(x), width - 1)] else "part"


def _look(region: Region, grey: NDArray[np.uint8]) -> str:
    x0, y0, x1, y1 = region.bbox_xyxy
    window = grey[max(y0 - _RING, 0) : y1 + _RING, max(x0 - _RING, 0) : x1 + _RING]
    core = grey[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    difference = float(core.mean()) - float(window.mean()) if core.size and window.size else 0.0
    tone = "dark" if difference < -1 else "bright" if difference > 1 else "even"
    sides = sorted((max(x1 - x0, 1), max(y1 - y0, 1)))
    if sides[1] / sides[0] >= _LINE:
        return f"{tone} line"
    return f"{tone} spot" if region.area_px**0.5 < _SMALL else f"{tone} area"


def background_of(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(H, W) True if the picture looks as its rim does, and hangs together with it; nowhere if the part fills the
    frame.
    """
    height, width = grey.shape
    small: Any = cv2.GaussianBlur(cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA), (0, 0), 1.0)
    rim = np.concatenate((small[0], small[-1], small[:, 0], small[:, -1])).astype(np.float32)
    level, spread = float(np.median(rim)), float(np.median(np.abs(rim - np.median(rim))))
    alike = (np.abs(small.astype(np.float32) - level) <= max(12.0, 4 * spread)).astype(np.uint8)
    _, labels = cv2.connectedComponents(alike, connectivity=4)
    on_rim = np.unique(np.concatenate((labels[0], labels[-1], labels[:, 0], labels[:, -1])))
    outside = np.isin(labels, on_rim[on_rim > 0])
    if outside.mean() > 0.9:  # an even picture: there is no part to be told from its surroundings
        outside = np.zeros_like(outside)
    return np.asarray(cv2.resize(outside.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), bool)
