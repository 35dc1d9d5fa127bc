"""An inspection is drawn for people (pure): verdict strip, boxes with number and score, and the uninspected part dimmed.

The parts that other pictures are made of have public names. Pictures are RGB uint8; boxes (x0, y0, x1, y1), x1 and y1
exclusive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RoiConfig, Shape
from edge.frames import Frame, Inspection, Region
from edge.preprocess.pixel_formats import to_depth

Box: TypeAlias = tuple[int, int, int, int]
Colour: TypeAlias = tuple[int, int, int]

COLOURS: Final = {"pass": (30, 140, 60), "fail": (200, 30, 40), "invalid": (215, 130, 0)}
BOX: Final = (255, 40, 60)
_ROI_LINE: Final = (70, 160, 255)
STRIP: Final = (32, 34, 38)
WHITE: Final = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX: Final = 22.0
"""Height of a capital of that font at scale 1, in px."""
_WIDE, _TALL, _NARROW = 480, 2048, 320
"""A frame narrower than ``_WIDE`` is enlarged, up to ``_TALL`` rows; the strip is at least ``_NARROW`` wide. All in px."""
_LABELS: Final = 50
"""Number of boxes that get a label, from the worst on: a record begins with the worst."""


def draw_overlay(
    frame: Frame,
    inspection: Inspection,
    roi: RoiConfig | None = None,
    mask: NDArray[np.uint8] | None = None,
    *,
    seq: int | None = None,
    note: str | None = None,
) -> NDArray[np.uint8]:
    """Draw one inspected frame with a strip above it that says ``note``, verdict, numbers and reason. RGB uint8.

    Frames under 480 px are enlarged by a whole factor, so that a 100 px tile is readable; lines and text grow with frames
    above 800 px. ``roi`` and its ``mask`` picture, (H, W), are drawn as ``dim_outside`` does. Boxes lie around the pixels
    that they mean, not on them.
    """
    picture, zoom = enlarged(frame)
    text_px = max(13.0, picture.shape[1] / 64)
    line = max(1, round(picture.shape[1] / 800))
    dim_outside(picture, roi, mask, zoom, line)
    boxes = [scaled(region.bbox_xyxy, zoom) for region in inspection.regions]
    for box in boxes:
        frame_box(picture, box, line)
    for region, box in zip(inspection.regions[:_LABELS], boxes, strict=False):
        label(picture, region_text(region), box, text_px)
    facts = ([] if note is None else [note]) + inspection_facts(inspection, seq)
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


def scaled(box: Sequence[float], zoom: float) -> Box:
    """Return a box of the frame in the enlarged or shrunken picture, its edges rounded."""
    x0, y0, x1, y1 = (round(edge * zoom) for edge in box)
    return x0, y0, x1, y1


def frame_box(picture: Any, box: Box, line: int, colour: Colour = BOX) -> None:
    """Draw a box around its pixels, ``line`` px wide and at least 2, with a dark rim that shows on white parts, too."""
    bold = max(line, 2)
    ring(picture, box, 0, bold + 2, (0, 0, 0))
    ring(picture, box, 1, bold + 1, colour)


def under_strip(picture: Any, title: str, colour: Colour, facts: Sequence[str], text_px: float) -> NDArray[np.uint8]:
    """Put ``picture`` below a strip of its width that says ``title`` on ``colour``, then the facts; narrow pictures are
    padded.
    """
    strip = _strip(title, colour, facts, max(picture.shape[1], _NARROW), text_px)
    missing = strip.shape[1] - picture.shape[1]
    if missing > 0:
        picture = cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=STRIP)
    return np.vstack((strip, picture))


def dim_outside(picture: Any, roi: RoiConfig | None, mask: NDArray[np.uint8] | None, zoom: float, line: int) -> None:
    """Darken what lies outside the ROI's rectangles, polygons and mask picture, and draw their edges.

    ``picture`` is the enlarged frame. ``mask`` is (H, W), above 0 where inspected; one that isn't the frame's size is not
    drawn.
    """
    height, width = picture.shape[:2]
    if mask is not None and not all(abs(m * zoom - p) < 1 for m, p in zip(mask.shape, (height, width), strict=True)):
        mask = None
    if roi is None or not (roi.include or roi.exclude or mask is not None):
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
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=0.4), cv2.bitwise_not(inside), picture)
    cv2.polylines(picture, include + exclude, True, _ROI_LINE, thickness=line, lineType=cv2.LINE_AA, shift=_SHIFT)
    cv2.polylines(picture, edges, True, _ROI_LINE, line, cv2.LINE_AA)


_SHIFT: Final = 4
"""Number of fractional bits of the corners that OpenCV draws between."""


def _corners(shape: Shape, roi: RoiConfig, size: tuple[float, float], zoom: float) -> NDArray[np.int32]:
    """Return (n, 2) in the enlarged picture, as OpenCV counts: 0 is the centre of the first pixel."""
    flat: Sequence[Any] = shape
    if not isinstance(shape[0], tuple | list):
        x0, y0, x1, y1 = flat
        flat = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    unit = np.array(size if roi.units == "norm" else (1, 1), np.float64)
    points = np.array(flat, np.float64) * unit * zoom - 0.5
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def ring(picture: Any, box: Box, near: int, far: int, colour: Colour) -> None:
    """Colour the ring from ``near`` to ``far`` px outside the box. cv2.rectangle draws thick lines wider than asked for."""
    x0, y0, x1, y1 = box
    left, top = max(x0 - far, 0), max(y0 - far, 0)
    picture[top : max(y0 - near, 0), left : x1 + far] = colour
    picture[y1 + near : y1 + far, left : x1 + far] = colour
    picture[top : y1 + far, left : max(x0 - near, 0)] = colour
    picture[top : y1 + far, x1 + near : x1 + far] = colour


def text_size(text: str, text_px: float) -> tuple[int, int, float, int]:
    """Return width and height of the capitals in px, OpenCV's font scale and thickness."""
    scale = text_px / _CAPITAL_PX
    thickness = max(1, round(text_px / 10))
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    return width, round(text_px), scale, thickness


