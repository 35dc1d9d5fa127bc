"""Frames and losses become a recording here while a line runs."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError, may_pass
from edge.frames import AnomalyMap, Frame, Skip
from edge.storage.disk import cannot_be_written, open_regular, sync_folder, whole_file, write_whole
from edge.storage.index_pass import SLICE_S, IndexPass, temporary, unhurried
from edge.storage.map_file import map_name, write_map
from edge.storage.pictures import decoded_format, encode_png
from edge.storage.recording import FRAMES, HEAD, RECORDING_SCHEMA, head_is_damaged, is_recording, read_head
from edge.storage.recording_index import INDEX, Deleted, Missing, dumped_line, is_damaged, ranges, read_index
from edge.storage.recording_index import RecordedFrame as RecordedFrame
from edge.storage.set_aside import keep_aside, set_aside


class RecordingWriter:
    """The writer writes a recording; one thread uses it.

    Args:
        folder: made if it isn't there. It must not hold a recording, unless ``append``.
        camera: name of the camera.
        source: what was recorded, in words.
        gently: read what is there with pauses, because a line runs meanwhile.
        append: go on after what a recording of the same camera already holds. Its files may have been damaged by a power
            cut or a worn-out card: they are set aside and begun anew, what can be read of the index is kept. Pictures are
            on the disk before the index names them.

    Raises:
        UserError: the folder holds a recording, or one of another camera, or can't be written.
        OSError: under ``append``, what may pass: a full disk, a failing or a read-only one.
    """

    def __init__(self, folder: Path, *, camera: str, source: str, append: bool = False, gently: bool = False) -> None:
        self.folder = folder
        self._made = not folder.exists()
        held = is_recording(folder)
        self._syncs = append
        self._paced = unhurried if gently else iter
        self.damaged: list[Path] = []
        """Files that were set aside."""
        if held and append:
            held = self._check_head()
        if held and not append:
            raise UserError(
                f"{folder}: already holds a recording", fix="name a folder that doesn't exist yet, or delete this one"
            )
        if held and (owner := read_head(folder)["camera"]) != camera:
            raise UserError(
                f"{folder}: holds a recording of another camera",
                received=owner,
                expected=camera,
                fix="give each camera a folder of its own",
            )
        self._fd = -1
        self._unsynced = False
        self._pass: IndexPass | None = None
        self._shorten_at = float("-inf")
        self._gone: set[int] = set()  # deleted frames that still have their lines
        self._forgotten: frozenset[int] = frozenset()  # of these, what the pass leaves out
        self._forgetting = 0  # bytes of losses that are to be left out
        self.loss_bytes = 0
        self.held: dict[int, str | None] = {}
        """Frames that the recording had when it was opened, oldest first: number, and what a quota counts each under."""
        try:
            (folder / FRAMES).mkdir(parents=True, exist_ok=True)
            if not held:
                head = {"schema": RECORDING_SCHEMA, "camera": camera, "created_ns": time.time_ns(), "source": source}
                write_whole(folder / HEAD, orjson.dumps(head, option=orjson.OPT_INDENT_2) + b"\n", sync=append)
            self._resume()
        except UserError:
            self.close()
            raise
        except OSError as error:
            self.close()
            if append and may_pass(error):
                raise
            raise cannot_be_written(folder, error) from None

    def frame(
        self, frame: Frame, record: bytes | None = None, why: str | None = None, amap: AnomalyMap | None = None
    ) -> int:
        """Write one frame; return its number, from 0.

        ``record`` is the frame's record as JSON, kept in its line for people and for ``edge export``; replay passes over
        it. ``why`` says what it was kept for. ``amap`` is written raw beside the picture.

        Raises:
            OSError: for example, the disk is full; the recording is as it was before the call.
            ValueError: pixels that no format describes.
        """
        name = decoded_format(frame.pixels, frame.bits)
        if name is None:
            raise ValueError(f"{frame.pixels.dtype} pixels of {frame.bits} bits can't be recorded")
        number = self.next_number
        file = f"{FRAMES}/{number:08d}.png"
        picture = encode_png(frame.pixels)
        height, width = frame.pixels.shape[:2]
        line = {"kind": "frame", "number": number, "file": file, "bits": frame.bits}
        line |= asdict(replace(frame.meta, width=width, height=height, pixel_format=name))
        del line["received_mono_ns"]  # of this boot's clock only
        if line["drift"] is None:
            del line["drift"]
        line["chunks"] = dict(frame.meta.chunks)
        if why is not None:
            line["why"] = why
        if record is not None:
            line["record"] = orjson.Fragment(record)
        files = [self.folder / file]
        try:
            with whole_file(files[0]) as out:
                out.write(picture)
                if self._syncs:  # or after a power cut lines would name pictures that are empty
                    out.flush()
                    os.fdatasync(out.fileno())
            if amap is not None:
                files.append(self.folder / map_name(number))
                line["map"] = write_map(self.folder, number, amap, sync=self._syncs)
            self._append(line)
        except OSError:
            for path in files:
                path.unlink(missing_ok=True)
            raise
        self.next_number += 1
        self.go_on()
        return number

    def skip(self, skip: Skip, record: bytes | None = None) -> None:
        """Write one loss, in its place. Raises OSError as ``frame`` does."""
        line = {"kind": "skip", **asdict(skip)}
        if record is not None:
            line["record"] = orjson.Fragment(record)
        self.loss_bytes += self._append(line)
        self.losses += 1
        self.go_on()

    def missing(self, records: int) -> None:
        """Note that so many records should stand here and don't: one line says so for all, once something can be
        written.
        """
        self._missing += records

    def forget(self, numbers: Sequence[int]) -> None:
        """Note that pictures are about to be deleted, and shorten the index when most of it is about such pictures.

        A shortened index has lost these frames, and the losses that stood before the last of them. Shortening a long one
        goes on with the calls that follow.
        """
        if not numbers:
            return
        self._append({"kind": "deleted", "frames": ranges(numbers)})
        self._useless += len(numbers) + 1
        self._gone.update(numbers)
        if self._pass is None and self._lines >= _SHORTEN_FROM and 2 * self._useless >= self._lines:
            self._shorten(losses=True)

    def forget_losses(self) -> None:
        """Shorten the index to the frames that are still there. From now on ``index_bytes`` counts no loss before now."""
        if self._pass is None:
            self._shorten(losses=False)
        elif not self._forgetting:
            self._forgetting = self.loss_bytes

    @property
    def shortens(self) -> bool:
        """Return True while the index is being shortened: ``go_on`` is then worth a call."""
        return self._pass is not None

    @property
    def index_bytes(self) -> int:
        """Return the size of the index, in bytes, without what is about to be forgotten."""
        return self._size - self._forgetting

    def go_on(self, slice_s: float | None = SLICE_S) -> None:
        """Go on shortening the index for a while, if that is under way. Where the disk has no room for a shorter one, the
        long one is used on, and it is tried again in a minute.
        """
        if self._pass is None:
            return
        try:
            if not self._pass.step(slice_s):
                return
            self._pass.finish(self.next_number)
        except OSError:
            self._pass.abandon()
            self._pass, self._forgetting = None, 0
            self._shorten_at = time.monotonic() + _AGAIN_S
            return
        self._take_over(self._pass)

    def close(self) -> None:
        """Close the recording. May be called twice."""
        if self._pass is not None:
            self._pass.abandon()
            self._pass = None
        if self._fd >= 0:
            if self._missing:
                with suppress(OSError):
                    self._append()
            if self._syncs:
                with suppress(OSError):
                    self.sync()
            os.close(self._fd)
            self._fd = -1

    def sync(self) -> None:
        """Sync, so that what was written stands after a power cut."""
        if self._unsynced:
            os.fdatasync(self._fd)
            self._unsynced = False

    def _check_head(self) -> bool:
        """Return True if there is a whole head; a damaged one, for example an empty one after a power cut, is set aside."""
        try:
            if head_is_damaged(self.folder):
                self.damaged.append(set_aside(self.folder / HEAD))
                return False
        except OSError as error:
            if may_pass(error):
                raise
            raise cannot_be_written(self.folder, error) from None
        return True

    def remove(self) -> None:
        """Close and delete a recording that holds no frame; the folder, too, if it wasn't there before."""
        self.close()
        with suppress(OSError):  # whatever else lies there stays
            (self.folder / FRAMES).rmdir()
            (self.folder / INDEX).unlink()
            (self.folder / HEAD).unlink()
            if self._made:
                self.folder.rmdir()

    def _resume(self) -> None:
        """Open the index after its last whole line, and go on numbering after the last picture."""
        index, pictures = self.folder / INDEX, self.folder / FRAMES
        for torn in pictures.glob("*.tmp"):
            torn.unlink()
        temporary(index).unlink(missing_ok=True)
        if not self._syncs:
            self._fd = open_regular(index, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._size = self._lines = self._useless = self.losses = self.loss_bytes = self.next_number = self._missing = 0
        self._gone.clear()
        if self._syncs:
            self._mend(index)
            self._fd = open_regular(index, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            sync_folder(self.folder)
        for entry, line in self._paced(read_index(self.folder)):
            self._size += len(line)
            self._lines += 1
            if isinstance(entry, RecordedFrame):
                self.held[entry.number] = entry.cause
            elif isinstance(entry, Skip):
                self.losses += 1
                self.loss_bytes += len(line)
            elif isinstance(entry, Deleted):
                deleted = entry.among(self.held.keys())
                for number in deleted:
                    del self.held[number]
                self._gone |= deleted
                self._useless += len(deleted) + 1
                self.next_number = max(self.next_number, entry.next_number)
        os.ftruncate(self._fd, self._size)
        numbers = [int(path.stem) for path in pictures.glob("*.png") if path.stem.isdecimal()]
        self.next_number = max([self.next_number, *(number + 1 for number in (*numbers, *self.held))])

    def _mend(self, index: Path) -> None:
        """Write an index with damaged lines anew; in the place of each, a line says that a record is missing."""
        damaged = 0
        if index.exists():
            for entry, line in self._paced(read_index(self.folder)):
                damaged += isinstance(entry, Missing) and is_damaged(line)
        if not damaged:
            return
        self.damaged.append(keep_aside(index))
        with whole_file(index, sync=True) as anew:
            for _, line in self._paced(read_index(self.folder)):
                anew.write(b'{"kind":"missing","records":1}\n' if is_damaged(line) else line)

    def _append(self, *lines: dict[str, Any]) -> int:
        """Write once, what is missing before included; take back what didn't fit, so that the next line isn't glued to
        it. Returns how many bytes were written.
        """
        if self._missing:
            lines = ({"kind": "missing", "records": self._missing}, *lines)
        data = b"".join(dumped_line(line) + b"\n" for line in lines)
        try:
            whole = os.write(self._fd, data) == len(data)
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        if not whole:
            os.ftruncate(self._fd, self._size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += len(data)
        self._unsynced = True
        self._lines += len(lines)
        self._missing = 0
        return len(data)

    def _shorten(self, *, losses: bool) -> None:
        """Begin to rewrite the index without deleted frames. With ``losses``, keep those that stand after the last of
        these.
        """
        if time.monotonic() < self._shorten_at:
            return
        self._forgotten = frozenset(self._gone)
        self._forgetting = 0 if losses else self.loss_bytes
        self._pass = IndexPass(self.folder / INDEX, self._forgotten, losses=losses)
        self.go_on(None if self._lines <= _AT_ONCE else SLICE_S)

    def _take_over(self, done: IndexPass) -> None:
        """Write to the shortened index from here on."""
        os.close(self._fd)
        self._fd = os.open(self.folder / INDEX, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self._unsynced = False
        self._lines, self._useless, self.losses, self.loss_bytes = done.lines, done.useless, done.losses, done.loss_bytes
        self._gone -= self._forgotten
        asked_meanwhile = self._forgetting > 0 and done.keeps_losses
        self._pass, self._forgetting = None, 0
        if asked_meanwhile:
            self._shorten(losses=False)


_SHORTEN_FROM: Final = 1000
"""Least number of lines for which rewriting the index is worth it."""
_AT_ONCE: Final = 200
"""Most lines of an index that is rewritten in one go: a few milliseconds."""
_AGAIN_S: Final = 60.0
