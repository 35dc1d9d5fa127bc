"""Labels from a COCO file: polygons and run lengths become masks, categories kinds. https://cocodataset.org/#format-data"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.sets.imports.protocol import ImportedLabel

_SHIFT = 4


def read_coco(path: Path, data: Mapping[str, Any]) -> list[ImportedLabel]:
    """One label for each image; an image without an annotation is good. Boxes alone give no mask.

    Raises:
        UserError: an annotation of an image or category that isn't there, or a segmentation that can't be read.
    """
    try:
        images = {image["id"]: image for image in data["images"]}
        kinds = {category["id"]: str(category["name"]) for category in data.get("categories", ())}
        marks: dict[Any, list[Mapping[str, Any]]] = {}
        for mark in data["annotations"]:
            if mark["image_id"] not in images:
                raise UserError(f"{path}: an annotation of an image that isn't in the file", received=mark["image_id"])
            if mark["category_id"] not in kinds:
                raise UserError(f"{path}: an annotation of a category that isn't in the file", received=mark["category_id"])
            marks.setdefault(mark["image_id"], []).append(mark)
        return [_label(path, image, marks.get(key, ()), kinds) for key, image in images.items()]
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a COCO file: {error} is missing or of another type") from None


def _label(
    path: Path, image: Mapping[str, Any], marks: Sequence[Mapping[str, Any]], kinds: Mapping[Any, str]
) -> ImportedLabel:
    if not marks:
        return ImportedLabel(image["file_name"], "good")
    mask = np.zeros((int(image["height"]), int(image["width"])), bool)
    for mark in marks:
        segmentation = mark.get("segmentation")
        if segmentation:
            try:
                mask |= _drawn(segmentation, *mask.shape)
            except (ValueError, IndexError, KeyError) as error:
                raise UserError(f"{path}: {image['file_name']}: its segmentation can't be read: {error}") from None
    defects = tuple(sorted({kinds[mark["category_id"]] for mark in marks}))
    return ImportedLabel(image["file_name"], "defect", defects, mask if mask.any() else None)


def _drawn(segmentation: Any, height: int, width: int) -> NDArray[np.bool_]:
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        runs = _decoded(counts) if isinstance(counts, str) else counts
        return from_column_runs(runs, height, width)
    canvas = np.zeros((height, width), np.uint8)
    for polygon in segmentation:
        points = np.array(polygon, np.float64).reshape(-1, 2)
        # COCO's corners lie between pixels, OpenCV's on their centres
        cv2.fillPoly(canvas, [np.rint((points - 0.5) * (1 << _SHIFT)).astype(np.int32)], (1,), cv2.LINE_8, _SHIFT)
    return canvas.astype(bool)


def from_column_runs(runs: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """COCO's run lengths, column by column, beginning with pixels that are not marked. Raises ValueError."""
    lengths = np.asarray(runs, np.int64)
    if lengths.sum() != height * width or (lengths < 0).any():
        raise ValueError(f"its runs sum up to {int(lengths.sum())}, not to {height}x{width}")
    flat = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)
    return flat.reshape(width, height).T


def _decoded(text: str) -> list[int]:
    """COCO's compressed run lengths: 5 bits a letter, the third run on as the difference to the one before the last."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[at]) - 48
            value |= (code & 0x1F) << (5 * shift)
            more = bool(code & 0x20)
            at, shift = at + 1, shift + 1
            if not more and code & 0x10:
                value |= -1 << (5 * shift)
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
