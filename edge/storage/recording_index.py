"""The lines of a recording's index, ``frames.jsonl``, are understood here; no pictures are read."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeAlias

import orjson

from edge.errors import UserError, may_pass
from edge.frames import FrameMeta, Skip
from edge.storage.disk import open_regular
from edge.storage.lines_until_torn import lines_until_torn
from edge.storage.map_file import RecordedMap

INDEX: Final = "frames.jsonl"
_META: Final = tuple(f.name for f in fields(FrameMeta) if f.name not in ("received_mono_ns", "chunks", "drift"))
_WHOLE, _TEXT = frozenset({int}), frozenset({str})
_PERHAPS_WHOLE, _PERHAPS_TEXT = _WHOLE | {type(None)}, _TEXT | {type(None)}
_OF_FRAME: Final = {
    **dict.fromkeys(("number", "bits", "frame_id", "width", "height", "received_ns"), _WHOLE),
    **dict.fromkeys(("file", "frame_id_source", "pixel_format", "timestamp_source"), _TEXT),
    **dict.fromkeys(("camera_ns", "part_id"), _PERHAPS_WHOLE),
    "frame_ref": _PERHAPS_TEXT,
    "late": frozenset({bool}),
}
_OF_SKIP: Final = {
    **dict.fromkeys(("count", "received_ns"), _WHOLE),
    **dict.fromkeys(("reason", "frame_id_source"), _TEXT),
    **dict.fromkeys(("frame_id_first", "frame_id_last", "part_id_first", "part_id_last"), _PERHAPS_WHOLE),
    "frame_ref": _PERHAPS_TEXT,
}
_OF_DRIFT: Final = dict.fromkeys(("cause", "level"), _PERHAPS_TEXT)
_WHY: Final = {"why": _PERHAPS_TEXT}
_LATEST_NS: Final = (1 << 63) - 1
_SAMPLES: Final = ("sample", "novel")
_SKIP: Final = tuple(f.name for f in fields(Skip))


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A line of the index names ``number`` and ``file`` of the picture, the frame without its pixels, why it was kept, and
    its map, if that was kept, too.
    """

    number: int
    file: str
    meta: FrameMeta
    bits: int
    why: str | None = None
    map: RecordedMap | None = None

    @property
    def cause(self) -> str | None:
        """What a quota counts the frame under."""
        return cause_of(self.why, self.meta.drift)


@dataclass(frozen=True, slots=True)
class Deleted:
    """Pictures were deleted on purpose: those in ``ranges``, (first, last) each, and ``before`` this line so many that have
    no lines any more.

    ``next_number``: no later frame has a lower one.
    """

    ranges: tuple[tuple[int, int], ...]
    before: int
    next_number: int

    def among(self, numbers: Collection[int]) -> set[int]:
        """Return those of ``numbers``, a set or the keys of a dict, that were deleted; a range may be as long as it
        likes.
        """
        found: set[int] = set()
        for first, last in self.ranges:
            if last - first < len(numbers):
                found.update(number for number in range(first, last + 1) if number in numbers)
            else:
                found.update(number for number in numbers if first <= number <= last)
        return found


@dataclass(frozen=True, slots=True)
class Missing:
    """Some records came about here and are not in the recording: the disk failed, or was slower than they came."""

    records: int


Entry: TypeAlias = RecordedFrame | Skip | Deleted | Missing


def cause_of(why: str | None, drift: Mapping[str, Any] | None) -> str | None:
    """Return ``why`` a frame was kept; for a sample of the world as it is, the cause of the drift in force, too.

    So a week under one light can't push out of a quota what was sampled under another, and ``edge gather`` balances them.
    A single block beyond the limit is no drift yet.
    """
    if why not in _SAMPLES or drift is None or drift.get("level") == "info":
        return why
    return f"{why} {drift.get('cause')}"


