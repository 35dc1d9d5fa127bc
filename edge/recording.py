"""A recording: frames as they were decoded, lossless, with their identity and stamps, and the losses between them.

A folder with ``recording.json`` (what was recorded, when), ``frames.jsonl`` (one line per frame or loss, in order) and
``frames/00000000.png``. A frame's picture is whole before its line is written, so that every line can be believed;
a crash leaves at most one torn line at the end, which readers pass over and the next writer removes.

Where old pictures are deleted to keep within a quota, a line ``{"kind": "deleted", "before": N}`` says so: frames with
a lower number are left out by readers and counted in ``Recording.deleted``. A picture that is missing without such a
line, or damaged, is an ``unreadable`` frame.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Skip
from edge.pictures import PictureError, Pixels, encode_png, read_picture, write_whole

SCHEMA: Final = 1
_HEAD, _INDEX, _FRAMES = "recording.json", "frames.jsonl", "frames"


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A line of the index: ``number`` and ``file`` of the picture, and the frame without its pixels."""

    number: int
    file: str
    meta: FrameMeta
    bits: int


@dataclass(frozen=True, slots=True)
class Recording:
    """The index of a recording, as it was when it was opened. ``deleted``: frames that a quota took away."""

    folder: Path
    camera: str
    created_ns: int
    source: str
    entries: tuple[RecordedFrame | Skip, ...]
    deleted: int

    def load(self, entry: RecordedFrame | Skip) -> Frame | Skip:
        """Pixels of an entry; ``Skip("unreadable")`` where the picture is missing, damaged or another one."""
        if isinstance(entry, Skip):
            return entry
        meta = entry.meta
        try:
            pixels = read_picture(self.folder / entry.file)
        except (OSError, PictureError):
            pixels = None
        if pixels is None or pixels.shape[:2] != (meta.height, meta.width) or decoded_format(pixels, entry.bits) is None:
            return Skip(
                "unreadable",
                1,
                meta.frame_id,
                meta.frame_id,
                meta.received_ns,
                meta.frame_id_source,
                meta.part_id,
                meta.part_id,
                meta.frame_ref or entry.file,
            )
        return Frame(meta, pixels, entry.bits)


def is_recording(folder: Path) -> bool:
    """Whether ``folder`` holds a recording (and not just pictures)."""
    return (folder / _HEAD).is_file()


def decoded_format(pixels: Pixels, bits: int) -> str | None:
    """PFNC name of decoded pixels: Mono8, Mono10, Mono12, Mono14, Mono16, RGB8, RGB10, RGB12, RGB16. None: no such."""
    if (pixels.itemsize == 1) != (bits == 8):
        return None
    name = f"{'RGB' if pixels.ndim == 3 else 'Mono'}{bits}"
    return name if name in _FORMATS else None


_FORMATS: Final = ("Mono8", "Mono10", "Mono12", "Mono14", "Mono16", "RGB8", "RGB10", "RGB12", "RGB16")


def read_recording(folder: Path) -> Iterator[Frame | Skip]:
    """Frames and losses in their order, with ids and stamps as recorded; ``received_mono_ns`` is 0.

    Raises:
        UserError: no recording, one of another schema, or a damaged line that isn't the last.
    """
    recording = open_recording(folder)
    for entry in recording.entries:
        yield recording.load(entry)


def open_recording(folder: Path) -> Recording:
    """Read the index, not the pictures. Errors as ``read_recording``."""
    head = _read_head(folder)
    entries: list[RecordedFrame | Skip] = []
    first = 0
    for entry in _read_index(folder / _INDEX):
        if isinstance(entry, _Deleted):
            first = max(first, entry.before)
        else:
            entries.append(entry)
    kept = tuple(e for e in entries if isinstance(e, Skip) or e.number >= first)
    return Recording(folder, head["camera"], head["created_ns"], head["source"], kept, first)


