"""One frame is looked at closely here: what became of each candidate, layers and pictures for the page."""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.frames import AnomalyMap, Found, Frame, FrameMeta, Rejected, Unmapped
from edge.regions.candidates import Candidates, find_candidates, scores_of
from edge.regions.find import MapNotFinite, judged_candidates, map_max
from edge.regions.funnel import funnel
from edge.regions.plan import RegionPlan
from edge.regions.smooth import nearest_to_high
from edge.regions.verdict import box_to_image, to_image
from edge.report.explain import by_weight, rejected_text
from edge.report.funnel_text import STEP_NAMES
from edge.storage.pictures import encode_jpeg
from edge.web.tuning.frame_jpeg import jpeg_of

MOST_SHOWN: Final = 500
"""Boxes of one kind that are sent; their number is always sent too."""


class CloseLook:
    """One map's candidates are kept, so that filters can be changed and judged again in a fraction of a look's time.

    At 1024 x 1024 a first look takes 6 ms of CPU, one under other filters 2 ms.
    """

    def __init__(self, amap: AnomalyMap, plan: RegionPlan, known_max: float | None) -> None:
        """Find the candidates. ``known_max`` is what ``map_max`` gave under the same ROI and border, None: it wasn't asked.

        They lie in the plan's memory: nothing else may find candidates under ``plan`` while they are used.
        """
        self._amap = amap
        self._candidates: Candidates | None = None
        self._layer = b""
        self._why = ""
        try:
            self._highest = map_max(amap.values, plan) if known_max is None else known_max
        except MapNotFinite as error:
            self._why = str(error)
            return
        self._candidates = find_candidates(scores_of(amap.values, plan, self._highest), plan)

    def under(self, plan: RegionPlan, meta: FrameMeta) -> tuple[dict[str, Any], bytes]:
        """Return what the page draws over the frame, and the two layers, candidates and kept.

        A frame that can't be judged has ``invalid`` with the reason, and no layers. ``plan`` is that of the candidates, or
        what its ``under`` made.
        """
        amap = self._amap
        height, width = amap.values.shape
        head: dict[str, Any] = {"map": {"width": width, "height": height, "map_to_image": amap.map_to_image}}
        if self._why:
            return head | {"invalid": "map_not_finite", "text": self._why}, b""
        found = judged_candidates(self._candidates, plan, explain=True)
        head |= {"map_max": self._highest, "score": amap.score}
        head |= _boxes(found, amap, meta)
        if not self._layer:
            candidates = np.zeros(amap.values.shape, np.uint8) if found.candidates is None else found.candidates
            self._layer = _packed(candidates)
        return head, self._layer + _packed(found.mask)


def not_looked_at(error: Unmapped | UserError) -> dict[str, Any]:
    """Return the same for a frame without a map, or one that the shapes don't fit."""
    if isinstance(error, Unmapped):
        return {"invalid": error.reason, "text": error.text}
    return {"invalid": "frame_size", "text": str(error)}


def funnel_of(amap: AnomalyMap, plan: RegionPlan, meta: FrameMeta) -> dict[str, Any]:
    """Return the steps from map to regions with what each lost; boxes of what no filter saw come with them.

    ``smoothed_max`` is the value that comes nearest to its threshold or exceeds it most, ``high`` that threshold.
    """
    steps = []
    for step in funnel(amap.values, plan):
        lost = [_lost(one, amap, meta) for one in step.lost[:MOST_SHOWN]] if step.step in STEP_NAMES else []
        steps.append(
            {
                "step": step.step,
                "name": STEP_NAMES.get(step.step, step.step),
                "pixels": step.pixels,
                "areas": step.areas,
                "gone": len(step.lost),
                "lost": lost,
            }
        )
    smoothed, high = nearest_to_high(amap.values, plan)
    return {"steps": steps, "smoothed_max": smoothed, "high": high}


def picture_of(frame: Frame, most: int) -> bytes:
    """Return the frame as JPEG, its longer side at most ``most`` px."""
    return jpeg_of(frame.pixels, frame.bits, most)


def map_picture(values: NDArray[np.float32], shown: tuple[float, float]) -> bytes:
    """Return a map as JPEG in the colours of ``--explain``, over the bundle's display range."""
    low, high = shown
    grey = np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return encode_jpeg(np.asarray(cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB), np.uint8))


def _boxes(found: Found, amap: AnomalyMap, meta: FrameMeta) -> dict[str, Any]:
    size = meta.width, meta.height
    regions = [to_image(region, amap.map_to_image, *size) for region in found.regions[:MOST_SHOWN]]
    kept = [
        {
            "box": region.bbox_xyxy,
            "text": f"{region.score_max:.3g}",
            "area": found.regions[n].area_px,
            "score_max": region.score_max,
            "score_mean": region.score_mean,
            "fill_ratio": region.fill_ratio,
            "aspect_ratio": region.aspect_ratio,
            "solidity": region.solidity,
        }
        for n, region in enumerate(regions)
    ]
    rejected = by_weight(found.rejected)
    return {
        "kept": kept,
        "kept_count": len(found.regions),
        "dropped": [_lost(one, amap, meta) for one in rejected[:MOST_SHOWN]],
        "dropped_count": len(rejected),
        "dropped_by": found.dropped,
    }


def _lost(one: Rejected, amap: AnomalyMap, meta: FrameMeta) -> dict[str, Any]:
    box = box_to_image(one.bbox_xyxy, amap.map_to_image, meta.width, meta.height)
    return {"box": box, "filter": one.filter, "area": one.area_px, "text": rejected_text(one)}


def _packed(layer: NDArray[np.uint8]) -> bytes:
    """Pack a layer: the bytes of eight pixels that aren't empty, as count, places (uint32), bytes.

    zlib makes no less of it, and a browser takes a layer apart in one turn.
    """
    bits = np.packbits(layer)
    places = np.flatnonzero(bits)
    return np.uint32(len(places)).tobytes() + places.astype("<u4").tobytes() + bits[places].tobytes()
