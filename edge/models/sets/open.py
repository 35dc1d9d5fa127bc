"""Any place that frames lie in, opened as a set: a manifest, a recording, a folder in MVTec AD's layout, plain pictures."""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.errors import UserError
from edge.frames import Skip
from edge.models.sets.class_words import GROUND_TRUTH, is_bad_folder, is_good_folder
from edge.models.sets.frame_set import FrameSet, SetFrame, read_set
from edge.models.sets.imports.csv_table import labels_and_masks
from edge.models.sets.imports.protocol import matched
from edge.models.sets.manifest import MANIFEST, LabelLine
from edge.storage.find_pictures import find_pictures
from edge.storage.recording import Recording, is_recording, open_recording
from edge.storage.recording_index import RecordedFrame

LABELS: Final = "labels.csv"
"""A table beside the pictures that says what they are: ``file, label``, as ``edge label --import`` takes it."""
FOLDERS: Final = "the folders"
"""Who labelled a frame whose folder names its class."""
_NO_DAY: Final = "1970-01-01"
_EPOCH: Final = "1970-01-01T00:00:00Z"


def open_set(path: Path) -> FrameSet:
    """The frames of ``path``, in natural order, with what folders or a recording say about them; no picture is read.

    Folders as in MVTec AD (``train/good``, ``test/KIND``, ``ground_truth/KIND``), in ``path`` or one level up, or ``good``
    and ``bad`` (``ok`` and ``ng``, ...), label their frames; a ``labels.csv`` in ``path`` or in the data set's root has the
    last word. A recording gives camera, day, part id and cause.

    Raises:
        UserError: no such place, no picture in it, a damaged manifest or recording, a ``labels.csv`` that is no such table
            or names none of the pictures.
    """
    if path.is_file() and path.suffix == ".jsonl":
        return read_set(path)
    if not path.is_dir():
        raise UserError(
            f"{path}: no such set",
            expected=f"a folder of pictures, a recording, or a folder with {MANIFEST}, or such a file itself",
        )
    if (path / MANIFEST).is_file():
        found = read_set(path / MANIFEST)
        return replace(found, path=path)
    if is_recording(path):
        return _recorded(path, open_recording(path))
    return _folder(path)


def _recorded(path: Path, recording: Recording) -> FrameSet:
    frames = [_recorded_frame(recording, entry) for entry in recording.entries if not isinstance(entry, Skip)]
    if not frames:
        raise UserError(f"{path}: the recording holds no frames")
    return FrameSet(path, path, tuple(frames), parts_by="the recording" if frames[0].part else None)


def _recorded_frame(recording: Recording, entry: RecordedFrame) -> SetFrame:
    meta = entry.meta
    day = _day(meta.received_ns)
    tags = {"camera": recording.camera, "day": day, "frame_id": str(meta.frame_id)}
    if entry.cause is not None:
        tags["cause"] = entry.cause
    if meta.drift is not None:
        tags["drift"] = str(meta.drift.get("cause"))
    # part counters begin anew after a power cut: a part of another day is another part
    part = None if meta.part_id is None else f"{recording.camera}/{day}/{meta.part_id}"
    size = (meta.width, meta.height)
    return SetFrame(entry.file, None, size, entry.bits, part, tags, source=meta.frame_ref)


def _day(received_ns: int) -> str:
    return dt.datetime.fromtimestamp(received_ns / 1e9, dt.timezone.utc).strftime("%Y-%m-%d") if received_ns else _NO_DAY


def _folder(path: Path) -> FrameSet:
    pictures = find_pictures(path)
    names = [name for name in pictures.names if GROUND_TRUTH not in name.split("/")[:-1]]
    if not names:
        files = sum(1 for file in path.rglob("*") if file.is_file())
        raise UserError(
            f"{path}: holds no pictures",
            received=f"{files} files of other kinds" if files else "an empty folder",
            expected="PNG, JPEG, TIFF or BMP files, in it or in folders under it, a recording, or a set",
        )
    root, under = _root_of(path)
    classes = _has_classes(names, under)
    masks = _masks(root)
    frames = []
    for name in names:
        file = f"{under}{name}"
        folders = file.split("/")[:-1]
        side = folders[0] if folders and folders[0] in ("train", "test", "validation") else None
        votes = (_vote(file, folders[-1], masks),) if classes and folders else ()
        frames.append(SetFrame(file, votes=votes, side=side))
    used = {vote.mask for frame in frames for vote in frame.votes}
    orphans = () if under or not classes else tuple(sorted(set(masks.values()) - used))
    found = FrameSet(path, root, tuple(frames), orphans=orphans, left_out=pictures.left_out_text)
    table = next((folder / LABELS for folder in (path, root) if (folder / LABELS).is_file()), None)
    return found if table is None else _by_table(found, table)


