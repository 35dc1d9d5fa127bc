"""Labels from a CSV file: ``file, label``, and where they are known ``kind``, ``mask``, ``by`` and ``at``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from edge.errors import UserError
from edge.models.sets.imports.protocol import ImportedLabel
from edge.models.sets.metadata import read_table
from edge.storage.pictures import PictureError, read_picture

GOOD: Final = ("good", "ok", "pass", "io", "0", "normal")
BAD: Final = ("defect", "bad", "ng", "fail", "nio", "1", "anomaly", "anomalous", "defective")


def read_csv(path: Path) -> list[ImportedLabel]:
    """One label for each row; ``label`` is a word for good or bad, or the kind of defect itself.

    Raises:
        UserError: a column is missing, a row has no label, a mask can't be read.
    """
    return [
        replace(label, mask=_mask(path, number, name) if name else None)
        for number, (label, name) in enumerate(labels_and_masks(path), 2)
    ]


def labels_and_masks(path: Path) -> list[tuple[ImportedLabel, str]]:
    """Each row's label without its mask, and the mask's name under the file's folder; empty without one.

    Raises:
        UserError: a column is missing, a row has no label.
    """
    labels = []
    for number, row in enumerate(read_table(path, ("file", "label")), 2):
        word = row["label"].strip()
        if not word or not row["file"]:
            raise UserError(f"{path}:{number}: a row without a file or a label", received=", ".join(row.values()))
        kinds = tuple(kind.strip() for kind in row.get("kind", "").split("+") if kind.strip())
        good = word.casefold() in GOOD
        if good and kinds:
            raise UserError(f"{path}:{number}: good, and of a kind of defect", received=f"{word}, {row['kind']}")
        if not good and not kinds and word.casefold() not in BAD:
            kinds = (word,)
        said = ImportedLabel(
            row["file"], "good" if good else "defect", kinds, by=row.get("by") or None, at=row.get("at") or None
        )
        labels.append((said, "" if good else row.get("mask", "")))
    return labels


def _mask(path: Path, number: int, name: str) -> np.ndarray:
    try:
        pixels = read_picture(path.parent / name)
    except (OSError, PictureError) as error:
        raise UserError(f"{path}:{number}: the mask {name} can't be read: {error}") from None
    return (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
