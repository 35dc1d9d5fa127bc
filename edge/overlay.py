"""An inspection drawn for people (pure): verdict strip, boxes with number and score, what isn't inspected dimmed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.controls import RoiConfig, Shape
from edge.frames import Frame, Inspection
from edge.pixels import to_uint8

_COLOURS: Final = {"pass": (30, 140, 60), "fail": (200, 30, 40), "invalid": (215, 130, 0)}
_BOX: Final = (255, 40, 60)
_ROI_LINE: Final = (70, 160, 255)
_STRIP: Final = (32, 34, 38)
_WHITE: Final = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX: Final = 22.0
"""Height of a capital of that font at scale 1."""
_WIDE, _TALL, _NARROW = 480, 2048, 320
"""A frame narrower than ``_WIDE`` is shown enlarged, up to ``_TALL`` rows; the strip is at least ``_NARROW`` wide."""
_LABELS: Final = 50
"""Boxes that get a label: the first in the record, which begins with the worst."""


def draw_overlay(
    frame: Frame, inspection: Inspection, roi: RoiConfig | None = None, *, seq: int | None = None
) -> NDArray[np.uint8]:
    """RGB uint8 picture of one inspected frame, with a strip above it that says verdict, numbers and reason.

    Frames under 480 px are enlarged by a whole factor, so that a 100 px tile is readable; lines and text grow with
    frames above 800 px. Of ``roi`` the rectangles and polygons are drawn, not the mask picture. Boxes lie around the
    pixels that they mean, not on them.
    """
    pixels: Any = to_uint8(frame).pixels
    height, width = pixels.shape[:2]
    zoom = max(1, min(math.ceil(_WIDE / width), _TALL // height))
    if zoom > 1:
        pixels = cv2.resize(pixels, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    picture: Any = cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if pixels.ndim == 2 else pixels.copy()
    text_px = max(13.0, picture.shape[1] / 64)
    line = max(1, round(picture.shape[1] / 800))
    if roi is not None and (roi.include or roi.exclude):
        _dim(picture, roi, (width, height), zoom, line)
    for region in inspection.regions:
        x0, y0, x1, y1 = (edge * zoom for edge in region.bbox_xyxy)
        bold = max(line, 2)
        _ring(picture, (x0, y0, x1, y1), 0, bold + 2, (0, 0, 0))  # a dark rim shows on white parts, too
        _ring(picture, (x0, y0, x1, y1), 1, bold + 1, _BOX)
    for region in inspection.regions[:_LABELS]:
        x0, y0, x1, y1 = (edge * zoom for edge in region.bbox_xyxy)
        _label(picture, f"{region.id}: {region.score_max:.3g}", (x0, y0, x1, y1), text_px)
    strip = _strip(inspection, seq, max(picture.shape[1], _NARROW), text_px)
    missing = strip.shape[1] - picture.shape[1]
    if missing > 0:
        picture = cv2.copyMakeBorder(picture, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=_STRIP)
    return np.vstack((strip, picture))


def _dim(picture: Any, roi: RoiConfig, size: tuple[int, int], zoom: int, line: int) -> None:
    """Darken what lies outside the ROI, and draw its edges."""
    inside = np.full(picture.shape[:2], 0 if roi.include else 255, np.uint8)
    include = [_corners(shape, roi, size, zoom) for shape in roi.include]
    exclude = [_corners(shape, roi, size, zoom) for shape in roi.exclude]
    for corners, value in [(c, 255) for c in include] + [(c, 0) for c in exclude]:
        cv2.fillPoly(inside, [corners], (value,), cv2.LINE_8, _SHIFT)
    cv2.copyTo(cv2.convertScaleAbs(picture, alpha=0.4), cv2.bitwise_not(inside), picture)
    cv2.polylines(picture, include + exclude, True, _ROI_LINE, line, cv2.LINE_AA, _SHIFT)


_SHIFT: Final = 4
"""Fractional bits of the corners that OpenCV draws between."""


def _corners(shape: Shape, roi: RoiConfig, size: tuple[int, int], zoom: int) -> NDArray[np.int32]:
    """(n, 2) in the enlarged picture, as OpenCV counts: 0 is the centre of the first pixel."""
    flat: Sequence[Any] = shape
    if not isinstance(shape[0], tuple | list):
        x0, y0, x1, y1 = flat
        flat = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    unit = np.array(size if roi.units == "norm" else (1, 1), np.float64)
    points = np.array(flat, np.float64) * unit * zoom - 0.5
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def _ring(picture: Any, box: tuple[int, int, int, int], near: int, far: int, colour: tuple[int, int, int]) -> None:
    """Colour what lies ``near`` to ``far`` px outside the box. cv2.rectangle draws thick lines wider than asked for."""
    x0, y0, x1, y1 = box
    left, top = max(x0 - far, 0), max(y0 - far, 0)
    picture[top : max(y0 - near, 0), left : x1 + far] = colour
    picture[y1 + near : y1 + far, left : x1 + far] = colour
    picture[top : y1 + far, left : max(x0 - near, 0)] = colour
    picture[top : y1 + far, x1 + near : x1 + far] = colour


def _text_size(text: str, text_px: float) -> tuple[int, int, float, int]:
    """Width and height of the capitals in px, OpenCV's font scale and thickness."""
    scale = text_px / _CAPITAL_PX
    thickness = max(1, round(text_px / 10))
    (width, _), _ = cv2.getTextSize(text, _FONT, scale, thickness)
    return width, round(text_px), scale, thickness