def write(picture: Any, text: str, x: int, baseline: int, text_px: float, colour: Colour = WHITE) -> None:
    """Write one line of text, its capitals ``text_px`` high; ``x`` and ``baseline`` are where its first letter stands."""
    _, _, scale, thickness = text_size(text, text_px)
    cv2.putText(
        picture, text, (x, baseline), _FONT, fontScale=scale, color=colour, thickness=thickness, lineType=cv2.LINE_AA
    )


def label(picture: Any, text: str, box: Box, text_px: float) -> None:
    """Write a label above the box, or below it if there is no room, and never outside the picture."""
    wide, tall, pad = tag_size(text, text_px)
    gap = pad + 2
    x = max(0, min(box[0] - gap, picture.shape[1] - wide))
    y = box[1] - gap - tall if box[1] - gap - tall >= 0 else min(box[3] + gap, picture.shape[0] - tall)
    tag(picture, text, x, y, text_px)


def tag_size(text: str, text_px: float) -> tuple[int, int, int]:
    """Return width and height of what ``tag`` draws, and the width of its margins, in px."""
    width, height, _, _ = text_size(text, 0.8 * text_px)
    pad = max(2, round(0.2 * text_px))
    return width + 2 * pad, height + 2 * pad, pad


def tag(picture: Any, text: str, x: int, y: int, text_px: float, fill: Colour = BOX, colour: Colour = WHITE) -> None:
    """Write text on a filled rectangle whose upper left corner is (x, y)."""
    wide, tall, pad = tag_size(text, text_px)
    cv2.rectangle(picture, (x, y), (x + wide - 1, y + tall - 1), fill, cv2.FILLED)
    write(picture, text, x + pad, y + tall - pad, 0.8 * text_px, colour)


def _strip(title: str, colour: Colour, facts: Sequence[str], width: int, text_px: float) -> NDArray[np.uint8]:
    """Write the title on its colour, then the facts, on as many lines as they need."""
    pad = round(text_px * 0.7)
    block = text_size(title, text_px)[0] + 2 * pad
    lines: list[tuple[int, str]] = []
    x = block + pad
    for fact in facts:
        wide = text_size(fact, text_px)[0]
        if not lines or x + wide > width - pad:
            lines.append((block + pad, fact))
        else:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]}   {fact}")
        x = block + pad + text_size(lines[-1][1] + "   ", text_px)[0]
    step = round(text_px * 1.8)
    strip = np.full((pad + step * len(lines) + pad // 2, width, 3), STRIP, np.uint8)
    strip[:, :block] = colour
    baseline = pad + round(text_px)
    write(strip, title, pad, baseline, text_px)
    for number, (left, text) in enumerate(lines):
        write(strip, text, left, baseline + number * step, text_px)
    return strip


def inspection_facts(inspection: Inspection, seq: int | None) -> list[str]:
    """List what the strip says about an inspection besides its verdict."""
    meta = inspection.meta
    facts = [] if seq is None else [f"seq {seq}"]
    facts.append(f"frame {meta.frame_id}")
    if meta.part_id is not None:
        facts.append(f"part {meta.part_id}")
    if inspection.reason is not None:
        facts.append(inspection.reason)
    if inspection.map_max is not None:
        facts.append(f"max {inspection.map_max:.4g}")
    if not math.isnan(inspection.threshold):
        facts.append(f"threshold {inspection.threshold:.4g}")
    if inspection.regions:
        facts.append(f"{len(inspection.regions)} region{'s' if len(inspection.regions) > 1 else ''}")
    return facts
