"""A camera's labelled frames become folders as MVTec AD has them, which ``edge fit``, ``calibrate``, ``evaluate`` and
``check --golden`` take: ``train/good``, ``test/good``, ``test/KIND`` and ``ground_truth/KIND``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import struct
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError, text_of
from edge.models.sets.class_words import GOOD, GROUND_TRUTH
from edge.models.sets.frame_set import SetFrame, read_set
from edge.models.sets.manifest import MANIFEST
from edge.storage.disk import space, write_whole
from edge.web.review.label_book import KEEP_FREE_BYTES
from edge.web.review.places import EXPORTS, part_folder, set_folder

_FOR_TEST: Final = 0.3
"""Share of the good parts that go to ``test/good``."""
_ALL_HASHES: Final = 1 << 256
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE, _AFTER_IHDR, _SEARCHED, _RGB = 25, 33, 200, 2
"""Places in a PNG: signature of 8 bytes, then the chunk IHDR of 25."""


@dataclass(frozen=True, slots=True)
class ExportedFrame:
    """A frame goes from the set to ``folder`` of the export, under a name that has its part."""

    source: SetFrame
    folder: str
    name: str


class MvtecExport:
    """An export is made a frame at a time, so that labels go on meanwhile. ``progress`` says how far it is.

    It gets its name when it is whole; until then its folder ends in ``.part``.
    """

    def __init__(self, folder: Path, camera: str, by: str) -> None:
        """Export the set of ``camera`` into a new folder under the page's ``folder``.

        Raises:
            UserError: nothing is labelled good or defect, or the set can't be read.
        """
        self._set = set_folder(folder, camera)
        if not (self._set / MANIFEST).is_file():
            raise UserError(f"{camera}: no frame is labelled yet", fix="label frames first: keys g and d")
        frames = read_set(self._set / MANIFEST).frames
        self._frames = sorted(placed(frames), key=lambda one: one.name)
        if not self._frames:
            raise UserError(
                f"{camera}: no frame is labelled good or defect",
                received=", ".join(f"{count} {kind}" for kind, count in Counter(one.kind for one in frames).items()),
                fix="label frames first: keys g and d; decide what is disputed",
            )
        name = f"{camera}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        taken = {path.stem for path in (folder / EXPORTS).glob(f"{name}*")}
        self.name = next(text for n in range(len(taken) + 1) if (text := f"{name}-{n}" if n else name) not in taken)
        self._target = folder / EXPORTS / self.name
        self._part = part_folder(folder, self.name)
        counts = Counter(one.folder for one in self._frames)
        left = Counter(one.kind for one in frames if one.label in (None, "disputed") and one.votes)
        self.progress: dict[str, Any] = {
            "name": self.name,
            "camera": camera,
            "by": by,
            "at": time.time_ns(),
            "folder": str(self._target.absolute()),
            "done": 0,
            "total": len(self._frames),
            "counts": dict(sorted(counts.items())),
            "masks": sum(one.source.mask is not None for one in self._frames),
            "left_out": {"disputed" if kind == "disputed" else "unsure": count for kind, count in left.items()},
            "state": "running",
            "error": None,
        }

    def steps(self) -> Iterator[None]:
        """Write one frame after the other; at the end ``progress`` says ``done`` or ``failed``, and why."""
        try:
            self._part.mkdir(parents=True)
            for number, one in enumerate(self._frames, 1):
                self._write(one)
                self.progress["done"] = number
                yield
            self.progress["state"] = "done"
            self._note()
            self._part.rename(self._target)
        except FileExistsError as error:
            name = Path(error.filename2 or error.filename).relative_to(self._part)
            self._fail(f"two frames or masks would have one name in the export: {name}")
        except OSError as error:
            self._fail(f"the export can't be written: {error.strerror}")
        except Exception as error:  # noqa: BLE001  (said on the page; labels go on)
            self._fail(text_of(error))

    def _write(self, one: ExportedFrame) -> None:
        if space(self._part)[0] < KEEP_FREE_BYTES:
            raise OSError(errno.ENOSPC, "less than 1 GB is free on this disk, which stays free for the lines")
        if one.source.bits in (8, 16, None):
            _same_file(self._set / one.source.file, self._part / one.folder / one.name)
        else:  # the set says it, and folders have no such place
            _write_with_bits(self._set / one.source.file, self._part / one.folder / one.name, one.source.bits)
        if one.source.mask is not None and one.source.label == "defect":
            mask = f"{Path(one.name).stem}_mask{Path(one.source.mask).suffix}"
            kind = one.folder.partition("/")[2]
            _copy(self._set / one.source.mask, self._part / GROUND_TRUTH / kind / mask)

    def _fail(self, why: str) -> None:
        shutil.rmtree(self._part, ignore_errors=True)
        self.progress |= {"state": "failed", "error": why}
        with suppress(OSError):
            self._note()

    def _note(self) -> None:
        write_whole(self._target.with_suffix(".json"), orjson.dumps(self.progress))


def placed(frames: Sequence[SetFrame]) -> Iterator[ExportedFrame]:
    """Say where each frame goes that people agree on; no part has good frames on both sides.

    A part's name alone says where it goes, so that those labelled later move none; but where there are two parts or more,
    each side has one at least.
    """
    good = [one for one in frames if one.label == "good"]
    drawn = sorted((int.from_bytes(hashlib.sha256(part.encode()).digest(), "big"), part) for part in map(_part_of, good))
    tested = {part for number, part in drawn if number < _FOR_TEST * _ALL_HASHES}
    if drawn:
        tested = (tested | {drawn[0][1]}) - {drawn[-1][1]}
    for one in good:
        yield ExportedFrame(one, f"test/{GOOD}" if _part_of(one) in tested else f"train/{GOOD}", _name_of(one))
    for one in frames:
        if one.label == "defect":
            yield ExportedFrame(one, f"test/{_as_name(one.kind)}", _name_of(one))


def _part_of(frame: SetFrame) -> str:
    return frame.part or frame.file


def _name_of(frame: SetFrame) -> str:
    """Return a name that begins with day and part, ``part20261130_12-``, so that an expression tells parts apart."""
    name = Path(frame.file).name
    if frame.part is None:
        return name
    day, part = ["", *frame.part.split("/")][-2:]
    return f"part{day.replace('-', '')}_{_as_name(part)}-{name}"


def _as_name(text: str) -> str:
    """Return a text as the name of a file or folder."""
    return re.sub(r"[^\w +.-]|^\.", "_", text)


def _same_file(source: Path, target: Path) -> None:
    """Give a frame a second name, which takes no room; copy it where the disk has no such names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        _copy(source, target)


def _copy(source: Path, target: Path) -> None:
    """Copy a file. Raises FileExistsError: the target is there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as read, target.open("xb") as written:
        shutil.copyfileobj(read, written)


def _write_with_bits(source: Path, target: Path, bits: int) -> None:
    """Copy a PNG with a chunk sBIT, which says how many bits of its samples count; other formats have none."""
    data = source.read_bytes()
    if data.startswith(_PNG) and b"sBIT" not in data[:_SEARCHED]:
        held = bytes([bits] * (3 if data[_COLOUR_TYPE] == _RGB else 1))
        chunk = b"sBIT" + held
        data = (
            data[:_AFTER_IHDR]
            + struct.pack(">I", len(held))
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
            + data[_AFTER_IHDR:]
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(data)
