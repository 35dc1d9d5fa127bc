"""Labels from MVTec AD's folders: ``ground_truth/KIND/NAME_mask.png`` and ``test/good``, or the ``ground_truth`` folder
alone.
"""

from __future__ import annotations

from pathlib import Path

from edge.errors import UserError
from edge.models.sets.class_words import GOOD, GROUND_TRUTH
from edge.models.sets.imports.protocol import ImportedLabel
from edge.storage.find_pictures import find_pictures
from edge.storage.pictures import PictureError, read_picture


def read_mvtec(folder: Path) -> list[ImportedLabel]:
    """One label for each mask, and one for each picture in a folder called good.

    Raises:
        UserError: no mask, one that can't be read.
    """
    truth = folder / GROUND_TRUTH if (folder / GROUND_TRUTH).is_dir() else folder
    labels = []
    for name in find_pictures(truth).names:
        kind = name.split("/")[-2] if "/" in name else ""
        stem = name.rpartition("/")[2].rpartition(".")[0]
        if not stem.endswith("_mask") or not kind:
            continue
        try:
            pixels = read_picture(truth / name)
        except (OSError, PictureError) as error:
            raise UserError(f"{truth / name}: can't be read: {error}") from None
        mask = (pixels if pixels.ndim == 2 else pixels.max(axis=2)) > 0
        picture = _picture_of(truth.parent / "test" / kind, stem.removesuffix("_mask"))
        labels.append(ImportedLabel(f"test/{kind}/{picture}", "defect", (kind,), mask if mask.any() else None))
    if not labels:
        raise UserError(
            f"{folder}: holds no masks", expected=f"{GROUND_TRUTH}/KIND/NAME_mask.png in it, or KIND/NAME_mask.png"
        )
    for good in (truth.parent / "test" / GOOD, truth.parent / "train" / GOOD):
        if good.is_dir():
            side = good.parent.name
            labels += [ImportedLabel(f"{side}/{GOOD}/{name}", "good") for name in find_pictures(good).names]
    return labels


def _picture_of(folder: Path, stem: str) -> str:
    """The picture's file name; with the mask's own ending where the picture isn't there."""
    found = sorted(folder.glob(f"{stem}.*")) if folder.is_dir() else []
    return found[0].name if found else f"{stem}.png"
