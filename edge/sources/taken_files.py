"""Files of a watched folder that were taken are left, deleted or moved, in the thread that may wait for the file system."""

from __future__ import annotations

import errno
import os
import queue
from pathlib import Path

from edge.errors import text_of
from edge.sources.folder_watch import Identity, file_identity
from edge.storage.disk import write_whole


class TakenFiles:
    """Names come from one thread, and another one settles them."""

    def __init__(self, root: Path, *, delete: bool, move_to: Path | None) -> None:
        """Take what happens to each: deleted, moved under ``move_to``, or neither."""
        self._root = root
        self._delete = delete
        self._move_to = move_to
        self._files: queue.SimpleQueue[tuple[str, Identity]] = queue.SimpleQueue()
        self.problem: str | None = None
        """Why the last one stayed where it is."""

    def add(self, name: str, identity: Identity) -> None:
        """Note that nobody needs this file any more, as it was then: one that was overwritten meanwhile stays."""
        self._files.put((name, identity))

    def settle(self) -> None:
        """Do with all that were added what is to be done. Never raises."""
        while True:
            try:
                name, identity = self._files.get_nowait()
            except queue.Empty:
                return
            try:
                if file_identity(self._root / name) == identity:
                    self._settle(name)
            except FileNotFoundError:
                continue  # somebody else did it
            except OSError as error:
                self.problem = f"taken pictures stay where they are: {text_of(error)}"
            else:
                self.problem = None

    def _settle(self, name: str) -> None:
        if self._delete:
            os.unlink(self._root / name)
        elif self._move_to is not None:
            _move(self._root / name, self._move_to / name)


def _move(path: Path, target: Path) -> None:
    """Move a file; one of the same name there stays, and this one gets a number."""
    target.parent.mkdir(parents=True, exist_ok=True)
    free, number = target, 1
    while free.exists():
        free = target.with_name(f"{target.stem}-{number}{target.suffix}")
        number += 1
    try:
        os.rename(path, free)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # two folders that a unit's ReadWritePaths= names are two file systems to rename(2), whatever they lie on
        status = path.stat()
        write_whole(free, path.read_bytes())
        os.utime(free, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()
