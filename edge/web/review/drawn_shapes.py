"""Boxes and polygons that a person drew become the pixels of a mask, and another tool's mask becomes polygons."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.storage.pictures import PictureError, read_picture

Shapes: TypeAlias = Sequence[Sequence[Any]]
"""Each is a box ``[x0, y0, x1, y1]`` or a polygon ``[[x, y], ...]``, in pixels of the frame."""
_CLOSE_PX: Final = 0.75
"""How far a polygon may lie from the outline of a painted mask."""
_MOST_CORNERS: Final = 200


def pixels_of(shapes: Shapes, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (H, W), True where a pixel's centre lies in any of the shapes. ``size`` is (H, W).

    Raises:
        UserError: a shape reaches beyond the frame, or holds no pixel.
    """
    from edge.regions.roi import Grid, shape_pixels  # half of what the worker would import before its first picture

    height, width = size
    grid = Grid((height, width), (width, height), (1.0, 1.0, 0.0, 0.0))
    mask = np.zeros(size, bool)
    for number, shape in enumerate(shapes):
        if isinstance(shape[0], (int, float)):
            x0, y0, x1, y1 = shape
            mask |= shape_pixels((x0, y0, x1, y1), "image_px", grid, f"shapes.{number}")
        else:
            mask |= shape_pixels([(x, y) for x, y in shape], "image_px", grid, f"shapes.{number}")
    return mask


def shapes_in(path: Path) -> list[list[list[float]]]:
    """Return the outlines of a painted mask as polygons; none if it can't be read."""
    try:
        pixels = read_picture(path)
    except (OSError, PictureError):
        return []
    mask = ((pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0).astype(np.uint8)
    outlines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for outline in outlines:
        corners: Any = cv2.approxPolyDP(outline, _CLOSE_PX, closed=True)[:_MOST_CORNERS, 0]
        if len(corners) > 2:
            found.append([[float(x) + 0.5, float(y) + 0.5] for x, y in corners])
    return found
