"""The manifest of a set: one JSON line for each frame, each word that a person said about it, and each split.

``set.jsonl`` begins with a line of kind ``set``. Lines are only ever appended while people label, so two may work on one
set, and a torn last line costs one word. Who writes a whole set anew takes along what was appended meanwhile. Whoever reads
takes of each person the last word on a frame, and the last split.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import orjson
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from edge.config.yaml_reader import Section
from edge.errors import UserError, may_pass
from edge.storage.disk import held_file, write_new, write_whole

MANIFEST: Final = "set.jsonl"
SET_SCHEMA: Final = 1
SIDES: Final = ("fit", "adapt", "calibrate", "validation", "test")
"""What a split hands out. ``validation`` is the pseudo-validation set: models and thresholds are chosen on it, never
judged."""
_SHA256 = r"^[0-9a-f]{64}$"
_STAMP = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"

Sha256: TypeAlias = Annotated[str, Field(pattern=_SHA256)]
Stamp: TypeAlias = Annotated[str, Field(pattern=_STAMP)]
Word: TypeAlias = Literal["good", "defect", "unsure", "withdrawn"]


class HeadLine(Section):
    """The first line."""

    kind: Literal["set"] = "set"
    schema_: Annotated[Literal[1], Field(alias="schema")] = 1
    """Version of this file's form."""
    created: Stamp
    """When the set was made, UTC."""
    root: str = "."
    """Folder that files are named under; relative to the manifest's own folder."""


class FrameLine(Section):
    """One frame."""

    kind: Literal["frame"] = "frame"
    file: str
    """The picture, under ``root``; with ``/`` between folders."""
    sha256: Sha256
    """Hash of the decoded pixels, their shape and type: the same for a lossless copy of another format."""
    width: Annotated[int, Field(ge=1)]
    """In px."""
    height: Annotated[int, Field(ge=1)]
    """In px."""
    bits: Annotated[int, Field(ge=8, le=16)] = 8
    """Bits of each sample that count."""
    part: str | None = None
    """What tells the physical part from all others. null: unknown."""
    tags: Mapping[str, str] = Field(default_factory=dict)
    """Camera, day, lighting, cause and whatever else is known of the frame."""
    source: str | None = None
    """Where the frame was taken from."""


class LabelLine(Section):
    """What one person, or one import, says about one frame."""

    kind: Literal["label"] = "label"
    file: str
    """The frame's picture."""
    label: Word
    """``unsure``: this person looked and can't tell, so the word decides nothing. ``withdrawn``: this person has no word on
    the frame any more."""
    defects: tuple[str, ...] = ()
    """Kinds of defect that the frame shows."""
    mask: str | None = None
    """Picture that is above 0 on defective pixels, under ``root``. null: nobody drew one."""
    by: Annotated[str, Field(min_length=1)]
    """Who said it."""
    at: Stamp
    """When, UTC."""
    decides: bool = False
    """This word ends a disagreement: earlier words of others don't count, until this person's word is withdrawn."""

    @model_validator(mode="after")
    def _consistent(self) -> LabelLine:
        if self.label != "defect" and (self.defects or self.mask):
            raise ValueError(f"a frame that is {self.label} has neither kinds of defect nor a mask")
        return self


class SplitLine(Section):
    """One split of the set."""

    kind: Literal["split"] = "split"
    at: Stamp
    """When, UTC."""
    seed: int
    """The same frames, labels, shares and seed give the same split."""
    by: str
    """How parts were told apart."""
    sides: dict[str, tuple[str, ...]]
    """Files of each side."""


ManifestLine: TypeAlias = Annotated[HeadLine | FrameLine | LabelLine | SplitLine, Field(discriminator="kind")]
_LINE: TypeAdapter[Any] = TypeAdapter(ManifestLine)


@dataclass(frozen=True, slots=True)
class ReadSoFar:
    """How many bytes of a manifest were read, and their SHA-256: what stands behind them came later."""

    size: int
    sha256: str


