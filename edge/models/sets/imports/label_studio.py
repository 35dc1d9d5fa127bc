"""Labels from Label Studio's JSON export: choices, rectangles, polygons and brush strokes, with who and when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.sets.imports.csv_table import BAD, GOOD
from edge.models.sets.imports.protocol import ImportedLabel

_UPLOADED: Final = re.compile(r"^[0-9a-f]{8}-")
_PICTURE: Final = re.compile(r"\.(png|jpe?g|tiff?|bmp)(?:$|[?#])", re.IGNORECASE)


def read_label_studio(path: Path, tasks: Sequence[Any]) -> list[ImportedLabel]:
    """One label for each annotation that wasn't cancelled; an annotation without any result is good.

    Raises:
        UserError: a task without a picture, or a result that can't be read.
    """
    labels: list[ImportedLabel] = []
    for number, task in enumerate(tasks, 1):
        try:
            file = _file(task["data"])
            labels += [_label(file, one) for one in task["annotations"] if not one.get("was_cancelled")]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"{path}: task {number} can't be read: {error}", expected="Label Studio's JSON export"
            ) from None
    return labels


def _file(data: Mapping[str, Any]) -> str:
    """The picture's name: a local path behind ``?d=``, or an upload without the 8 digits that Label Studio puts before
    it.
    """
    for value in data.values():
        if isinstance(value, str) and _PICTURE.search(value):
            text = unquote(value)
            if "?d=" in text:
                return text.rpartition("?d=")[2]
            folder, _, name = text.rpartition("/")
            return _UPLOADED.sub("", name) if "/upload" in folder else text
    raise ValueError("its data name no picture")


def _label(file: str, annotation: Mapping[str, Any]) -> ImportedLabel:
    words: list[str] = []
    mask: NDArray[np.bool_] | None = None
    for result in annotation.get("result", ()):
        value, kind = result.get("value", {}), result.get("type", "")
        words += value.get("choices", ()) if kind == "choices" else value.get(kind, ())
        if kind in ("rectanglelabels", "polygonlabels", "brushlabels"):
            size = int(result["original_height"]), int(result["original_width"])
            drawn = _drawn(kind, value, *size)
            mask = drawn if mask is None else mask | drawn
    kinds = tuple(sorted({w for w in words if w.casefold() not in GOOD and w.casefold() not in BAD}))
    bad = bool(kinds) or mask is not None or any(w.casefold() in BAD for w in words)
    by = annotation.get("completed_by")
    person = by.get("email") or by.get("id") if isinstance(by, Mapping) else by
    return ImportedLabel(
        file,
        "defect" if bad else "good",
        kinds,
        mask if mask is not None and mask.any() else None,
        None if person is None else f"label studio user {person}" if isinstance(person, int) else str(person),
        _stamp(annotation.get("updated_at") or annotation.get("created_at")),
    )


def _stamp(text: Any) -> str | None:
    match = re.match(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)", str(text))
    return f"{match[1]}Z" if match else None


def _drawn(kind: str, value: Mapping[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    if kind == "brushlabels":
        return from_brush(value["rle"], height, width)
    scale = np.array([width, height]) / 100
    canvas = np.zeros((height, width), np.uint8)
    if kind == "rectanglelabels":
        x0, y0 = np.array([value["x"], value["y"]]) * scale
        x1, y1 = np.array([value["x"] + value["width"], value["y"] + value["height"]]) * scale
        canvas[round(y0) : round(y1), round(x0) : round(x1)] = 1
    else:
        points = np.array(value["points"], np.float64) * scale
        cv2.fillPoly(canvas, [np.rint((points - 0.5) * 16).astype(np.int32)], (1,), cv2.LINE_8, 4)
    return canvas.astype(bool)


def from_brush(data: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Label Studio's run lengths of RGBA pixels; marked where alpha is above 0. Raises ValueError.

    The format is the one of ``label_studio_converter.brush.decode_rle``: a count, the bits of a word, four sizes of run
    lengths, then runs of one word or of so many different ones.
    """
    bits = np.unpackbits(np.asarray(data, np.uint8))
    at = 0

    def take(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("its brush strokes end early")
        value = int("".join(map(str, bits[at : at + count].tolist())) or "0", 2)
        at += count
        return value

    total, word = take(32), take(5) + 1
    sizes = [take(4) + 1 for _ in range(4)]
    if total != height * width * 4:
        raise ValueError(f"its brush strokes hold {total} values, not {height}x{width}x4")
    values = np.zeros(total, np.uint8)
    place = 0
    while place < total:
        same = take(1)
        end = place + 1 + take(sizes[take(2)])
        if end > total:
            raise ValueError("its brush strokes run beyond the picture")
        if same:
            values[place:end] = take(word)
        else:
            for index in range(place, end):
                values[index] = take(word)
        place = end
    return values.reshape(height, width, 4)[:, :, 3] > 0
