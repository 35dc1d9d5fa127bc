"""The label book writes what people say about a camera's frames into a set of the page's own, as ``edge label`` does.

``labels/CAMERA`` is a whole set: ``set.jsonl``, and copies of the labelled frames, because quotas delete evidence.
``edge split``, ``edge evaluate``, ``edge audit`` and ``edge label`` itself take it as it is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import ValidationError

from edge.errors import UserError, may_pass
from edge.models.sets.drawn_masks import write_mask
from edge.models.sets.frame_set import FrameSet, pixels_sha256
from edge.models.sets.manifest import (
    MANIFEST,
    FrameLine,
    HeadLine,
    LabelLine,
    append_lines,
    begin_manifest,
    now,
    read_lines,
)
from edge.storage.disk import space, write_whole
from edge.storage.pictures import PictureError, Pixels, decode_picture, picture_bytes, picture_inside
from edge.web.review.drawn_shapes import Shapes, pixels_of, shapes_in
from edge.web.review.label_table import LabelTable
from edge.web.review.places import set_folder
from edge.web.review.said_word import INVALID_WORD

KEEP_FREE_BYTES: Final = 1 << 30
"""Nothing is copied where less than this would stay free: the line's own log and evidence may lie on the same disk."""


class LabelBook:
    """The labels of one camera. One thread uses it."""

    def __init__(self, folder: Path, camera: str, table: LabelTable) -> None:
        """Keep them under ``folder``, the page's own."""
        self.root = set_folder(folder, camera)
        self.manifest = self.root / MANIFEST
        self._camera, self._table = camera, table
        self._frames: dict[str, str] = {}
        """The hash of the pixels of each frame that the set has."""
        self._read_to = self._inode = 0

    def follow(self) -> None:
        """Take what stands in the set and isn't in the table yet, whoever wrote it. The table keeps what it has until a set
        that was written anew was read whole.

        Raises:
            UserError: the set can't be read, or is damaged.
        """
        size, inode = self._state()
        done, known = self._table.done(self._camera)
        anew = inode != known or size < done  # another set stands there now
        if anew:
            done = 0
        if inode != self._inode or size < self._read_to:
            self._frames, self._read_to, self._inode = {}, 0, inode
        start = end = min(done, self._read_to)
        if size <= start:
            if anew:
                self._table.forget(self._camera)
            return
        words = []
        for line, after in read_lines(self.manifest, start):
            if isinstance(line, FrameLine):
                self._frames[line.file] = line.sha256
            elif isinstance(line, LabelLine) and end >= done:
                words.append((line, end))
            end = after
        if end > done:
            self._table.take(self._camera, words, (end, inode), anew=anew)
        self._read_to = end

    def _state(self) -> tuple[int, int]:
        try:
            state = self.manifest.stat()
        except OSError:
            return 0, 0
        return state.st_size, state.st_ino

    def say(self, frame: Mapping[str, Any], word: Mapping[str, Any], by: str) -> None:
        """Write one word on a frame, and keep the frame with the first one.

        ``frame`` is a ``FoundFrame``'s message; ``word`` has ``label``, ``kinds``, ``shapes`` and ``decides``,
        which is False where what an earlier word of this person decided is open again.

        Raises:
            UserError: the disk is full or refuses it (``passes``), the picture is gone, the word or a shape is none.
        """
        self.follow()
        line = _line(frame["kept"], word, by)
        shapes: Shapes = word.get("shapes") or ()
        if line.label == "defect" and word.get("shapes") is None:
            line = line.model_copy(update={"mask": self._table.own_mask(self._camera, frame["kept"], by)})
        if shapes and line.label != "defect":
            raise UserError(f"shapes: a frame that is {line.label} has none", fix="label it as a defect", code=INVALID_WORD)
        if line.label == "withdrawn" and frame["kept"] not in self._frames:
            return
        try:
            self._check_room()
            new, size = self._kept(frame, sized=bool(shapes))
            if shapes:
                line = line.model_copy(update={"mask": self._masked(frame["kept"], shapes, size)})
            if not self._state()[0]:
                begin_manifest(self.manifest, HeadLine(created=now()))
        except OSError as error:
            raise _not_written(self.root, error) from None
        back = []
        if word.get("decides") is False and self._table.decides(self._camera, frame["kept"], by):
            back.append(_line(frame["kept"], {"label": "withdrawn"}, by))
        append_lines(self.manifest, [*new, *back, line])
        self.follow()

    def shapes(self, frame: str, by: str) -> Shapes:
        """Return the shapes of the mask that counts for this person: the own one, else the newest of all."""
        self.follow()
        masks = self._table.masks(self._camera, frame)
        name = masks.get(by) or next(reversed(masks.values()), None) if masks else None
        if name is None:
            return []
        path = self.root / name
        try:
            return list(orjson.loads(path.with_suffix(".json").read_bytes()))
        except (OSError, ValueError):
            return shapes_in(path)  # painted by another tool

    def _check_room(self) -> None:
        try:
            free, _ = space(self.root)
        except OSError:
            return  # the write itself will tell
        if free < KEEP_FREE_BYTES:
            raise OSError(errno.ENOSPC, f"{free / 1e9:.1f} GB are free on this disk, and 1 GB stays free for the lines")

    def _kept(self, frame: Mapping[str, Any], *, sized: bool) -> tuple[list[FrameLine], tuple[int, int]]:
        """Return the line of a frame that isn't in the set yet, and copy it there; and its (height, width) if ``sized``.

        A copy that is gone or damaged is made again from the frame's own picture, where that is still there.
        """
        kept = self.root / frame["kept"]
        known = self._frames.get(frame["kept"])
        if known is not None:
            if not sized:
                return [], (0, 0)
            with contextlib.suppress(OSError, PictureError):
                return [], decode_picture(picture_bytes(kept)).shape[:2]
        data, pixels = _picture_of(frame)
        if known not in (None, pixels_sha256(pixels)):
            raise _not_readable(f"its copy can't be read, and {frame['file']} is another picture now", kept)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, data, sync=True, mode=0o444)  # exports share the file
        height, width = pixels.shape[:2]
        return [] if known else [_frame_line(frame, self._camera, pixels)], (height, width)

    def _masked(self, frame: str, shapes: Shapes, size: tuple[int, int]) -> str:
        """Write the shapes as a mask, and beside it as they were drawn; return the mask's name in the set."""
        try:
            mask: NDArray[np.bool_] = pixels_of(shapes, size)
        except UserError as error:
            error.code = INVALID_WORD
            raise
        name = write_mask(FrameSet(self.root, self.root.absolute(), (), self.manifest), frame, mask)
        write_whole((self.root / name).with_suffix(".json"), orjson.dumps(shapes))
        return name


