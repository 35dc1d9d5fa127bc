"""A recording holds frames as they were decoded, lossless, with identity and stamps, and the losses between them.

A folder with ``recording.json`` (what was recorded, when), ``frames.jsonl`` (one line per frame or loss, in order) and
``frames/00000000.png``. A frame's picture is whole before its line is written, so that every line can be believed;
a crash leaves at most one torn line at the end, which readers pass over and the next writer removes.

Where pictures are deleted to keep within a quota, a line ``{"kind": "deleted", "frames": [[first, last], ...]}`` says so:
these numbers are left out by readers and counted in ``Recording.deleted``. A picture that is missing without such a line,
or damaged, is an ``unreadable`` frame. A line ``{"kind": "missing", "records": 3}`` says that so many records came there
and could not be written; ``Recording.missing`` has their sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError, may_pass
from edge.frames import Frame, Skip
from edge.storage.disk import read_regular
from edge.storage.pictures import Pixels, decoded_format, picture_inside, read_picture
from edge.storage.recording_index import INDEX, Deleted, Missing, is_damaged, read_index
from edge.storage.recording_index import RecordedFrame as RecordedFrame

RECORDING_SCHEMA: Final = 1
HEAD, FRAMES = "recording.json", "frames"


@dataclass(frozen=True, slots=True)
class Recording:
    """The index of a recording is held as it was when it was opened.

    ``deleted`` counts frames that a quota took away; ``missing`` counts records that were never written, wanted ones among
    them.
    """

    folder: Path
    camera: str
    created_ns: int
    source: str
    entries: tuple[RecordedFrame | Skip, ...]
    deleted: int
    missing: int

    def load(self, entry: RecordedFrame | Skip) -> Frame | Skip:
        """Return the pixels of an entry; ``Skip("unreadable")`` if the picture is missing, damaged or another one."""
        if isinstance(entry, Skip):
            return entry
        try:
            pixels = read_picture(picture_inside(self.folder, entry.file))
        except (OSError, ValueError):  # of pictures, or a name that no path has
            pixels = None
        return framed(entry, pixels)


def framed(entry: RecordedFrame, pixels: Pixels | None) -> Frame | Skip:
    """Return the frame with its pixels; ``Skip("unreadable")`` if there are none, or they are another picture's."""
    meta = entry.meta
    if pixels is None or pixels.shape[:2] != (meta.height, meta.width) or decoded_format(pixels, entry.bits) is None:
        return Skip.of(meta if meta.frame_ref else replace(meta, frame_ref=entry.file), "unreadable")
    return Frame(meta, pixels, entry.bits)


EVIDENCE = "evidence"
"""Name of the source of a recording that a daemon's evidence makes."""


def is_recording(folder: Path) -> bool:
    """Return True if ``folder`` holds a recording (and not just pictures)."""
    return (folder / HEAD).is_file()


def read_recording(folder: Path) -> Iterator[Frame | Skip]:
    """Yield frames and losses in order, with ids and stamps as recorded; ``received_mono_ns`` is 0.

    Raises:
        UserError: no recording, one of another schema, or a damaged line that isn't the last.
    """
    recording = open_recording(folder)
    for entry in recording.entries:
        yield recording.load(entry)


def is_of_one_run(folder: Path) -> bool:
    """Return True if a recording holds frames of one run only: evidence goes on over restarts. Errors as
    ``read_recording``.
    """
    return bool(read_head(folder)["source"] != EVIDENCE)


def open_recording(folder: Path) -> Recording:
    """Read the index, not the pictures. Errors as ``read_recording``."""
    head = read_head(folder)
    entries: list[RecordedFrame | Skip] = []
    gone: set[int] = set()
    numbers: set[int] = set()
    before = missing = 0
    for entry, _ in read_index(folder):
        if isinstance(entry, Deleted):
            gone |= entry.among(numbers)
            before += entry.before
        elif isinstance(entry, Missing):
            missing += entry.records
        else:
            entries.append(entry)
            if isinstance(entry, RecordedFrame):
                numbers.add(entry.number)
    if missing and not entries and not gone and not before:
        _refuse_garbage(folder)
    kept = tuple(e for e in entries if isinstance(e, Skip) or e.number not in gone)
    deleted = before + len(entries) - len(kept)
    return Recording(
        folder,
        camera=head["camera"],
        created_ns=head["created_ns"],
        source=head["source"],
        entries=kept,
        deleted=deleted,
        missing=missing,
    )


def _refuse_garbage(folder: Path) -> None:
    """Refuse an index without one readable line, because it is another file. Raises UserError."""
    first = next((line for _, line in read_index(folder) if is_damaged(line)), None)
    if first is not None:
        raise UserError(
            f"{folder / INDEX}:1: not a line of a recording",
            received=repr(first[:60].decode("utf-8", "replace")),
            fix="the file was changed or the disk is damaged",
        )


def head_is_damaged(folder: Path) -> bool:
    """Return True if there is a head that can't be understood; one of another version can. Raises OSError."""
    data = read_regular(folder / HEAD)
    try:
        head = orjson.loads(data)
        return not (isinstance(head["schema"], int) and isinstance(head["camera"], str))
    except (LookupError, TypeError, ValueError):
        return True


def read_head(folder: Path) -> dict[str, Any]:
    path = folder / HEAD
    try:
        head = orjson.loads(read_regular(path))
        if head["schema"] != RECORDING_SCHEMA:
            raise UserError(
                f"{path}: a recording of another version",
                received=f"schema {head['schema']}",
                expected=f"schema {RECORDING_SCHEMA}",
            )
        return {"camera": str(head["camera"]), "created_ns": int(head["created_ns"]), "source": str(head["source"])}
    except FileNotFoundError:
        raise UserError(f"{folder}: not a recording: it has no {HEAD}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", passes=may_pass(error)) from None
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError, OverflowError):
        raise UserError(f"{path}: not the head of a recording", expected='{"schema": 1, "camera": ...}') from None
