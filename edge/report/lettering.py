"""Texts are written on pictures here: at any size, on a filled tag, shortened to a width; zeros are plain (pure)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Box: TypeAlias = tuple[int, int, int, int]
Colour: TypeAlias = tuple[int, int, int]

WHITE: Final = (255, 255, 255)
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL_PX: Final = 22.0
"""Height of a capital of that font at scale 1, in px."""
_SLASHES_ZERO: Final = int(cv2.__version__.split(".")[0]) >= 5
"""OpenCV 5 writes this font's zero with a slash, which many readers take for a letter."""
_FINER: Final = 4


def text_size(text: str, text_px: float) -> tuple[int, int, float, int]:
    """Return width and height of the capitals in px, OpenCV's font scale and thickness."""
    scale = text_px / _CAPITAL_PX
    thickness = max(1, round(text_px / 10))
    return _width(text, scale, thickness), round(text_px), scale, thickness


def write(picture: Any, text: str, x: int, baseline: int, text_px: float, colour: Colour = WHITE) -> None:
    """Write one line of text, its capitals ``text_px`` high; ``x`` and ``baseline`` are where its first letter stands."""
    _, _, scale, thickness = text_size(text, text_px)
    if not _SLASHES_ZERO or "0" not in text:
        _put(picture, text, (x, baseline), scale, colour, thickness)
        return
    own = _width("0", scale, thickness)
    at = 0
    while at < len(text):  # zeros one by one, what is between them in one go
        if text[at] == "0":
            stop = at + 1
        else:
            found = text.find("0", at)
            stop = len(text) if found < 0 else found
        left = x + _width(text[:at] + "0", scale, thickness) - own
        if text[at] == "0":
            _blend(picture, _plain_zero(scale, thickness), left, baseline, colour)
        else:
            _put(picture, text[at:stop], (left, baseline), scale, colour, thickness)
        at = stop


def shortened(text: str, text_px: float, width: int) -> str:
    """Return the text, or its beginning and its end with an ellipsis between them, so that it is at most ``width`` px
    wide. The end of a path tells more than its beginning: it keeps two thirds.
    """
    kept = len(text)
    short = text
    while kept > 1 and text_size(short, text_px)[0] > width:
        kept -= 1
        front = kept // 3
        short = f"{text[:front]}...{text[len(text) - (kept - front) :]}"
    return short


def tag_size(text: str, text_px: float) -> tuple[int, int, int]:
    """Return width and height of what ``tag`` draws, and the width of its margins, in px."""
    width, height, _, _ = text_size(text, 0.8 * text_px)
    pad = max(2, round(0.2 * text_px))
    return width + 2 * pad, height + 2 * pad, pad


def tag(picture: Any, text: str, x: int, y: int, text_px: float, fill: Colour, colour: Colour = WHITE) -> None:
    """Write text on a filled rectangle whose upper left corner is (x, y)."""
    wide, tall, pad = tag_size(text, text_px)
    cv2.rectangle(picture, (x, y), (x + wide - 1, y + tall - 1), fill, cv2.FILLED)
    write(picture, text, x + pad, y + tall - pad, 0.8 * text_px, colour)


def _width(text: str, scale: float, thickness: int) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, thickness)[0][0])


def _put(picture: Any, text: str, at: tuple[int, int], scale: float, colour: Colour, thickness: int) -> None:
    cv2.putText(picture, text, at, _FONT, fontScale=scale, color=colour, thickness=thickness, lineType=cv2.LINE_AA)


@lru_cache(maxsize=64)
def _plain_zero(scale: float, thickness: int) -> tuple[NDArray[np.float32], int]:
    """Return how much of each pixel a zero covers, (h, w) from 0 to 1, and the row of its baseline: the letter O of this
    font and weight, made as narrow as a figure.
    """
    fine = scale * _FINER
    (letter, tall), below = cv2.getTextSize("O", _FONT, fine, thickness)
    below = max(below, _FINER)
    rows = -(-(tall + below) // _FINER) * _FINER
    canvas = np.zeros((rows, letter), np.uint8)
    _put(canvas, "O", (0, rows - below), fine, (255, 0, 0), thickness)
    baseline = rows - below
    shift = -baseline % _FINER  # the baseline lies on a row of the picture
    canvas = np.asarray(cv2.copyMakeBorder(canvas, shift, (rows - shift) % _FINER, 0, 0, cv2.BORDER_CONSTANT, value=(0,)))
    height = canvas.shape[0] // _FINER
    canvas = canvas[: height * _FINER]
    width = max(_width("00", scale, thickness) - _width("0", scale, thickness), 1)
    cover = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cover / np.float32(255), np.float32), (baseline + shift) // _FINER


def _blend(picture: Any, glyph: tuple[NDArray[np.float32], int], x: int, baseline: int, colour: Colour) -> None:
    """Colour a glyph's pixels, as far as they lie in the picture."""
    cover, line = glyph
    top, left = baseline - line, x
    rows = slice(max(top, 0), max(min(top + cover.shape[0], picture.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + cover.shape[1], picture.shape[1]), 0))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    part = cover[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
    under = picture[rows, columns]
    under[...] = np.rint(under + (np.array(colour, np.float32) - under) * part).astype(np.uint8)