def _by_table(frames: FrameSet, table: Path) -> FrameSet:
    """The frames with the labels of ``table``; those that it doesn't name keep theirs."""
    rows = labels_and_masks(table)
    names = {label.file: mask for label, mask in rows}
    pairs, unknown = matched([label for label, _ in rows], frames, str(table), partly=True)
    if not pairs:
        raise UserError(
            f"{table}: names none of the pictures",
            received=", ".join(unknown[:3]) or "no row",
            expected=f"names as the folder has them, such as {frames.frames[0].file}",
        )
    votes = {}
    for frame, label in pairs:
        votes[frame.file] = LabelLine(
            file=frame.file,
            label=label.label,
            defects=label.defects,
            mask=os.path.relpath(table.parent / names[label.file], frames.root) if names[label.file] else None,
            by=label.by or LABELS,
            at=_EPOCH,
        )
    labelled = (replace(f, votes=(votes[f.file],)) if f.file in votes else f for f in frames.frames)
    return frames.with_frames(labelled)


def _root_of(path: Path) -> tuple[Path, str]:
    """The folder that masks lie under, too, and what stands before the names of ``path``'s files there."""
    whole = path.absolute()
    for up in (whole, whole.parent, whole.parent.parent):
        if (up / GROUND_TRUTH).is_dir() and (up / "test").is_dir():
            under = whole.relative_to(up).as_posix()
            return up, "" if under == "." else f"{under}/"
    if is_good_folder(whole.name) or is_bad_folder(whole.name):
        return whole.parent, f"{whole.name}/"
    return whole, ""


def _has_classes(names: list[str], under: str) -> bool:
    """Whether a picture lies in a folder that is called ``good`` or ``bad``, or as other data sets call these."""
    holders = {name.split("/")[-2] for name in (f"{under}{name}" for name in names) if "/" in name}
    return any(is_good_folder(holder) or is_bad_folder(holder) for holder in holders)


def _masks(root: Path) -> dict[str, str]:
    """Mask pictures of ``root/ground_truth`` by kind and name: ``crack/000`` to ``ground_truth/crack/000_mask.png``."""
    folder = root / GROUND_TRUTH
    if not folder.is_dir():
        return {}
    found = {}
    for name in find_pictures(folder).names:
        stem = name.rpartition(".")[0].removesuffix("_mask")
        found[stem] = f"{GROUND_TRUTH}/{name}"
    return found


def orphan_notes(frames: FrameSet) -> list[str]:
    """Say, for each folder of masks, how many belong to no picture, and whether the class's own folder is missing."""
    notes = []
    for folder, count in Counter(name.rpartition("/")[0] for name in frames.orphans).items():
        pictures = frames.root / "test" / folder.rpartition("/")[2]
        holds = any(frame.file.startswith(f"test/{pictures.name}/") for frame in frames.frames)
        why = "" if holds else f": {pictures} {'holds no picture' if pictures.is_dir() else 'is not there'}"
        notes.append(f"{count} mask{'s' * (count > 1)} of {folder} belong{'s' * (count == 1)} to no picture{why}")
    return notes


def _vote(file: str, folder: str, masks: dict[str, str]) -> LabelLine:
    if is_good_folder(folder):
        return LabelLine(file=file, label="good", by=FOLDERS, at=_EPOCH)
    kinds = () if is_bad_folder(folder) else (folder,)
    mask = masks.get(f"{folder}/{file.rpartition('/')[2].rpartition('.')[0]}")
    return LabelLine(file=file, label="defect", defects=kinds, mask=mask, by=FOLDERS, at=_EPOCH)
