"""A record's picture is found: in a folder of evidence, whose index holds the records, or beside a replay's records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.storage.log_files import read_messages
from edge.storage.overlay_names import is_overlay_of, number_of
from edge.storage.recording_index import INDEX, Deleted, RecordedFrame, read_index

_RECORDS: Final = "records.jsonl"
_DRAWN: Final = ("overlays", "changed", "explain")
"""Folders of a replay's pictures, the one that shows a defect best first."""


class RecordPictures:
    """Pictures are looked up here by a record's run and seq: the overlay where one was drawn, else the frame."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """Read the indexes of these folders; one that is neither evidence nor a replay's is passed over.

        Raises:
            UserError: an index can't be read.
        """
        self._by_record: dict[tuple[str, int], Path] = {}
        self.folders: list[Path] = []
        """The folders that hold pictures."""
        self.frame_size: tuple[float, float] | None = None
        """Width and height of the newest frame of evidence, in px; None if there is none."""
        self.a_frame: Path | None = None
        """Picture of the newest frame of evidence that is still there."""
        for folder in dict.fromkeys(folders):
            if (folder / INDEX).is_file():
                found = dict(self._of_evidence(folder))
            elif (folder / _RECORDS).is_file():
                found = dict(_of_replay(folder))
            else:
                continue
            before = len(self._by_record)
            self._by_record.update(found)
            if len(self._by_record) > before:
                self.folders.append(folder)

    def __len__(self) -> int:
        return len(self._by_record)

    def of(self, instance_id: str, seq: int) -> Path | None:
        """Return the picture of a record, None if none was kept, or where it is gone."""
        path = self._by_record.get((instance_id, seq))
        return path if path is not None and path.exists() else None

    def _of_evidence(self, folder: Path) -> Iterator[tuple[tuple[str, int], Path]]:
        """Yield run and seq with the picture, for each frame whose line holds its record."""
        drawn = _overlays(folder / "overlays")
        kept: dict[int, tuple[tuple[str, int], RecordedFrame]] = {}
        for entry, line in read_index(folder):
            if isinstance(entry, Deleted):
                for number in entry.among(kept.keys()):
                    del kept[number]
            elif isinstance(entry, RecordedFrame) and (key := _key(orjson.loads(line).get("record"))) is not None:
                kept[entry.number] = key, entry
        for number, (key, entry) in kept.items():
            known = (number, key[1], entry.meta.received_ns)
            overlay = next((path for path in drawn.get(number, ()) if is_overlay_of(path.name, *known)), None)
            yield key, folder / entry.file if overlay is None else overlay
            if (folder / entry.file).exists():
                self.frame_size = float(entry.meta.width), float(entry.meta.height)
                self.a_frame = folder / entry.file


def _of_replay(folder: Path) -> Iterator[tuple[tuple[str, int], Path]]:
    try:
        first = next((message for message in read_messages(folder / _RECORDS) if "seq" in message), None)
    except OSError as error:
        raise UserError(f"{folder / _RECORDS}: cannot be read: {error.strerror}") from None
    if first is None:
        return
    pictures: dict[int, Path] = {}
    for name in reversed(_DRAWN):
        pictures.update(_numbered(folder / name))
    for seq, path in pictures.items():
        yield (str(first["instance_id"]), seq), path


def _numbered(folder: Path) -> dict[int, Path]:
    """Return the pictures in a folder by the number that their names begin with."""
    if not folder.is_dir():
        return {}
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        digits = path.stem.partition("-")[0]
        if digits.isdecimal() and path.suffix in (".jpg", ".png"):
            found[int(digits)] = path
    return found


def _overlays(folder: Path) -> dict[int, list[Path]]:
    """Return the overlays of evidence by the number of the frame; there are several where the folder was begun anew."""
    found: dict[int, list[Path]] = defaultdict(list)
    for path in folder.iterdir() if folder.is_dir() else ():
        number = number_of(path.name)
        if number is not None:
            found[number].append(path)
    return found


def _key(record: Any) -> tuple[str, int] | None:
    """Return run and seq of a record; None if it has none."""
    if not isinstance(record, dict):
        return None
    run, seq = record.get("instance_id"), record.get("seq")
    return (run, seq) if isinstance(run, str) and isinstance(seq, int) else None
