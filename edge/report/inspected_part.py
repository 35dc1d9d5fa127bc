"""Which part of a frame is inspected shows on every picture: ROI, mask picture and border leave the rest dimmed
(pure).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RoiConfig, Shape
from edge.regions.criteria import Criteria

ROI_LINE: Final = (70, 160, 255)
_SHIFT: Final = 4
"""Number of fractional bits of the corners that OpenCV draws between."""


@dataclass(frozen=True, slots=True)
class MapGrid:
    """A map of ``width`` x ``height`` pixels lies over a frame: an edge at x lies at ``x * sx + ox`` in it."""

    width: int
    height: int
    map_to_image: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class InspectedPart:
    """The part of every frame of a line that is inspected. ``mask`` is the ROI's mask picture, (H, W), above 0 where
    inspected; ``border_px`` is the band around a map that is not, in map pixels.
    """

    roi: RoiConfig | None = None
    mask: NDArray[np.uint8] | None = None
    border_px: int = 0

    @classmethod
    def of(cls, criteria: Criteria) -> InspectedPart:
        return cls(criteria.regions.roi, criteria.mask, criteria.regions.border_px)

    def inside_border(self, grid: MapGrid) -> tuple[float, float, float, float]:
        """Return (x0, y0, x1, y1) in the frame, inside which a map's border ends."""
        sx, sy, ox, oy = grid.map_to_image
        n = self.border_px
        return n * sx + ox, n * sy + oy, (grid.width - n) * sx + ox, (grid.height - n) * sy + oy


def dim_outside(picture: Any, part: InspectedPart, zoom: float, line: int, grid: MapGrid | None = None) -> None:
    """Darken what lies outside the ROI's rectangles, polygons and mask picture or in the border, and draw their edges.

    ``picture`` is the enlarged frame. A mask picture that isn't the frame's size is not drawn, and the border only where
    ``grid`` says how the map lies.
    """
    roi, mask = part.roi or RoiConfig(), part.mask
    height, width = picture.shape[:2]
    if mask is not None and not all(abs(m * zoom - p) < 1 for m, p in zip(mask.shape, (height, width), strict=True)):
        mask = None
    border = None if grid is None or not part.border_px else part.inside_border(grid)
    if not (roi.include or roi.exclude or mask is not None or border is not None):
        return
    inside = np.full((height, width), 0 if roi.include else 255, np.uint8)
    include, exclude = (
        [_corners(shape, roi, (width / zoom, height / zoom), zoom) for shape in shapes]
        for shapes in (roi.include, roi.exclude)
    )
    for corners, value in [(c, 255) for c in include] + [(c, 0) for c in exclude]:
        cv2.fillPoly(inside, [corners], (value,), cv2.LINE_8, _SHIFT)
    edges: Sequence[Any] = ()
    if mask is not None:
        inspected = cv2.resize(
            np.where(mask > 0, np.uint8(255), np.uint8(0)), (width, height), None, 0, 0, cv2.INTER_NEAREST
        )
        cv2.bitwise_and(inside, inspected, inside)
        edges = cv2.findContours(inspected, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)[0]
    if border is not None:
        x0, y0, x1, y1 = (round(edge * zoom) for edge in border)
        inside[: max(y0, 0)] = inside[max(y1, 0) :] = 0
        inside[:, : max(x0, 0)] = inside[:, max(x1, 0) :] = 0
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=0.4), cv2.bitwise_not(inside), picture)
    if border is not None:
        _dashed(picture, (x0, y0, x1, y1), line)
    cv2.polylines(picture, include + exclude, True, ROI_LINE, thickness=line, lineType=cv2.LINE_AA, shift=_SHIFT)
    cv2.polylines(picture, edges, True, ROI_LINE, line, cv2.LINE_AA)


def _dashed(picture: Any, box: tuple[int, int, int, int], line: int) -> None:
    """Draw the border's edge just outside what is inspected, dashed, as no ROI is."""
    x0, y0, x1, y1 = box
    height, width = picture.shape[:2]
    dash = 6 * line
    across, down = np.arange(width) // dash % 3 < 2, np.arange(height) // dash % 3 < 2
    across[: max(x0, 0)] = across[max(x1, 0) :] = False
    down[: max(y0, 0)] = down[max(y1, 0) :] = False
    for rows in (slice(max(y0 - line, 0), max(y0, 0)), slice(max(y1, 0), max(y1 + line, 0))):
        picture[rows, across] = ROI_LINE
    for columns in (slice(max(x0 - line, 0), max(x0, 0)), slice(max(x1, 0), max(x1 + line, 0))):
        picture[down, columns] = ROI_LINE


def _corners(shape: Shape, roi: RoiConfig, size: tuple[float, float], zoom: float) -> NDArray[np.int32]:
    """Return (n, 2) in the enlarged picture, as OpenCV counts: 0 is the centre of the first pixel."""
    flat: Sequence[Any] = shape
    if not isinstance(shape[0], tuple | list):
        x0, y0, x1, y1 = flat
        flat = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    unit = np.array(size if roi.units == "norm" else (1, 1), np.float64)
    points = np.array(flat, np.float64) * unit * zoom - 0.5
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)