def now() -> str:
    """The time of the call, as lines have it."""
    return dt.datetime.now(dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(line: Section) -> bytes:
    """One line of a manifest, with its line end."""
    return orjson.dumps(line.model_dump(mode="json", by_alias=True), option=orjson.OPT_APPEND_NEWLINE)


def read_manifest(path: Path) -> Iterator[Section]:
    """Every whole line. A last line without its line end is torn, and passed over.

    Raises:
        UserError: it can't be read, a line is damaged, or a newer version wrote it.
    """
    return (line for line, _ in read_lines(path))


def read_so_far(path: Path) -> tuple[list[Section], ReadSoFar]:
    """Return every whole line, and how far the reading went. Errors as ``read_manifest``."""
    data = _bytes_of(path)
    lines = [line for line, _ in _lines_in(path, data, 0)]
    data = data[: data.rfind(b"\n") + 1]
    return lines, ReadSoFar(len(data), hashlib.sha256(data).hexdigest())


def read_lines(path: Path, start: int = 0) -> Iterator[tuple[Section, int]]:
    """Yield each whole line from byte ``start`` on, where a line begins, and the byte behind it. Errors as
    ``read_manifest``.
    """
    return _lines_in(path, _bytes_of(path, start), start)


def _bytes_of(path: Path, start: int = 0) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _lines_in(path: Path, data: bytes, start: int) -> Iterator[tuple[Section, int]]:
    lines = data.split(b"\n")[:-1]
    place = start
    for number, text in enumerate(lines, 1):
        where = f"{path}:{number}" if start == 0 else f"{path}, byte {place}"
        try:
            line = _LINE.validate_json(text)
        except ValidationError as error:
            raise _not_a_line(path, where, text, error) from None
        if (place == 0) != isinstance(line, HeadLine):
            raise UserError(f"{where}: a manifest begins with its one line of kind set", received=line.kind)
        place += len(text) + 1
        yield line, place
    if not lines and start == 0 and data:
        raise UserError(
            f"{path}: not the manifest of a set: no line of it has an end",
            received=f"{len(data)} bytes",
            expected="a set.jsonl, as edge gather writes it; a power cut may have left its first line torn",
            fix="look at it: if no word stands in it that is yours, move it away, and edge gather writes a new one",
        )
    if not lines and start == 0:
        raise UserError(
            f"{path}: nothing stands in it yet, not even the first line of a set",
            received="an empty file, as a power cut may leave it",
            fix="delete it, no frame and no word is lost with it; edge gather writes a new one",
        )


def write_manifest(path: Path, lines: Iterable[Section], since: ReadSoFar | None = None, *, is_new: bool = False) -> None:
    """Write the whole file anew, and synced as every word in it is; whoever reads sees the old one or the new one.

    ``since``: the lines come of what was read of this very file. What was appended since is taken along. ``is_new``: there
    was none when the lines were made.

    Raises:
        UserError: the file can't be written, or another program began it or wrote it anew meanwhile; it stays as it is.
    """
    data = b"".join(encode(line) for line in lines)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_new:
            _write_first(path, data)
        elif since is None:
            write_whole(path, data, sync=True)
        else:
            with held_file(path, lambda: _is_held(path)) as fd:
                write_whole(path, data + _appended(path, fd, since), sync=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}", passes=may_pass(error)) from None


def begin_manifest(path: Path, head: HeadLine) -> None:
    """Write a manifest's first line, unless somebody began it meanwhile; also into an empty file, as a power cut may leave
    it.

    Raises:
        OSError: it can't be written.
        UserError: another program holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        write_new(path, encode(head))
        return
    with held_file(path, lambda: _is_held(path)) as fd:
        if not os.fstat(fd).st_size:
            write_whole(path, encode(head), sync=True)


def append_lines(path: Path, lines: Iterable[Section]) -> None:
    """Add lines at the end in one write, after a torn line was closed off.

    Raises:
        UserError: the file can't be written; it holds none of the lines then.
    """
    data = b"".join(encode(line) for line in lines)
    try:
        with held_file(path, lambda: _is_held(path)) as fd:
            size = os.fstat(fd).st_size
            if size and os.pread(fd, 1, size - 1) != b"\n":
                os.ftruncate(fd, _last_line_end(fd, size))
                size = os.fstat(fd).st_size
            if os.write(fd, data) != len(data):  # a disk that fills up takes a part of it, and says nothing
                os.ftruncate(fd, size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(fd)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}", passes=may_pass(error)) from None


def _write_first(path: Path, data: bytes) -> None:
    try:
        write_new(path, data)
    except FileExistsError:
        raise UserError(f"{path}: another program began a set there", fix="run the command again", passes=True) from None


def _appended(path: Path, fd: int, since: ReadSoFar) -> bytes:
    """Return the whole lines that stand behind those that were read."""
    there = os.pread(fd, os.fstat(fd).st_size, 0)
    if hashlib.sha256(there[: since.size]).hexdigest() != since.sha256:
        raise UserError(
            f"{path}: another program wrote the set anew since it was read", fix="run the command again", passes=True
        )
    return there[since.size : there.rfind(b"\n") + 1]


def _is_held(path: Path) -> UserError:
    return UserError(f"{path}: another program is writing it", fix="wait for its end, and try again", passes=True)


def _last_line_end(fd: int, size: int) -> int:
    return os.pread(fd, size, 0).rfind(b"\n") + 1


def _not_a_line(path: Path, where: str, text: bytes, error: ValidationError) -> UserError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"][1:])
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    try:
        schema = orjson.loads(text).get("schema")
    except (orjson.JSONDecodeError, AttributeError):
        schema = None
    if isinstance(schema, int) and schema > SET_SCHEMA:
        return UserError(
            f"{path}: the set was written by a newer version",
            received=f"schema {schema}",
            expected=f"schema {SET_SCHEMA}",
            fix="update this installation",
        )
    return UserError(
        f"{where}: not a line of a set's manifest",
        received=repr(text[:60].decode("utf-8", "replace")),
        expected=f"{key}: {message}" if key else message,
        fix="mend the line, or gather the set again",
    )