def _write(picture: Any, text: str, x: int, baseline: int, text_px: float) -> None:
    _, _, scale, thickness = _text_size(text, text_px)
    cv2.putText(picture, text, (x, baseline), _FONT, scale, _WHITE, thickness, cv2.LINE_AA)


def _label(picture: Any, text: str, box: tuple[int, int, int, int], text_px: float) -> None:
    """Above the box, or below it where there is no room, and never outside the picture."""
    text_px *= 0.8
    width, height, _, _ = _text_size(text, text_px)
    pad = max(2, round(text_px / 4))
    tall, wide = height + 2 * pad, width + 2 * pad
    gap = pad + 2
    x = max(0, min(box[0] - gap, picture.shape[1] - wide))
    y = box[1] - gap - tall if box[1] - gap - tall >= 0 else min(box[3] + gap, picture.shape[0] - tall)
    cv2.rectangle(picture, (x, y), (x + wide - 1, y + tall - 1), _BOX, cv2.FILLED)
    _write(picture, text, x + pad, y + pad + height, text_px)


def _strip(inspection: Inspection, seq: int | None, width: int, text_px: float) -> NDArray[np.uint8]:
    """The verdict on its colour, then the numbers, on as many lines as they need."""
    pad = round(text_px * 0.7)
    verdict = inspection.verdict.upper()
    block = _text_size(verdict, text_px)[0] + 2 * pad
    lines: list[tuple[int, str]] = []
    x = block + pad
    for fact in _facts(inspection, seq):
        wide = _text_size(fact, text_px)[0]
        if not lines or x + wide > width - pad:
            lines.append((block + pad, fact))
        else:
            lines[-1] = (lines[-1][0], f"{lines[-1][1]}   {fact}")
        x = block + pad + _text_size(lines[-1][1] + "   ", text_px)[0]
    step = round(text_px * 1.8)
    strip = np.full((pad + step * len(lines) + pad // 2, width, 3), _STRIP, np.uint8)
    strip[:, :block] = _COLOURS[inspection.verdict]
    baseline = pad + round(text_px)
    _write(strip, verdict, pad, baseline, text_px)
    for number, (left, text) in enumerate(lines):
        _write(strip, text, left, baseline + number * step, text_px)
    return strip


def _facts(inspection: Inspection, seq: int | None) -> list[str]:
    meta = inspection.meta
    facts = [] if seq is None else [f"seq {seq}"]
    facts.append(f"frame {meta.frame_id}")
    if meta.part_id is not None:
        facts.append(f"part {meta.part_id}")
    if inspection.reason is not None:
        facts.append(inspection.reason)
    if inspection.map_max is not None:
        facts.append(f"max {inspection.map_max:.4g}")
    facts.append(f"threshold {inspection.threshold:.4g}")
    if inspection.regions:
        facts.append(f"{len(inspection.regions)} region{'s' if len(inspection.regions) > 1 else ''}")
    return facts
