"""A log's files are found and read here, be they whole, torn or compressed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from edge.storage.compressed_frames import VerifiedFrames
from edge.storage.lines_until_torn import LONGEST_LINE
from edge.wire.read import WireError, read

PLAIN: Final = ".jsonl"
PACKED: Final = ".jsonl.zst"
NAME: Final = re.compile(r"edge-(?P<camera>[a-z0-9_]{1,32})-(?P<start>\d{8}T\d{6}Z)-(?P<number>\d{6,})\.jsonl(?:\.zst)?")


def segment_name(camera: str, start: str, number: int) -> str:
    """Return a name like ``edge-cam1-20261121T182007Z-000000.jsonl``: ``start`` is the first moment (UTC), ``number``
    counts.
    """
    return f"edge-{camera}-{start}-{number:06d}{PLAIN}"


def segments(folder: Path, camera: str | None = None) -> list[Path]:
    """List the log's files in ``folder``, oldest first. If a file and its compressed copy are there, the file counts."""
    found: dict[tuple[str, str, int], Path] = {}
    for path in folder.iterdir():
        name = NAME.fullmatch(path.name)
        if name is None or (camera is not None and name["camera"] != camera):
            continue
        key = (name["start"], name["camera"], int(name["number"]))
        if key not in found or path.name.endswith(PLAIN):
            found[key] = path
    return [found[key] for key in sorted(found)]


def read_messages(
    path: Path, counts: MutableMapping[str, int] | None = None, *, only: bytes = b""
) -> Iterator[dict[str, Any]]:
    """Yield all messages of one log file in order, its header among them; ``.zst`` is unpacked on the way.

    A last line without its end is never read: it may be half a record. ``counts`` gets ``torn`` (0 or 1: such a line, or
    a compressed file that is cut off or damaged) and ``unreadable``: lines that are no message of this schema. Of a
    compressed file only frames whose checksum fits are read, those after a damaged one included. ``only`` is text that a
    line must hold to be looked at.

    Raises:
        OSError: the file can't be read.
    """
    counts = {} if counts is None else counts
    counts.update(torn=0, unreadable=0)
    with path.open("rb") as file:
        frames = VerifiedFrames(file) if path.suffix == ".zst" else None
        lines: BinaryIO = file if frames is None else io.BufferedReader(frames, 1 << 16)
        while line := lines.readline(LONGEST_LINE):
            if not line.endswith(b"\n"):
                if len(line) < LONGEST_LINE:
                    counts["torn"] = 1
                    return
                _pass_over(lines)
            if only not in line:
                continue
            try:
                yield read(line)
            except WireError:
                counts["unreadable"] += 1
        counts["torn"] = int(frames is not None and frames.damaged > 0)


def read_records(
    path: Path, counts: MutableMapping[str, int] | None = None, *, only: bytes = b""
) -> Iterator[dict[str, Any]]:
    """Yield the inspections and skips of one log file without its headers; otherwise like ``read_messages``."""
    return (message for message in read_messages(path, counts, only=only) if message["kind"] in ("inspection", "skip"))


def _pass_over(lines: BinaryIO) -> None:
    """Read past the rest of a line that is too long."""
    while (rest := lines.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
        pass
