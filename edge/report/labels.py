"""Texts stand beside boxes while there is room; other boxes get numbers, and lines that explain them (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from edge.report.lettering import WHITE, Box, Colour, tag, tag_size, text_size, write
from edge.report.marks import DEFECT

DROPPED: Final = (255, 200, 0)
"""Colour of dropped candidates."""
_STRIP: Final = (32, 34, 38)
_BLACK: Final = (0, 0, 0)
_COLUMN: Final = 260
"""Least width of a column of lines, in px."""


def write_labels(
    picture: Any, regions: Sequence[tuple[Box, str]], dropped: Sequence[tuple[Box, str]], text_px: float
) -> list[str]:
    """Write texts beside their boxes; where a text has no room, write its number, counted from 1 in the order of
    ``dropped``.

    No text covers another. A number is left out if even that has no room. The returned lines explain the numbers.
    """
    boxes = [box for box, _ in regions] + [box for box, _ in dropped]
    tags: list[Box] = []
    lines: list[str] = []
    for box, text in regions:
        place = _free(picture, text, box, text_px, [boxes, tags]) or _free(picture, text, box, text_px, [tags])
        if place is not None:
            _put(picture, text, place=place, text_px=text_px, tags=tags, fill=DEFECT, colour=WHITE)
    for number, (box, text) in enumerate(dropped, 1):
        shown = text
        place = _free(picture, shown, box, text_px, [boxes, tags])
        if place is None:
            lines.append(f"{number}: {text}")
            shown = str(number)
            place = _free(picture, shown, box, text_px, [boxes, tags]) or _free(picture, shown, box, text_px, [tags])
        if place is not None:
            _put(picture, shown, place=place, text_px=text_px, tags=tags, fill=DROPPED, colour=_BLACK)
    return lines


def draw_lines(lines: Sequence[str], width: int, text_px: float) -> Any:
    """Draw the lines in columns as wide as the longest, as an RGB uint8 picture of this width."""
    column = max(_COLUMN, max(text_size(line, text_px)[0] for line in lines) + 24)
    columns = max(1, width // column)
    step = round(1.6 * text_px)
    rows = -(-len(lines) // columns)
    picture = np.full((rows * step + step // 2, width, 3), _STRIP, np.uint8)
    for index, line in enumerate(lines):
        write(picture, line, 8 + index // rows * column, (index % rows + 1) * step, text_px, DROPPED)
    return picture


def _free(picture: Any, text: str, box: Box, text_px: float, taken: list[list[Box]]) -> tuple[int, int] | None:
    """Find the upper left corner of a tag near the box that covers nothing that is taken; None if there is no such
    place.
    """
    wide, tall, pad = tag_size(text, text_px)
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = box
    gap = pad + 2
    places = [(x0 - gap, y0 - gap - tall), (x0 - gap, y1 + gap), (x1 + gap, y0), (x0 - gap - wide, y0)]
    places += [(x1 + gap - wide, y0 - gap - tall), (x1 + gap - wide, y1 + gap)]
    for left, y in places:
        x = max(0, min(left, width - wide))
        own = x, y, x + wide, y + tall
        if 0 <= y <= height - tall and wide <= width and not any(_overlap(own, other) for many in taken for other in many):
            return x, y
    return None


def _put(
    picture: Any, text: str, place: tuple[int, int], text_px: float, tags: list[Box], fill: Colour, colour: Colour
) -> None:
    wide, tall, _ = tag_size(text, text_px)
    tag(picture, text, *place, text_px, fill, colour)
    tags.append((*place, place[0] + wide, place[1] + tall))


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
