"""How a verdict came about is drawn for people who tune (pure): the frame, its map, and what the filters were given.

The third picture says beside dropped candidates why they were dropped: ``solidity 0.71 < 0.80``. A picture has room for a
few; a text lists all of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import AnomalyMap, Found, Frame, FrameMeta, Inspection, Rejected
from edge.regions.filters import FILTERS
from edge.regions.smooth import smooth
from edge.regions.verdict import box_to_image
from edge.report.colour_scale import Scale, coloured, under_bar
from edge.report.funnel_text import funnel_lines, lost_text, two_numbers
from edge.report.inspected_part import ROI_LINE, InspectedPart, dim_outside
from edge.report.labels import DROPPED, draw_lines, write_labels
from edge.report.lettering import Box, shortened, write
from edge.report.marks import frame_box, grid_of, over_frame, scaled
from edge.report.overlay import COLOURS, STRIP, canvas_of, inspection_facts, region_text, under_strip
from edge.report.picture_names import PictureOf

TEXT_PX: Final = 14.0
_KEPT_GREY, _DROPPED_GREY = (255, 255, 255), (150, 120, 20)
_SIDE_BY_SIDE, _STACKED = (800, 1600), (1800, 900)
"""Largest width and height of one of the three pictures. Frames more than twice as wide as high are stacked."""
_ENLARGED_TO: Final = 480
_NARROWEST: Final = 360
_MARKED: Final = 40
"""Number of regions and of dropped candidates that get a box and a text in the picture; 120 would hide what they mark."""

_LISTED: Final = 500
"""Number of areas that went before the filters and are listed in the text; a low threshold may have thousands."""


_GOLDEN: Final = 0.6180339887498949
"""Multiples of the golden ratio, modulo 1, are spread evenly however many of them there are."""
_FILTERS: Final = {row.key: row for row in FILTERS}
FILTER_KEYS: Final = frozenset((*_FILTERS, "max_regions"))


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
    """Sort the candidates that came furthest first: dropped by the latest filter, then the largest.

    Equals come from all over the picture, not from one corner of it: they are listed row by row.
    """
    steps = {key: number for number, key in enumerate(dict.fromkeys(r.filter for r in rejected))}
    order = sorted(enumerate(rejected), key=lambda n: (-steps[n[1].filter], -n[1].area_px, n[0] * _GOLDEN % 1))
    return [one for _, one in order]


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


@dataclass(frozen=True, slots=True)
class Basis:
    """A verdict rests on this map and on what was found in it, with its candidates."""

    amap: AnomalyMap
    found: Found


@dataclass(frozen=True, slots=True)
class ModelView:
    """The picture that a model takes, RGB uint8, with the tiles (x, y, width, height) that it is cut into and words about
    how it was prepared.
    """

    picture: NDArray[np.uint8]
    words: str
    tiles: tuple[tuple[int, int, int, int], ...] = ()


def draw_explanation(
    frame: Frame,
    inspection: Inspection,
    basis: Basis | None,
    scale: Scale,
    part: InspectedPart | None = None,
    of: PictureOf | None = None,
    *,
    seen: ModelView | None = None,
) -> NDArray[np.uint8]:
    """Draw an RGB uint8 picture of one inspection.

    Pictures of one size stand side by side, or stacked if the frame is wide: the frame with boxes; what the model saw, if
    ``seen`` is another picture; the map in the colours of ``scale``, smoothed, as the thresholds are compared with it; the
    candidates, white where they became regions. Boxes and texts are given to the first regions and to the dropped
    candidates that came furthest, by ``by_weight``. Large frames are shrunk, and the map by the maximum of what a pixel
    covers, so that no speck is lost. Without a map there are the frame and what the model saw. ``part`` is drawn.
    """
    zoom, stacked = _layout(frame.meta.width, frame.meta.height)
    part = part or InspectedPart()
    left = canvas_of(frame, zoom)
    shape = left.shape[:2]
    dim_outside(left, part, zoom, 1, None if basis is None else grid_of(basis.amap))
    panels = [] if seen is None else [_titled(_seen(seen, shape), seen.words)]
    title, colour, facts = (
        inspection.verdict.upper(),
        COLOURS[inspection.verdict],
        inspection_facts(inspection, of, _MARKED),
    )
    if basis is None:
        return under_strip(_joined([_titled(left, "frame"), *panels], stacked), title, colour, facts, TEXT_PX)
    regions = [(scaled(region.bbox_xyxy, zoom), region_text(region)) for region in inspection.regions[:_MARKED]]
    dropped = dropped_boxes(frame.meta, basis, zoom, _MARKED)
    _put_boxes(left, regions, dropped)
    middle, right, lines = _map_and_candidates(basis, scale, part, zoom, shape, (regions, dropped))
    panels = [
        _titled(left, "frame"),
        *panels,
        under_bar(_titled(middle, _map_title(inspection, scale)), scale, 0.8 * TEXT_PX),
        _titled(right, _candidates_title(inspection, basis.found)),
    ]
    picture = _joined(panels, stacked)
    if len(basis.found.rejected) > _MARKED:
        lines.append(f"and {len(basis.found.rejected) - _MARKED} more, in the text beside this picture")
    if lines:
        picture = np.vstack((picture, draw_lines(lines, picture.shape[1], 0.8 * TEXT_PX)))
    if scale.score_high is not None and inspection.score is not None:
        facts.append(_score_fact(inspection.score, scale.score_high))
    return under_strip(picture, title, colour, facts, TEXT_PX)


_Marked: TypeAlias = "Sequence[tuple[Box, str]]"


def dropped_boxes(meta: FrameMeta, basis: Basis, zoom: float, most: int) -> list[tuple[Box, str]]:
    """Return the dropped candidates that came furthest, where they lie in the shown frame, each with why it was dropped."""
    to_image = basis.amap.map_to_image
    return [
        (scaled(box_to_image(one.bbox_xyxy, to_image, meta.width, meta.height), zoom), rejected_text(one))
        for one in by_weight(basis.found.rejected)[:most]
    ]


def _map_and_candidates(
    basis: Basis,
    scale: Scale,
    part: InspectedPart,
    zoom: float,
    shape: tuple[int, int],
    marked: tuple[_Marked, _Marked],
) -> tuple[Any, Any, list[str]]:
    """Return both pictures, and the lines that explain the numbers in the second one."""
    amap, found = basis.amap, basis.found
    compared = amap.values if scale.smooth is None else smooth(amap.values, scale.smooth)
    middle = coloured(over_frame(compared, amap.map_to_image, zoom, shape, scale.range[0]), scale.range)
    dim_outside(middle, part, zoom, 1, grid_of(amap))
    candidates = np.zeros_like(found.mask) if found.candidates is None else found.candidates
    right = np.zeros((*shape, 3), np.uint8)
    right[over_frame(candidates, amap.map_to_image, zoom, shape) > 0] = _DROPPED_GREY
    right[over_frame(candidates & found.mask, amap.map_to_image, zoom, shape) > 0] = _KEPT_GREY
    right = _padded(right)
    regions, dropped = marked
    _put_boxes(right, regions, dropped)
    return middle, right, write_labels(right, regions, dropped, TEXT_PX)


def _put_boxes(picture: Any, regions: _Marked, dropped: _Marked) -> None:
    for box, _ in dropped:
        frame_box(picture, box, 1, DROPPED)
    for box, _ in regions:
        frame_box(picture, box, 1)


def _seen(seen: ModelView, shape: tuple[int, int]) -> Any:
    """Draw what the model saw as large as fits in ``shape``, with the grid of its tiles."""
    height, width = seen.picture.shape[:2]
    zoom = min(shape[0] / height, shape[1] / width)
    size = max(round(width * zoom), 1), max(round(height * zoom), 1)
    picture = cv2.resize(seen.picture, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_NEAREST)
    for x, y, across, down in seen.tiles:
        corner = round(x * zoom), round(y * zoom)
        cv2.rectangle(picture, corner, (round((x + across) * zoom) - 1, round((y + down) * zoom) - 1), ROI_LINE, 1)
    return picture


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


def _map_title(inspection: Inspection, scale: Scale) -> str:
    smoothed = "" if scale.smooth is None else f" after {scale.smooth.kind} {scale.smooth.size}"
    beyond = inspection.map_max is not None and inspection.map_max > scale.range[1]
    return f"map{smoothed}" + (f", up to {inspection.map_max:.4g}: beyond the colours" if beyond else "")


def _candidates_title(inspection: Inspection, found: Found) -> str:
    dropped = len(found.rejected)
    marked = "" if dropped <= _MARKED else f", {_MARKED} of them marked"
    highest = -math.inf if inspection.map_max is None else inspection.map_max
    gone = not inspection.regions and not dropped and highest >= inspection.threshold
    return f"candidates: {len(inspection.regions)} kept, {dropped} dropped{marked}{', smoothed away' if gone else ''}"


def _padded(picture: Any) -> Any:
    missing = _NARROWEST - picture.shape[1]
    return cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=STRIP) if missing > 0 else picture


def _titled(picture: Any, title: str) -> Any:
    """Put a picture under one line of text, shortened to its width."""
    picture = _padded(picture)
    head = np.full((round(1.8 * TEXT_PX), picture.shape[1], 3), STRIP, np.uint8)
    write(head, shortened(title, 0.8 * TEXT_PX, picture.shape[1] - 8), 4, round(1.3 * TEXT_PX), 0.8 * TEXT_PX)
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
