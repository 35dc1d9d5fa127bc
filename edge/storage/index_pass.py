"""A long index is read, and written anew, a slice at a time: Python's work on a hundred megabytes of lines would hold the
interpreter for seconds, and the line that is inspected beside it would lose frames.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import orjson

from edge.frames import Skip
from edge.storage.disk import sync_folder
from edge.storage.lines_until_torn import LONGEST_LINE
from edge.storage.recording_index import Deleted, Missing, RecordedFrame, entry_of

SLICE_S: Final = 0.002
"""Time in s of the processor that a slice takes; the interpreter asks whoever holds it to let go after 5 ms."""
_Item = TypeVar("_Item")


def unhurried(items: Iterable[_Item], clock: Callable[[], float] = time.thread_time) -> Iterator[_Item]:
    """Yield ``items``, and sleep for as long after each slice as it took."""
    end = clock() + SLICE_S
    for item in items:
        yield item
        if clock() >= end:
            time.sleep(SLICE_S)
            end = clock() + SLICE_S


class IndexPass:
    """A pass writes an index anew beside it, without lines of frames that were deleted, while lines are appended to it.

    One thread appends and calls ``step``. A line that names frames deleted since the pass began stays.

    Args:
        index: the index.
        gone: numbers of the frames to leave out. Losses that stand before the last of them are left out, too.
        losses: whether losses that stand behind it are kept; those that are appended meanwhile always are.
    """

    def __init__(self, index: Path, gone: frozenset[int], *, losses: bool) -> None:
        self._index = index
        self._gone = gone
        self._last_gone = max(gone, default=-1)
        self.keeps_losses = losses
        self._file = index.open("rb")
        self._began_at = os.fstat(self._file.fileno()).st_size
        self._read = 0
        self._newest = -1
        self._kept: set[int] = set()
        self._forgotten = 0
        self._shorter = temporary(index).open("wb")
        self.lines = self.losses = self.loss_bytes = self.useless = 0
        """What the new index holds: lines, losses and their bytes, and lines about frames that were deleted meanwhile."""

    def step(self, slice_s: float | None = SLICE_S, clock: Callable[[], float] = time.thread_time) -> bool:
        """Go on for a slice, or to the end. Returns True at the end: now nothing may be appended before ``finish``.

        Raises:
            OSError: the disk is full, for example.
        """
        end = None if slice_s is None else clock() + slice_s
        while line := self._file.readline(LONGEST_LINE):
            self._take(line, appended=self._read >= self._began_at)
            self._read += len(line)
            if end is not None and clock() >= end:
                return False
        return True

    def finish(self, next_number: int) -> None:
        """Put the new index in the old one's place, on the disk before it has its name. Raises OSError as ``step``."""
        if self._forgotten:
            head = {"kind": "deleted", "frames": [], "before": self._forgotten, "next_number": next_number}
            self._keep(orjson.dumps(head) + b"\n")
        self._shorter.flush()
        os.fsync(self._shorter.fileno())
        self._shorter.close()
        temporary(self._index).replace(self._index)
        sync_folder(self._index.parent)
        self._file.close()

    def abandon(self) -> None:
        """Give the pass up; the index stays as it is."""
        self._file.close()
        self._shorter.close()
        temporary(self._index).unlink(missing_ok=True)

    def _take(self, line: bytes, *, appended: bool) -> None:
        entry = entry_of(line)
        if isinstance(entry, RecordedFrame):
            self._newest = max(self._newest, entry.number)
            if entry.number in self._gone:
                self._forgotten += 1
            else:
                self._kept.add(entry.number)
                self._keep(line)
        elif isinstance(entry, Deleted):
            if deleted := entry.among(self._kept):  # meanwhile
                self.useless += len(deleted) + 1
                self._keep(line)
            else:
                self._forgotten += entry.before
        elif appended or (self.keeps_losses and self._newest >= self._last_gone):
            assert isinstance(entry, (Skip, Missing))
            if isinstance(entry, Skip):
                self.losses += 1
                self.loss_bytes += len(line)
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        self._shorter.write(line)
        self.lines += 1


def temporary(index: Path) -> Path:
    """Return where a pass writes; a crash may leave it there, and then the next writer removes it."""
    return index.with_name(f".{index.name}.shorter.tmp")
