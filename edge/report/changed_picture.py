"""A frame whose verdict changed between two runs is drawn as it looked before and now, with why (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import Frame, Inspection
from edge.regions.criteria import Criteria
from edge.report.explain import Basis
from edge.report.inspected_part import InspectedPart
from edge.report.labels import DROPPED, draw_lines, write_labels
from edge.report.marks import MaskOnFrame, frame_box, scaled
from edge.report.overlay import STRIP, draw_overlay, enlarged
from edge.report.picture_names import PictureOf
from edge.report.why_changed import why_gone
from edge.wire.record_fields import inspection_from

_PANEL_PX: Final = 1600


def draw_change(
    frame: Frame,
    before: Mapping[str, Any],
    now: Inspection,
    criteria: Criteria,
    of: PictureOf,
    basis: Basis | None = None,
) -> NDArray[np.uint8]:
    """Draw the overlays of the earlier record and of this one side by side, or stacked if the frame is wide. RGB uint8.

    Each region that is gone is yellow in the present one, with why: the filter or step at which it went, with value and
    limit. A changed threshold stands in both strips. ROI and border are this run's,
    and are drawn on both. ``basis`` is None if this run has no map.
    """
    part = InspectedPart.of(criteria)
    earlier = inspection_from(before, frame.meta)
    mask = None if basis is None else MaskOnFrame(basis.found.mask, basis.amap.map_to_image)
    grid = None if mask is None else mask.grid
    reasons = [] if basis is None else why_gone(frame, earlier.regions, now, basis)
    panels: list[Any] = [
        draw_overlay(frame, earlier, part, PictureOf(of.camera), grid=grid, note="before"),
        draw_overlay(frame, now, part, of, mask=mask, note="now"),
    ]
    lines = []
    if reasons:
        _, zoom = enlarged(frame)
        below = panels[1][-frame.pixels.shape[0] * zoom :]
        text_px = max(13.0, below.shape[1] / 64)
        marked = [(scaled(box, zoom), text) for box, text in reasons]
        for box, _ in marked:
            frame_box(below, box, max(1, round(below.shape[1] / 800)), DROPPED)
        lines = write_labels(below, [], marked, text_px)
    for index, panel in enumerate(panels):
        if panel.shape[1] > _PANEL_PX:
            size = _PANEL_PX, round(panel.shape[0] * _PANEL_PX / panel.shape[1])
            panels[index] = cv2.resize(panel, size, interpolation=cv2.INTER_AREA)
    picture = _joined(panels, stacked=frame.meta.width > 2 * frame.meta.height)
    return np.vstack((picture, draw_lines(lines, picture.shape[1], 13.0))) if lines else picture


def _joined(panels: list[Any], *, stacked: bool) -> NDArray[np.uint8]:
    """Put two panels of one width side by side or one above the other; a strip with more to say is higher."""
    if stacked:
        gap = np.full((8, panels[0].shape[1], 3), STRIP, np.uint8)
        return np.vstack((panels[0], gap, panels[1]))
    height = max(panel.shape[0] for panel in panels)
    padded = [
        cv2.copyMakeBorder(panel, height - panel.shape[0], 0, 0, gap, cv2.BORDER_CONSTANT, value=STRIP)
        for panel, gap in zip(panels, (8, 0), strict=True)
    ]
    return np.hstack(padded)
