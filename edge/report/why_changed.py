"""A region of an earlier run that is gone has a reason, which is found in what the present run saw there (pure)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge.frames import Frame, Inspection, Region
from edge.regions.verdict import box_to_image
from edge.report.explain import FILTER_KEYS, Basis, by_weight, rejected_text
from edge.report.lettering import Box

_MOST = 10


def why_gone(frame: Frame, before: Sequence[Region], now: Inspection, basis: Basis) -> list[tuple[Box, str]]:
    """Return where each region of the earlier record was that the present one lacks, in px of the frame, and why it is
    gone.

    That is the filter that dropped the largest candidate there, with value and limit; else the step before the filters at
    which it went; else the map's maximum there, which is below every threshold. At most ten.
    """
    found, to_image = basis.found, basis.amap.map_to_image
    gone = [region for region in before if not any(_overlap(region.bbox_xyxy, other.bbox_xyxy) for other in now.regions)][
        :_MOST
    ]
    earlier = [one for step in reversed(found.funnel) for one in step.lost if one.filter not in FILTER_KEYS]
    lost = [
        (box_to_image(one.bbox_xyxy, to_image, frame.meta.width, frame.meta.height), one)
        for one in [*by_weight(found.rejected), *earlier]
    ]
    reasons: list[tuple[Box, str]] = []
    for region in gone:
        there = next(((box, one) for box, one in lost if _overlap(region.bbox_xyxy, box)), None)
        if there is not None:
            reasons.append((there[0], rejected_text(there[1])))
        else:
            rows, columns = _under(region.bbox_xyxy, to_image, basis.amap.values.shape)
            highest = float(basis.amap.values[rows, columns].max())
            reasons.append((region.bbox_xyxy, f"max {highest:.4g} < high {now.threshold:.4g}"))
    return reasons


def _under(box: Box, map_to_image: tuple[float, float, float, float], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the rows and columns of the map that lie under a box of the frame, at least one of each."""
    sx, sy, ox, oy = map_to_image
    x0, x1 = (int(np.clip(round((edge - ox) / sx), 0, shape[1])) for edge in (box[0], box[2]))
    y0, y1 = (int(np.clip(round((edge - oy) / sy), 0, shape[0])) for edge in (box[1], box[3]))
    x0, y0 = min(x0, shape[1] - 1), min(y0, shape[0] - 1)
    return slice(y0, max(y1, y0 + 1)), slice(x0, max(x1, x0 + 1))


def _overlap(one: Sequence[int], other: Sequence[int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
