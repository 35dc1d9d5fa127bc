"""An inspection is drawn for people (pure): verdict strip, boxes and outlines of defects, and the uninspected part dimmed.

Pictures are RGB uint8; boxes (x0, y0, x1, y1), x1 and y1 exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import AnomalyMap, Frame, Inspection, Region
from edge.preprocess.pixel_formats import to_depth
from edge.report.colour_scale import Scale, blend_heat
from edge.report.inspected_part import InspectedPart, MapGrid, dim_outside
from edge.report.labels import write_labels
from edge.report.lettering import Colour, shortened, text_size, write
from edge.report.marks import DEFECT, MaskOnFrame, frame_box, outline_mask, over_frame, ring, scaled
from edge.report.picture_names import PictureOf, identity_facts

COLOURS: Final = {"pass": (30, 140, 60), "fail": (200, 30, 40), "invalid": (215, 130, 0)}
STRIP: Final = (32, 34, 38)
_WIDE, _TALL, _NARROW = 480, 2048, 320
"""A frame narrower than ``_WIDE`` is enlarged, up to ``_TALL`` rows; the strip is at least ``_NARROW`` wide. All in px."""
LABELS: Final = 10
"""Number of regions that get a bold box and a label, from the worst on: a record begins with the worst."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A map is laid over the frame in the colours of ``scale``."""

    amap: AnomalyMap
    scale: Scale


def draw_overlay(
    frame: Frame,
    inspection: Inspection,
    part: InspectedPart | None = None,
    of: PictureOf | None = None,
    *,
    mask: MaskOnFrame | None = None,
    grid: MapGrid | None = None,
    heat: Heat | None = None,
    note: str | None = None,
) -> NDArray[np.uint8]:
    """Draw one inspected frame with a strip above it that says ``note``, verdict, what frame it is, numbers and reason.

    Frames under 480 px are enlarged by a whole factor, so that a 100 px tile is readable; lines and text grow with frames
    above 800 px. What isn't inspected is dimmed, the border where ``grid`` or ``mask`` says how the map lies. Boxes and the
    outlines of ``mask`` lie around the pixels that they mean, not on them. The worst ten regions have labels; the others
    have outlines, or a thin box without a mask. ``heat`` lays the map over the frame. RGB uint8.
    """
    picture, zoom = enlarged(frame)
    text_px = max(13.0, picture.shape[1] / 64)
    line = max(1, round(picture.shape[1] / 800))
    shape = picture.shape[:2]
    if heat is not None:
        blend_heat(picture, over_frame(heat.amap.values, heat.amap.map_to_image, zoom, shape), heat.scale)
    dim_outside(picture, part or InspectedPart(), zoom, line, grid or (None if mask is None else mask.grid))
    boxes = [scaled(region.bbox_xyxy, zoom) for region in inspection.regions]
    if mask is not None:
        outline_mask(picture, over_frame(mask.mask, mask.map_to_image, zoom, shape), line)
    else:
        for box in boxes[LABELS:]:
            ring(picture, box, 0, line, DEFECT)
    for box in boxes[:LABELS]:
        frame_box(picture, box, line)
    labelled = [(box, region_text(region)) for region, box in zip(inspection.regions[:LABELS], boxes, strict=False)]
    write_labels(picture, labelled, [], text_px)
    facts = [*([] if note is None else [note]), *inspection_facts(inspection, of)]
    return under_strip(picture, inspection.verdict.upper(), COLOURS[inspection.verdict], facts, text_px)


def region_text(region: Region) -> str:
    """Write the text beside a region's box: its number in the record, and its highest value."""
    return f"{region.id}: {region.score_max:.3g}"


def enlarged(frame: Frame) -> tuple[Any, int]:
    """Return the frame as ``draw_overlay`` shows it, and the whole factor by which it is enlarged."""
    height, width = frame.pixels.shape[:2]
    zoom = max(1, min(math.ceil(_WIDE / width), _TALL // height))
    return canvas_of(frame, zoom), zoom


def canvas_of(frame: Frame, zoom: float) -> Any:
    """Return the frame as RGB, a copy that may be drawn on; enlarged in squares or shrunk by averages."""
    pixels: Any = to_depth(frame, 8).pixels
    height, width = pixels.shape[:2]
    if zoom != 1:
        size = max(round(width * zoom), 1), max(round(height * zoom), 1)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_NEAREST)
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels.copy()


def under_strip(picture: Any, title: str, colour: Colour, facts: Sequence[str], text_px: float) -> NDArray[np.uint8]:
    """Put ``picture`` below a strip of its width that says ``title`` on ``colour``, then the facts; narrow pictures are
    padded.
    """
    strip = _strip(title, colour, facts, max(picture.shape[1], _NARROW), text_px)
    missing = strip.shape[1] - picture.shape[1]
    if missing > 0:
        picture = cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=STRIP)
    return np.vstack((strip, picture))


def _strip(title: str, colour: Colour, facts: Sequence[str], width: int, text_px: float) -> NDArray[np.uint8]:
    """Write the title on its colour, then the facts, on as many lines as they need; one that is wider than the strip is
    shortened in its middle.
    """
    pad = round(text_px * 0.7)
    block = text_size(title, text_px)[0] + 2 * pad
    lines: list[str] = []
    for whole in facts:
        fact = shortened(whole, text_px, width - block - 2 * pad)
        longer = fact if not lines else f"{lines[-1]}   {fact}"
        if not lines or text_size(longer, text_px)[0] > width - block - 2 * pad:
            lines.append(fact)
        else:
            lines[-1] = longer
    step = round(text_px * 1.8)
    strip = np.full((pad + step * max(len(lines), 1) + pad // 2, width, 3), STRIP, np.uint8)
    strip[:, :block] = colour
    baseline = pad + round(text_px)
    write(strip, title, pad, baseline, text_px)
    for number, text in enumerate(lines):
        write(strip, text, block + pad, baseline + number * step, text_px)
    return strip


def inspection_facts(inspection: Inspection, of: PictureOf | None, labels: int = LABELS) -> list[str]:
    """List what the strip says about an inspection besides its verdict: which frame it is, then what was decided.

    ``labels`` is the most regions that get one.
    """
    facts = identity_facts(inspection.meta, of or PictureOf())
    if inspection.reason is not None:
        facts.append(inspection.reason)
    if inspection.map_max is not None:
        smoothed = "" if inspection.smoothed_max is None else f", smoothed {inspection.smoothed_max:.4g}"
        facts.append(f"max {inspection.map_max:.4g}{smoothed}")
    if not math.isnan(inspection.threshold):
        facts.append(f"threshold {inspection.threshold:.4g}")
    count = len(inspection.regions)
    if count:
        facts.append(f"{count} region{'s' if count > 1 else ''}" + (f", {labels} labelled" if count > labels else ""))
    if inspection.regions_dropped:
        facts.append("dropped: " + ", ".join(f"{count} by {key}" for key, count in inspection.regions_dropped.items()))
    return facts
