"""Region of interest, border, mask picture and zones decide which pixels of a map take part, once per map size (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from edge.config.regions import Polygon, Rect, RegionsConfig, Units
from edge.errors import UserError


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid says where a map's pixels lie in the frame: a map edge at x lies at ``x * sx + ox`` frame pixels, likewise y.

    ``map_shape`` is (h, w), ``image_size`` (W, H), ``map_to_image`` (sx, sy, ox, oy) with sx and sy above 0.
    """

    map_shape: tuple[int, int]
    image_size: tuple[int, int]
    map_to_image: tuple[float, float, float, float]

    def centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the frame coordinates of the centres of the map's columns (w,) and rows (h,)."""
        (h, w), (sx, sy, ox, oy) = self.map_shape, self.map_to_image
        return (np.arange(w, dtype=np.float64) + 0.5) * sx + ox, (np.arange(h, dtype=np.float64) + 0.5) * sy + oy


class ShapePixels:
    """The pixels of ROI and zones are kept here while the shapes stand; plans that differ in other keys take them ready.

    At 1024 x 1024 they are half of the work that a plan takes. One thread uses it. ``mask`` is the ROI's mask picture,
    (H, W); None: there is none.
    """

    def __init__(self, mask: NDArray[np.uint8] | None = None) -> None:
        self._mask = mask
        self._roi: tuple[object, NDArray[np.bool_]] | None = None
        self._zones: tuple[object, list[NDArray[np.bool_]]] | None = None

    def of(self, config: RegionsConfig, grid: Grid) -> tuple[NDArray[np.bool_], list[NDArray[np.bool_]]]:
        """Return the ROI's pixels, (h, w), and those of each zone. Errors as ``roi_pixels`` and ``zone_pixels``."""
        of_roi = grid, None if config.roi is None else config.roi.model_dump_json()
        if self._roi is None or self._roi[0] != of_roi:
            self._roi = of_roi, roi_pixels(config, grid, self._mask)
        roi = self._roi[1]
        of_zones = of_roi, config.border_px, [(zone.units, zone.shape) for zone in config.zones]
        if self._zones is None or self._zones[0] != of_zones:
            self._zones = of_zones, zone_pixels(config, grid, without_border(roi, config))
        return roi, self._zones[1]


def roi_pixels(config: RegionsConfig, grid: Grid, mask: NDArray[np.uint8] | None = None) -> NDArray[np.bool_]:
    """Return (h, w), True if a pixel is inside the frame and the ROI. ``mask`` is the ROI's mask picture, (H, W).

    Raises:
        UserError: a shape reaches beyond the frame or holds no pixel, the mask picture has another size, or nothing is
            left; or the map lies beside the frame.
    """
    (h, w), (frame_w, frame_h) = grid.map_shape, grid.image_size
    xs, ys = grid.centres()
    inside = ((ys >= 0) & (ys < frame_h))[:, None] & ((xs >= 0) & (xs < frame_w))[None, :]
    if not inside.any():
        raise UserError(
            "map_to_image: the map shows no pixel of the frame",
            received=f"{grid.map_to_image} for a map of {w} x {h} and a frame of {frame_w} x {frame_h} pixels",
            expected="at least one map pixel whose centre lies in the frame",
        )
    roi = config.roi
    if roi is not None:
        if roi.include:
            wanted = np.zeros((h, w), bool)
            for index, shape in enumerate(roi.include):
                wanted |= shape_pixels(shape, roi.units, grid, f"regions.roi.include.{index}")
            inside &= wanted
        for index, shape in enumerate(roi.exclude):
            inside &= ~shape_pixels(shape, roi.units, grid, f"regions.roi.exclude.{index}", may_be_empty=True)
        if mask is not None:
            inside &= _mask_pixels(mask, grid)
        if not inside.any():
            raise UserError(
                "regions.roi: nothing is left to inspect",
                received=f"include, exclude and mask leave none of the map's {w} x {h} pixels",
                expected="at least one pixel whose centre is inside include and mask and outside exclude",
                fix="correct include, exclude or the mask picture",
            )
    return inside


def without_border(roi: NDArray[np.bool_], config: RegionsConfig) -> NDArray[np.bool_]:
    """Return (h, w): the pixels of ``roi`` without those of the map's border. These take part.

    Raises:
        UserError: no pixel is left.
    """
    n, (h, w) = config.border_px, roi.shape
    inside = roi.copy()
    if n:
        inside[:n] = inside[max(h - n, 0) :] = False
        inside[:, :n] = inside[:, max(w - n, 0) :] = False
        if not inside.any():
            raise UserError(
                "regions.border_px: nothing is left to inspect",
                received=f"{n} on a map of {w} x {h} pixels" + (" with a ROI" if config.roi is not None else ""),
                expected="a band that leaves pixels of the ROI; it is counted in map pixels, not the frame's",
                fix="make it smaller",
            )
    return inside


