"""Labels of any known form, told apart by what they are, and written into a set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.errors import UserError
from edge.models.sets.drawn_masks import write_mask
from edge.models.sets.frame_set import FrameSet, add_labels
from edge.models.sets.imports.coco import read_coco
from edge.models.sets.imports.csv_table import read_csv
from edge.models.sets.imports.label_studio import read_label_studio
from edge.models.sets.imports.mvtec_masks import read_mvtec
from edge.models.sets.imports.protocol import ImportedLabel, matched
from edge.models.sets.manifest import LabelLine, now

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
            mask = write_mask(frames, frame.file, label.mask)
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
