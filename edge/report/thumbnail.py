"""A frame at a glance for a gallery: the frame with true and reported outlines, and its map beside it (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame
from edge.report.labels import DROPPED, write_labels
from edge.report.lettering import Box
from edge.report.marks import DEFECT, frame_box, scaled
from edge.report.overlay import canvas_of

TRUTH: Final = (40, 220, 120)
_SIDE: Final = 340
"""Longer side of each of the two pictures, in px."""
_TEXT_PX: Final = 11.0
_MARKED: Final = 8


def thumbnail(
    frame: Frame,
    values: NDArray[np.float32],
    threshold: float,
    *,
    truth: NDArray[np.bool_] | None = None,
    regions: Sequence[tuple[Box, str]] = (),
    dropped: Sequence[tuple[Box, str]] = (),
) -> NDArray[np.uint8]:
    """RGB uint8: the frame and its map, side by side.

    ``values``: (H, W) the map at every pixel of the frame; its colours go from 0 to twice the threshold. ``truth``: (H, W),
    its outline is green. ``regions`` and ``dropped``: boxes in px of the frame with their texts, red and yellow.
    """
    height, width = frame.pixels.shape[:2]
    zoom = _SIDE / max(height, width)
    zoom = float(max(1, int(zoom))) if zoom > 1 else zoom
    left = canvas_of(frame, zoom)
    size = (left.shape[1], left.shape[0])
    right = heat(cv2.resize(values, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR), threshold)
    for picture in (left, right):
        if truth is not None:
            _outline(picture, truth, size)
    kept = [(scaled(box, zoom), text) for box, text in regions[:_MARKED]]
    gone = [(scaled(box, zoom), text) for box, text in dropped[:_MARKED]]
    for box, _ in gone:
        frame_box(left, box, 1, DROPPED)
    for box, _ in kept:
        frame_box(left, box, 1, DEFECT)
    write_labels(left, kept, gone, _TEXT_PX)
    gap = np.full((left.shape[0], 4, 3), 32, np.uint8)
    return np.hstack((left, gap, right))


def heat(values: Any, threshold: float) -> Any:
    """Colours of a map: blue at 0, green at the threshold, red from twice the threshold on."""
    top = 2 * threshold if threshold > 0 else float(values.max()) or 1.0
    grey = np.clip(values * (255 / top), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def _outline(picture: Any, truth: NDArray[np.bool_], size: tuple[int, int]) -> None:
    mask = cv2.resize(truth.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, lines, -1, TRUTH, 1, cv2.LINE_8)