def read_index(folder: Path) -> Iterator[tuple[Entry, bytes]]:
    """Return every whole line and what it means. A last line without its line end is torn, and no entry.

    A line that is damaged stands for a record that is ``Missing``; it may have been more than one.

    Raises:
        UserError: it can't be read.
    """
    path = folder / INDEX
    try:
        with open(open_regular(path), "rb") as index:
            for line in lines_until_torn(index):
                yield entry_of(line), line
    except OSError as error:
        not_ours = error.errno in (errno.EISDIR, errno.ELOOP, errno.EINVAL)  # what stands there is no file
        passes = may_pass(error) or not_ours
        raise UserError(f"{path}: cannot be read: {error.strerror}", passes=passes) from None


def entry_of(line: bytes) -> Entry:
    """Read one line of an index; a damaged one stands for a record that is missing."""
    try:
        return read_entry(line)
    except ValueError:
        return Missing(1)


def is_damaged(line: bytes) -> bool:
    """Return True if a line is none of an index."""
    try:
        read_entry(line)
    except ValueError:
        return True
    return False


def read_entry(line: bytes) -> Entry:
    """Read one line of an index. Raises ValueError if it is none."""
    try:
        return _entry(orjson.loads(line))
    except (LookupError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _entry(line: dict[str, Any]) -> Entry:
    kind = line["kind"]
    if kind == "frame":
        return _frame(line)
    if kind == "skip":
        _check(line, _OF_SKIP)
        _check_least(0, line["count"], line["received_ns"])
        return Skip(**{name: line[name] for name in _SKIP})
    if kind == "missing":
        records = int(line["records"])
        _check_least(0, records)
        return Missing(records)
    if kind == "deleted":
        frames = line.get("frames")
        if frames is None:  # of the first version, which deleted all before a number
            frames, line = [[0, line["before"] - 1]], {}
        deleted = tuple((int(first), int(last)) for first, last in frames)
        newest = max((last for _, last in deleted), default=-1)
        before, next_number = int(line.get("before", 0)), int(line.get("next_number", newest + 1))
        _check_least(0, before)
        return Deleted(deleted, before, next_number)
    raise LookupError(kind)


def _check(line: dict[str, Any], kinds: Mapping[str, frozenset[type]]) -> None:
    """Raise TypeError for a value of a kind that no writer gives, LookupError where one is missing."""
    for name, kind in kinds.items():
        if type(line[name]) not in kind:
            raise TypeError(f"{name}: {type(line[name]).__name__}")


def _check_least(least: int, *values: int) -> None:
    if not all(least <= value <= _LATEST_NS for value in values):
        raise ValueError(f"{values}: below {least}, or beyond 63 bits")


def _frame(line: dict[str, Any]) -> RecordedFrame:
    _check(line, _OF_FRAME)
    _check_least(0, line["number"], line["received_ns"])
    _check_least(1, line["width"], line["height"], line["bits"])
    meta: Any = {name: line[name] for name in _META}
    chunks = tuple(line.get("chunks", {}).items())  # recordings of the first versions have none, and no drift
    why = line.get("why", line.get("record", {}).get("verdict"))
    _check({"why": why}, _WHY)
    known = FrameMeta(received_mono_ns=0, chunks=chunks, drift=_drift(line.get("drift")), **meta)
    kept = line.get("map")
    recorded = None if kept is None else RecordedMap.read(kept)
    return RecordedFrame(line["number"], line["file"], known, line["bits"], why=why, map=recorded)


def _drift(value: Any) -> dict[str, Any] | None:
    if value is None:
        return None
    locks = value.get("locks", [])
    _check({"cause": value.get("cause"), "level": value.get("level")}, _OF_DRIFT)
    if not isinstance(locks, list) or not all(isinstance(lock, str) for lock in locks):
        raise TypeError("locks: no list of texts")
    return dict(value)


def ranges(numbers: Sequence[int]) -> list[list[int]]:
    """Turn ascending numbers into first and last of each run."""
    found: list[list[int]] = []
    for number in numbers:
        if found and found[-1][1] == number - 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    return found


def dumped_line(line: dict[str, Any]) -> bytes:
    """Return one line. A file name that is no UTF-8 is escaped, as in records."""
    try:
        return orjson.dumps(line)
    except TypeError:
        return orjson.dumps({name: _unicode(value) for name, value in line.items()})


def _unicode(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
