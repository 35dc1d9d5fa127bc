"""Labels of any known form, told apart by what they are, and written into a set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, add_labels
from edge.models.sets.imports.coco import read_coco
from edge.models.sets.imports.csv_table import read_csv
from edge.models.sets.imports.label_studio import read_label_studio
from edge.models.sets.imports.mvtec_masks import read_mvtec
from edge.models.sets.imports.protocol import ImportedLabel, matched
from edge.models.sets.manifest import LabelLine, now
from edge.storage.pictures import write_png

_FORMS = "a .csv file, a folder with ground_truth, COCO's or Label Studio's .json"


@dataclass(frozen=True, slots=True)
class LabelsTaken:
    """How many labels were taken, how many had masks, and the names that no frame of the set has."""

    taken: int
    masks: int
    unknown: tuple[str, ...]


def read_labels(path: Path) -> list[ImportedLabel]:
    """Labels of a CSV file, MVTec AD's folders, a COCO file or Label Studio's export.

    Raises:
        UserError: none of these, or damaged.
    """
    if path.is_dir():
        return read_mvtec(path)
    if path.suffix.lower() == ".csv":
        return read_csv(path)
    try:
        data: Any = orjson.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", expected=_FORMS) from None
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON: {error}", expected=_FORMS) from None
    if isinstance(data, dict) and "images" in data and "annotations" in data:
        return read_coco(path, data)
    if isinstance(data, list) and all(isinstance(task, dict) and "annotations" in task for task in data):
        return read_label_studio(path, data)
    raise UserError(f"{path}: no form of labels that is known", expected=_FORMS)


def import_labels(frames: FrameSet, path: Path, who: str, *, partly: bool = False) -> LabelsTaken:
    """Append the labels of ``path`` to the set's manifest; masks are written beside it. ``who``: where the file names
    nobody.

    Raises:
        UserError: as ``read_labels`` and ``matched`` do; the set has no manifest.
    """
    if frames.manifest is None:
        add_labels(frames, ())
    pairs, unknown = matched(read_labels(path), frames, str(path), partly=partly)
    lines, masks = [], 0
    for frame, label in pairs:
        mask = None
        if label.mask is not None:
            mask = _written(frames, frame.file, label)
            masks += 1
        lines.append(
            LabelLine(
                file=frame.file,
                label=label.label,
                defects=label.defects,
                mask=mask,
                by=label.by or who,
                at=label.at or now(),
            )
        )
    add_labels(frames, lines)
    return LabelsTaken(len(lines), masks, tuple(unknown))


def _written(frames: FrameSet, file: str, label: ImportedLabel) -> str:
    """Write the mask as a picture beside the manifest; returns its name under the set's root, absolute where it lies
    elsewhere.

    Two people's masks of one frame have two names.
    """
    assert label.mask is not None
    assert frames.manifest is not None
    folder = frames.manifest.parent.absolute() / "masks"
    stem = file.rpartition(".")[0].replace("/", "-")
    number = 0
    while (folder / (name := f"{stem}{f'-{number}' if number else ''}.png")).exists():
        number += 1
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_png(folder / name, np.where(label.mask, np.uint8(255), np.uint8(0)))
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}") from None
    path = folder / name
    return path.relative_to(frames.root).as_posix() if path.is_relative_to(frames.root.absolute()) else str(path)
