"""Defects are marked on pictures so that they show on dark, bright and coloured parts: boxes and outlines (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import AnomalyMap
from edge.report.inspected_part import MapGrid
from edge.report.lettering import WHITE, Box, Colour

DEFECT: Final = (255, 40, 60)
_BLACK: Final = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class MaskOnFrame:
    """A mask of regions, (h, w), above 0 on their pixels, lies over a frame as its map does."""

    mask: NDArray[np.uint8]
    map_to_image: tuple[float, float, float, float]

    @property
    def grid(self) -> MapGrid:
        return MapGrid(self.mask.shape[1], self.mask.shape[0], self.map_to_image)


def grid_of(amap: AnomalyMap) -> MapGrid:
    """Return how a map lies over its frame."""
    return MapGrid(amap.values.shape[1], amap.values.shape[0], amap.map_to_image)


def scaled(box: Sequence[float], zoom: float) -> Box:
    """Return a box of the frame in the enlarged or shrunken picture, its edges rounded."""
    x0, y0, x1, y1 = (round(edge * zoom) for edge in box)
    return x0, y0, x1, y1


def frame_box(picture: Any, box: Box, line: int, colour: Colour = DEFECT) -> None:
    """Draw a box around its pixels, ``line`` px wide and at least 2, with a white rim inside and a black one outside: one
    of the three shows on any part.
    """
    bold, rim = max(line, 2), max(line // 2, 1)
    ring(picture, box, 0, rim, WHITE)
    ring(picture, box, rim, rim + bold, colour)
    ring(picture, box, rim + bold, 2 * rim + bold, _BLACK)


def ring(picture: Any, box: Box, near: int, far: int, colour: Colour) -> None:
    """Colour the ring from ``near`` to ``far`` px outside the box. cv2.rectangle draws thick lines wider than asked for."""
    x0, y0, x1, y1 = box
    left, top = max(x0 - far, 0), max(y0 - far, 0)
    picture[top : max(y0 - near, 0), left : x1 + far] = colour
    picture[y1 + near : y1 + far, left : x1 + far] = colour
    picture[top : y1 + far, left : max(x0 - near, 0)] = colour
    picture[top : y1 + far, x1 + near : x1 + far] = colour


def outline_mask(picture: Any, shown: NDArray[Any], line: int, colour: Colour = DEFECT) -> None:
    """Draw the outline of a mask, (H, W) of the picture's size, around its pixels and not on them: ``line`` px of the
    colour between a white and a black rim.
    """
    mask = np.asarray(shown > 0, np.uint8)
    if not mask.any():
        return
    inner = mask
    for width, tone in ((1, WHITE), (line, colour), (1, _BLACK)):
        outer = np.asarray(cv2.dilate(inner, np.ones((2 * width + 1, 2 * width + 1), np.uint8)), np.uint8)
        picture[(outer & (1 - inner)).astype(bool)] = tone
        inner = outer


def over_frame(
    values: NDArray[Any],
    map_to_image: tuple[float, float, float, float],
    zoom: float,
    shape: tuple[int, int],
    outside: float = 0.0,
) -> NDArray[Any]:
    """Place map pixels where they lie in the shown frame of ``shape``; of several under one pixel the highest is shown."""
    sx, sy, ox, oy = map_to_image
    rows, inside_y = _starts(shape[0], zoom, sy, oy, values.shape[0])
    columns, inside_x = _starts(shape[1], zoom, sx, ox, values.shape[1])
    spread = np.maximum.reduceat(np.maximum.reduceat(values, rows, axis=0), columns, axis=1)
    spread[~inside_y] = outside
    spread[:, ~inside_x] = outside
    return spread


def _starts(
    count: int, zoom: float, scale: float, offset: float, length: int
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the first map pixel under each shown one, and which shown ones have any; ``reduceat`` goes on to the next
    start.
    """
    at = np.floor((np.arange(count) / zoom - offset) / scale + 1e-6).astype(np.intp)
    return np.clip(at, 0, length - 1), (at >= 0) & (at < length)