class RecordingWriter:
    """Writes a recording; used by one thread.

    Args:
        folder: made if it isn't there. It must not hold a recording, unless ``append``.
        camera: name of the camera.
        source: what was recorded, in words.
        append: go on after what a recording of the same camera already holds.

    Raises:
        UserError: the folder holds a recording, or one of another camera, or can't be written.
    """

    def __init__(self, folder: Path, *, camera: str, source: str, append: bool = False) -> None:
        self.folder = folder
        held = is_recording(folder)
        if held and not append:
            raise UserError(
                f"{folder}: already holds a recording", fix="name a folder that doesn't exist yet, or delete this one"
            )
        if held and (owner := _read_head(folder)["camera"]) != camera:
            raise UserError(
                f"{folder}: holds a recording of another camera",
                received=owner,
                expected=camera,
                fix="give each camera a folder of its own",
            )
        self._fd = -1
        self._live: deque[int] = deque()
        """Numbers of the index's frames whose pictures are there, oldest first."""
        try:
            (folder / _FRAMES).mkdir(parents=True, exist_ok=True)
            if not held:
                head = {"schema": SCHEMA, "camera": camera, "created_ns": time.time_ns(), "source": source}
                write_whole(folder / _HEAD, orjson.dumps(head, option=orjson.OPT_INDENT_2) + b"\n")
            self._resume()
        except UserError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise UserError(
                f"{folder}: cannot be written: {error.strerror}",
                fix="choose another folder, or give the user of this process the right to write there",
            ) from None

    def frame(self, frame: Frame, record: bytes | None = None) -> int:
        """Write one frame; returns its number, from 0.

        ``record``: the frame's record as JSON, kept in its line for people; readers of the recording pass over it.

        Raises:
            OSError: the disk is full, say; the recording is as it was before the call.
            ValueError: pixels that no format describes.
        """
        name = decoded_format(frame.pixels, frame.bits)
        if name is None:
            raise ValueError(f"{frame.pixels.dtype} pixels of {frame.bits} bits can't be recorded")
        number = self.next_number
        file = f"{_FRAMES}/{number:08d}.png"
        picture = encode_png(frame.pixels)
        height, width = frame.pixels.shape[:2]
        line = {"kind": "frame", "number": number, "file": file, "bits": frame.bits}
        line |= asdict(replace(frame.meta, width=width, height=height, pixel_format=name))
        del line["received_mono_ns"]  # of this boot's clock only
        line["chunks"] = dict(frame.meta.chunks)
        if record is not None:
            line["record"] = orjson.Fragment(record)
        write_whole(self.folder / file, picture)
        try:
            self._append(line)
        except OSError:
            (self.folder / file).unlink(missing_ok=True)
            raise
        self.next_number += 1
        self._live.append(number)
        return number

    def skip(self, skip: Skip) -> None:
        """Write one loss, in its place. Raises OSError as ``frame``."""
        self._append({"kind": "skip", **asdict(skip)})

    def forget_before(self, number: int) -> None:
        """Pictures with lower numbers were deleted: say so, and shorten the index when most of it is about them."""
        while self._live and self._live[0] < number:
            self._live.popleft()
        if self._lines >= self._shorten_at or not self._live:
            self._shorten(number)
        else:
            self._append({"kind": "deleted", "before": number})

    @property
    def index_bytes(self) -> int:
        return self._size

    def close(self) -> None:
        """May be called twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _resume(self) -> None:
        """Open the index after its last whole line, and go on numbering after the last picture."""
        index, pictures = self.folder / _INDEX, self.folder / _FRAMES
        for torn in pictures.glob("*.tmp"):
            torn.unlink()
        self._fd = os.open(index, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        first = self._size = self._lines = 0
        for entry in _read_index(index, self._whole_line):
            if isinstance(entry, _Deleted):
                first = max(first, entry.before)
            elif isinstance(entry, RecordedFrame):
                self._live.append(entry.number)
        os.ftruncate(self._fd, self._size)
        while self._live and self._live[0] < first:
            self._live.popleft()
        self._shorten_at = max(2 * len(self._live), _SHORTEN_FROM)
        numbers = [int(path.stem) for path in pictures.glob("*.png") if path.stem.isdecimal()]
        self.next_number = max([number + 1 for number in (*numbers, *self._live)] + [first])

    def _whole_line(self, nbytes: int) -> None:
        self._size += nbytes
        self._lines += 1

    def _append(self, line: dict[str, Any]) -> None:
        """One write; a line that didn't fit on the disk is taken back, so that the next one isn't glued to it."""
        data = orjson.dumps(line) + b"\n"
        try:
            whole = os.write(self._fd, data) == len(data)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if not whole:
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)
        self._lines += 1

    def _shorten(self, first: int) -> None:
        """Rewrite the index without what lies before the first frame whose picture is there."""
        index = self.folder / _INDEX
        kept: list[bytes] = [orjson.dumps({"kind": "deleted", "before": first}) + b"\n"]
        for raw in index.read_bytes().splitlines(keepends=True):
            line = orjson.loads(raw)
            if len(kept) > 1 or (line["kind"] == "frame" and line["number"] >= first):
                kept.append(raw)
        write_whole(index, b"".join(kept))
        os.close(self._fd)
        self._fd = os.open(index, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._lines = len(kept)
        self._shorten_at = max(2 * self._lines, _SHORTEN_FROM)


_SHORTEN_FROM: Final = 10_000
"""Lines; a shorter index is not worth the rewriting."""
_META: Final = tuple(f.name for f in fields(FrameMeta) if f.name not in ("received_mono_ns", "chunks"))
_SKIP: Final = tuple(f.name for f in fields(Skip))


@dataclass(frozen=True, slots=True)
class _Deleted:
    """Pictures with lower numbers were deleted on purpose."""

    before: int


def _read_index(
    path: Path, whole_line: Callable[[int], None] = lambda _: None
) -> Iterator[RecordedFrame | Skip | _Deleted]:
    """Every whole line; tells ``whole_line`` the bytes of each. A last line without its line end is torn, and no entry."""
    try:
        with path.open("rb") as index:
            for number, line in enumerate(index, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    entry = _entry(orjson.loads(line))
                except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
                    raise UserError(
                        f"{path}:{number}: not a line of a recording",
                        received=repr(line[:60].decode("utf-8", "replace")),
                        fix="the file was changed or the disk is damaged; without this line the rest can be replayed",
                    ) from None
                whole_line(len(line))
                yield entry
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _entry(line: dict[str, Any]) -> RecordedFrame | Skip | _Deleted:
    kind = line["kind"]
    if kind == "frame":
        meta: Any = {name: line[name] for name in _META}
        chunks = tuple(line.get("chunks", {}).items())  # recordings of the first version have none
        return RecordedFrame(
            line["number"], line["file"], FrameMeta(received_mono_ns=0, chunks=chunks, **meta), line["bits"]
        )
    if kind == "skip":
        return Skip(**{name: line[name] for name in _SKIP})
    if kind == "deleted":
        return _Deleted(line["before"])
    raise LookupError(kind)


def _read_head(folder: Path) -> dict[str, Any]:
    path = folder / _HEAD
    try:
        head = orjson.loads(path.read_bytes())
        if head["schema"] != SCHEMA:
            raise UserError(
                f"{path}: a recording of another version", received=f"schema {head['schema']}", expected=f"schema {SCHEMA}"
            )
        return {"camera": str(head["camera"]), "created_ns": int(head["created_ns"]), "source": str(head["source"])}
    except FileNotFoundError:
        raise UserError(f"{folder}: not a recording: it has no {_HEAD}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise UserError(f"{path}: not the head of a recording", expected='{"schema": 1, "camera": ...}') from None