def zone_pixels(config: RegionsConfig, grid: Grid, inside: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Return (h, w) for each zone, True on its pixels that no earlier zone has. ``inside`` marks the pixels that take part.

    Raises:
        UserError: a zone reaches beyond the frame, or none of its own pixels takes part.
    """
    free = np.ones(grid.map_shape, bool)
    zones = []
    for index, zone in enumerate(config.zones):
        key = f"regions.zones.{index}.shape"
        pixels = shape_pixels(zone.shape, zone.units, grid, key)
        own = pixels & free
        if not (own & inside).any():
            hidden = not (pixels & inside).any()
            raise UserError(
                f"{key}: the zone changes nothing",
                received=f"its {np.count_nonzero(pixels)} map pixels all lie "
                + (
                    "outside the ROI or in the border" if hidden else "outside the ROI, in the border or in an earlier zone"
                ),
                expected="at least one that is inspected and in no earlier zone",
                fix="move the zone, or remove it" if hidden else "put the smaller zone first, or remove this one",
            )
        free &= ~own
        zones.append(own)
    return zones


def shape_pixels(
    shape: Rect | Polygon, units: Units, grid: Grid, key: str, *, may_be_empty: bool = False
) -> NDArray[np.bool_]:
    """Return (h, w), True inside one rectangle or polygon. ``key`` names the shape in the errors.

    A pixel belongs by its centre (a centre on an edge belongs to the shape on its right or below); a rectangle in units
    norm takes every map pixel that it touches. A polygon that crosses itself is filled by the even-odd rule.

    Raises:
        UserError: the shape reaches beyond the frame, or holds no pixel.
    """
    points = np.array([shape[:2], shape[2:]] if isinstance(shape, tuple) else shape, np.float64)
    size = np.array(grid.image_size, np.float64)
    if units == "image_px" and (points > size).any():
        x, y = points.max(axis=0)
        raise UserError(
            f"{key}: outside the frame",
            received=f"reaches x = {x:g}, y = {y:g}",
            expected=f"at most x = {size[0]:g}, y = {size[1]:g}: the frame is {size[0]:g} x {size[1]:g} pixels",
            fix="correct the shape, or give it in units norm",
        )
    if isinstance(shape, tuple) and units == "norm":
        pixels = _touched(shape, grid)
    else:
        frame = points * size if units == "norm" else points
        xs, ys = grid.centres()
        if isinstance(shape, tuple):
            (x0, y0), (x1, y1) = frame
            pixels = ((ys >= y0) & (ys < y1))[:, None] & ((xs >= x0) & (xs < x1))[None, :]
        else:
            pixels = _even_odd(frame, xs, ys)
    if not may_be_empty and not pixels.any():
        h, w = grid.map_shape
        raise UserError(
            f"{key}: holds no pixel of the map",
            received=f"{list(shape)} in units {units}",
            expected=f"a shape around the centre of at least one of the map's {w} x {h} pixels",
            fix="make it larger or remove it",
        )
    return pixels


def _touched(rect: Rect, grid: Grid) -> NDArray[np.bool_]:
    (h, w), (sx, sy, ox, oy) = grid.map_shape, grid.map_to_image
    pixels = np.zeros((h, w), bool)
    columns = _span(rect[0], rect[2], grid.image_size[0], sx, ox, w)
    rows = _span(rect[1], rect[3], grid.image_size[1], sy, oy, h)
    pixels[rows, columns] = True
    return pixels


def _span(start: float, stop: float, size: int, scale: float, offset: float, count: int) -> slice:
    """Return the map columns (or rows) that touch ``start`` to ``stop`` of the frame, by floor and ceil."""
    across = size / scale
    if abs(across - round(across)) < 1e-6:
        across = round(across)  # 0.25 of 224 is 56, not 56.00000001, whose ceil is 57
    shift = offset / scale
    return slice(max(floor(start * across - shift), 0), min(max(ceil(stop * across - shift), 0), count))


def _even_odd(polygon: NDArray[np.float64], xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Let each edge flip all centres on its right; a centre that was flipped an odd number of times is inside.

    cv2.fillPoly would round the corners to pixels and take the outline in.
    """
    flips = np.zeros((len(ys), len(xs) + 1), np.uint8)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        rows = np.flatnonzero((y0 <= ys) != (y1 <= ys))
        crossings = x0 + (ys[rows] - y0) * ((x1 - x0) / (y1 - y0)) if len(rows) else ys[rows]
        flips[rows, np.searchsorted(xs, crossings, side="left")] ^= 1
    inside: NDArray[np.bool_] = np.bitwise_xor.accumulate(flips, axis=1)[:, :-1].astype(bool)
    return inside


def _mask_pixels(mask: NDArray[np.uint8], grid: Grid) -> NDArray[np.bool_]:
    width, height = grid.image_size
    if mask.shape != (height, width):
        shown = " x ".join(map(str, mask.shape[1::-1] + mask.shape[2:]))
        raise UserError(
            "regions.roi.mask: another size than the frame",
            received=f"{shown} pixels",
            expected=f"{width} x {height} pixels, grey",
            fix="draw it on a frame of this camera",
        )
    xs, ys = grid.centres()
    columns = np.clip(np.floor(xs).astype(int), 0, width - 1)
    rows = np.clip(np.floor(ys).astype(int), 0, height - 1)
    pixels: NDArray[np.bool_] = mask[np.ix_(rows, columns)] > 0
    return pixels
