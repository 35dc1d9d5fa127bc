"""How a verdict came about is drawn for people who tune (pure): the frame, its map, and what the filters were given.

The third picture says beside dropped candidates why they were dropped: ``solidity 0.71 < 0.80``. A picture has room for a
few; a text lists all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RoiConfig, SmoothConfig
from edge.frames import AnomalyMap, Found, Frame, FrameMeta, Inspection, Rejected
from edge.regions.filters import FILTERS
from edge.regions.smooth import smooth
from edge.regions.verdict import box_to_image
from edge.report.funnel_text import funnel_lines, lost_text, two_numbers
from edge.report.labels import DROPPED, draw_lines, write_labels
from edge.report.overlay import (
    COLOURS,
    STRIP,
    WHITE,
    canvas_of,
    dim_outside,
    frame_box,
    inspection_facts,
    region_text,
    scaled,
    under_strip,
    write,
)

TEXT_PX: Final = 14.0
_BLACK: Final = (0, 0, 0)
_KEPT_GREY, _DROPPED_GREY = (255, 255, 255), (150, 120, 20)
_SIDE_BY_SIDE, _STACKED = (800, 1600), (1800, 900)
"""Largest width and height of one of the three pictures. Frames more than twice as wide as high are stacked."""
_ENLARGED_TO: Final = 480
_NARROWEST: Final = 360
_MARKED: Final = 40
"""Number of regions and of dropped candidates that get a box and a text in the picture; 120 would hide what they mark."""

_LISTED: Final = 500
"""Number of areas that went before the filters and are listed in the text; a low threshold may have thousands."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A scale says what the map's colours stand for. ``low`` is None without hysteresis.

    ``smooth`` is the smoothing of the map before the thresholds.
    """

    display_range: tuple[float, float]
    low: float | None
    smooth: SmoothConfig | None = None
    score_high: float | None = None
    """The threshold of the image score; None where it decides nothing."""


_FILTERS: Final = {row.key: row for row in FILTERS}


def rejected_text(rejected: Rejected) -> str:
    """Name filter, value and limit: ``solidity 0.71 < 0.80``, with as many decimals as it takes to tell the two apart."""
    if rejected.filter == "max_regions":  # no filter of shapes: it shortens the list
        return f"region number {rejected.value:.0f} > {rejected.limit:.0f}"
    if (before_filters := lost_text(rejected)) is not None:
        return before_filters
    row = _FILTERS[rejected.filter]
    sign = "<" if row.at_least else ">"
    if row.kind == "area":
        return f"{row.noun} {rejected.value:.0f} {sign} {rejected.limit:.0f}"
    value, limit = two_numbers(rejected.value, rejected.limit)
    return f"{row.noun} {value} {sign} {limit}"


def rejected_summary(rejected: Sequence[Rejected]) -> str:
    """Say how many candidates each filter dropped: ``12 by min_area_px, 1 by min_solidity``."""
    return ", ".join(f"{count} by {key}" for key, count in Counter(r.filter for r in rejected).items())


def by_weight(rejected: Sequence[Rejected]) -> list[Rejected]:
    """Sort the candidates that came furthest first: dropped by the latest filter, then the largest."""
    steps = {key: number for number, key in enumerate(dict.fromkeys(r.filter for r in rejected))}
    return sorted(rejected, key=lambda r: (-steps[r.filter], -r.area_px))


def explain_dropped(meta: FrameMeta, amap: AnomalyMap, found: Found) -> str:
    """List what each step left, and every area that went on a line of its own, those that a filter dropped under their
    numbers in the picture; empty if no pixel reached ``low``.
    """
    lines = funnel_lines(found.funnel)
    if not found.rejected and not lines:
        return ""
    before = [one for step in reversed(found.funnel) for one in step.lost if step.step not in _FILTERS]
    entries = [(str(number), one) for number, one in enumerate(by_weight(found.rejected), 1)]
    entries += [("", one) for one in before[:_LISTED]]
    if not entries:
        return "\n".join(lines) + "\n"
    summary = f": {rejected_summary(found.rejected)}" if found.rejected else ""
    lines += [""] if lines else []
    lines += [
        f"{len(found.rejected)} dropped{summary}; {len(before)} gone before the filters; boxes in px of the frame",
        "",
    ]
    rows: list[tuple[str, ...]] = [("number", "x0", "y0", "x1", "y1", "area, map px", "why")]
    for number, one in entries:
        box = box_to_image(one.bbox_xyxy, amap.map_to_image, meta.width, meta.height)
        rows.append((number, *map(str, box), str(one.area_px), rejected_text(one)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for *numbers, why in rows:
        lines.append("  ".join([*(text.rjust(width) for text, width in zip(numbers, widths, strict=True)), why]))
    if len(before) > _LISTED:
        lines.append(f"and {len(before) - _LISTED} more that went before the filters")
    return "\n".join(lines) + "\n"


def draw_explanation(
    frame: Frame,
    inspection: Inspection,
    amap: AnomalyMap | None,
    found: Found | None,
    scale: Scale,
    roi: RoiConfig | None = None,
    mask: NDArray[np.uint8] | None = None,
    *,
    seq: int | None = None,
) -> NDArray[np.uint8]:
    """Draw an RGB uint8 picture of one inspection; ``amap`` and ``found``, with its candidates, are what it rests on.

    Three pictures of one size stand side by side, or stacked if the frame is wide: the frame with boxes; the map over the
    bundle's display range, smoothed, as the thresholds are compared with it; the candidates, white where they became
    regions. Boxes and texts are given to the first regions and to the dropped candidates that came furthest, by
    ``by_weight``. Large frames are shrunk, and the map by the maximum of what a pixel covers, so that no speck is lost.
    Without a map there is the frame alone. ``roi`` and its ``mask`` picture, (H, W), are drawn.
    """
    zoom, stacked = _layout(frame.meta.width, frame.meta.height)
    left = canvas_of(frame, zoom)
    dim_outside(left, roi, mask, zoom, 1)
    regions = [(scaled(region.bbox_xyxy, zoom), region_text(region)) for region in inspection.regions[:_MARKED]]
    title, colour, facts = inspection.verdict.upper(), COLOURS[inspection.verdict], inspection_facts(inspection, seq)
    if amap is None or found is None:
        return under_strip(_titled(left, "frame"), title, colour, facts, TEXT_PX)
    size = frame.meta.width, frame.meta.height
    marked = by_weight(found.rejected)[:_MARKED]
    dropped = [(scaled(box_to_image(r.bbox_xyxy, amap.map_to_image, *size), zoom), rejected_text(r)) for r in marked]
    for box, _ in dropped:
        frame_box(left, box, 1, DROPPED)
    for box, _ in regions:
        frame_box(left, box, 1)
    shape = left.shape[:2]
    compared = amap.values if scale.smooth is None else smooth(amap.values, scale.smooth)
    middle = _coloured(_on_frame(compared, amap, zoom, shape, 0.0), scale.display_range)
    dim_outside(middle, roi, mask, zoom, 1)
    candidates = np.zeros_like(found.mask) if found.candidates is None else found.candidates
    right = _candidates(candidates, found.mask, amap, zoom, shape)
    panels = [_titled(left, "frame"), _scale_bar(_titled(middle, _map_title(inspection, scale)), inspection, scale)]
    right = _padded(right)
    for box, _ in dropped:
        frame_box(right, box, 1, DROPPED)
    for box, _ in regions:
        frame_box(right, box, 1)
    lines = write_labels(right, regions, dropped, TEXT_PX)
    panels.append(_titled(right, _candidates_title(inspection, found)))
    picture = _joined(panels, stacked)
    if len(found.rejected) > _MARKED:
        lines.append(f"and {len(found.rejected) - _MARKED} more, in the text beside this picture")
    if lines:
        picture = np.vstack((picture, draw_lines(lines, picture.shape[1], 0.8 * TEXT_PX)))
    if scale.score_high is not None and inspection.score is not None:
        facts.append(_score_fact(inspection.score, scale.score_high))
    if dropped:
        facts.append(f"dropped: {rejected_summary(found.rejected)}")
    return under_strip(picture, title, colour, facts, TEXT_PX)


def _score_fact(score: float, high: float) -> str:
    return f"score {score:.4g} {'>=' if score >= high else '<'} {high:.4g}"


def _layout(width: int, height: int) -> tuple[float, bool]:
    """Return the factor by which a frame is shown (whole if it enlarges), and whether the pictures are stacked."""
    stacked = width > 2 * height
    most = _STACKED if stacked else _SIDE_BY_SIDE
    zoom = min(most[0] / width, most[1] / height)
    if zoom < 1:
        return zoom, stacked
    return max(1, min(-(-_ENLARGED_TO // width), int(zoom))), stacked


def _on_frame(values: NDArray[Any], amap: AnomalyMap, zoom: float, shape: tuple[int, int], outside: float) -> NDArray[Any]:
    """Place map pixels where they lie in the shown frame of ``shape``; of several under one pixel the highest is shown."""
    sx, sy, ox, oy = amap.map_to_image
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


def _coloured(values: NDArray[np.float32], display_range: tuple[float, float]) -> Any:
    low, high = display_range
    grey = np.clip((values - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    return cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)


def _candidates(
    candidates: NDArray[np.uint8], mask: NDArray[np.uint8], amap: AnomalyMap, zoom: float, shape: tuple[int, int]
) -> Any:
    picture = np.zeros((*shape, 3), np.uint8)
    picture[_on_frame(candidates, amap, zoom, shape, 0) > 0] = _DROPPED_GREY
    picture[_on_frame(candidates & mask, amap, zoom, shape, 0) > 0] = _KEPT_GREY
    return picture


def _map_title(inspection: Inspection, scale: Scale) -> str:
    low, high = scale.display_range
    hysteresis = "" if scale.low is None else f", low {scale.low:.4g}"
    smoothed = "" if scale.smooth is None else f" after {scale.smooth.kind} {scale.smooth.size}"
    return f"map{smoothed}, {low:.4g} to {high:.4g}; high {inspection.threshold:.4g}{hysteresis}"


def _candidates_title(inspection: Inspection, found: Found) -> str:
    dropped = len(found.rejected)
    marked = "" if dropped <= _MARKED else f", {_MARKED} of them marked"
    highest = -math.inf if inspection.map_max is None else inspection.map_max
    gone = not inspection.regions and not dropped and highest >= inspection.threshold
    return f"candidates: {len(inspection.regions)} kept, {dropped} dropped{marked}{', smoothed away' if gone else ''}"


def _scale_bar(panel: Any, inspection: Inspection, scale: Scale) -> Any:
    """Draw the colours from lowest to highest below the map, with a tick at each threshold."""
    low, high = scale.display_range
    width = panel.shape[1]
    bar = np.repeat(_coloured(np.linspace(low, high, width, dtype=np.float32)[None], scale.display_range), 10, axis=0)
    for level in (inspection.threshold, scale.low):
        if level is not None and low <= level <= high:
            x = round((level - low) / (high - low) * (width - 1))
            bar[:, max(x - 2, 0) : x + 3] = _BLACK
            bar[:, max(x - 1, 0) : x + 2] = WHITE
    return np.vstack((panel, bar))


def _padded(picture: Any) -> Any:
    missing = _NARROWEST - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=STRIP) if missing > 0 else picture


def _titled(picture: Any, title: str) -> Any:
    """Put a picture under one line of text."""
    picture = _padded(picture)
    head = np.full((round(1.8 * TEXT_PX), picture.shape[1], 3), STRIP, np.uint8)
    write(head, title, 4, round(1.3 * TEXT_PX), 0.8 * TEXT_PX)
    return np.vstack((head, picture))


def _joined(panels: list[Any], stacked: bool) -> Any:
    gap, axis = 8, 0 if stacked else 1
    across = max(panel.shape[1 - axis] for panel in panels)
    parts = []
    for number, panel in enumerate(panels):
        fill = across - panel.shape[1 - axis]
        down, right = (0, fill) if stacked else (fill, 0)
        after = gap if number < len(panels) - 1 else 0
        down, right = (down + after, right) if stacked else (down, right + after)
        parts.append(cv2.copyMakeBorder(panel, 0, down, 0, right, cv2.BORDER_CONSTANT, value=STRIP))
    return np.concatenate(parts, axis=axis)