def _picture_of(frame: Mapping[str, Any]) -> tuple[bytes, Pixels]:
    """Return a frame's picture in its recording, as a file and as pixels. Raises UserError: it can't be read."""
    try:
        data = picture_bytes(picture_inside(Path(frame["folder"]), frame["file"]))
        return data, decode_picture(data)
    except (OSError, PictureError) as error:
        raise _not_readable("its picture can't be read", error.strerror if isinstance(error, OSError) else error) from None


def _not_readable(why: str, received: object) -> UserError:
    """Return the error of a word that no other try will take: it must not hold up the others."""
    fix = "label another one; a quota of the evidence may have taken it"
    return UserError(f"the frame can't be labelled: {why}", received=received, fix=fix)


def _frame_line(frame: Mapping[str, Any], camera: str, pixels: Any) -> FrameLine:
    day = dt.datetime.fromtimestamp(int(frame["at"]) / 1e9, dt.timezone.utc).strftime("%Y-%m-%d")
    tags = {"camera": camera, "day": day, "cause": frame["why"], "seq": frame["seq"], "run": frame["instance"]}
    return FrameLine(
        file=frame["kept"],
        sha256=pixels_sha256(pixels),
        width=pixels.shape[1],
        height=pixels.shape[0],
        bits=frame["bits"],
        part=None if frame["part"] is None else f"{camera}/{day}/{frame['part']}",
        tags={name: str(value) for name, value in tags.items() if value is not None},
        source=frame["ref"] or f"{Path(frame['folder']).name}/{frame['file']}",
    )


def _line(file: str, word: Mapping[str, Any], by: str) -> LabelLine:
    said = {
        "file": file,
        "label": word.get("label"),
        "defects": tuple(word.get("kinds") or ()),
        "by": by,
        "at": now(),
        "decides": bool(word.get("decides")),
    }
    try:
        return LabelLine.model_validate(said)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError("label", received=str(first.get("input"))[:80], expected=first["msg"], code=INVALID_WORD) from None


def _not_written(folder: Path, error: OSError) -> UserError:
    return UserError(
        f"labels can't be written: {error.strerror}",
        received=str(folder),
        fix="make room on this disk; the page keeps what it could not write, and sends it again",
        passes=may_pass(error),
    )
