"""Files that appear in a folder are noticed, each once, and given out when they stand still. It only looks, so it works on
shares, too, where the kernel tells nothing.

A folder is read again when its own time changes, and now and then in any case, for not every file system keeps that.
A file is known by device, inode, size and time of writing: a renamed one is no new one, an overwritten one is.
"""

from __future__ import annotations

import os
import stat
import time
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from edge.storage.find_pictures import SUFFIXES, is_other_picture, natural_key

Identity: TypeAlias = tuple[int, int, int, int]
"""Device, inode, size, and time of writing in ns."""
_HOT_S: Final = 3.0
"""A folder is read again for this long after a change, in s: times of folders are coarse, 4 ms here, 2 s on FAT."""
_ALL_S: Final = 5.0
"""All folders are read again after this time, in s, or ten times what it takes."""
_AGAIN: Final = 256
"""The last so many taken files are looked at again each time: some cameras write to the same few names, round and round."""
_GONE: Final = 1000
"""The last so many vanished files are remembered: one moved to a folder that was read before shows up a look later."""


@dataclass(slots=True, order=True)
class Waiting:
    """A file that isn't taken yet. ``came_ns``: UTC and monotonic ns before which it can't have been as it is now."""

    key: tuple[Any, ...]
    name: str = field(compare=False)
    identity: Identity = field(compare=False)
    came_ns: tuple[int, int] = field(compare=False)
    still_since: float = field(compare=False)
    first_seen: float = field(compare=False)
    was_there: bool = field(compare=False)
    """True if it lay there at the start."""
    refused: str | None = field(default=None, compare=False)
    """Why it was no whole picture when it was read, as it is now."""


@dataclass(slots=True)
class _Folder:
    changed_ns: int
    hot_until: float
    names: set[str]
    folders: set[str]


class FolderWatch:
    """The watch belongs to one thread. Times are monotonic s, given by the caller."""

    def __init__(self, root: Path, *, settle_s: float, incomplete_after_s: float, take_old: bool) -> None:
        self._root = root
        self._settle_s = settle_s
        self._incomplete_after_s = incomplete_after_s
        self._take_old = take_old
        self._device: int | None = None
        self._folders: dict[str, _Folder] = {}
        self._known: dict[str, Identity] = {}
        self._identities: dict[Identity, str] = {}
        self._gone: deque[Identity] = deque(maxlen=_GONE)
        self._waiting: list[Waiting] = []
        self._by_name: dict[str, Waiting] = {}
        self._recent: deque[str] = deque(maxlen=_AGAIN)
        self._looked_ns = self._all_looked_ns = (time.time_ns(), time.monotonic_ns())
        self._all_at = 0.0
        self.passed_over = 0
        """Number of pictures that lay there at the start and were left alone."""
        self.other_pictures: set[str] = set()
        """Endings of pictures of kinds that aren't read."""
        self.vanished: list[str] = []
        """Names of files that were noticed and deleted before they could be read; whoever takes them clears the list."""

    @property
    def waiting(self) -> int:
        """Return the number of files that aren't taken yet."""
        return len(self._waiting)

    def oldest_s(self, now: float) -> float:
        """Return how long the first in order has been waiting, in s."""
        return now - self._waiting[0].first_seen if self._waiting else 0.0

    def look(self, now: float) -> None:
        """Notice what is new, changed or gone.

        Raises:
            OSError: the folder can't be read.
        """
        moment = (time.time_ns(), time.monotonic_ns())
        status = os.stat(self._root)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(20, "Not a directory", str(self._root))
        # another device is another folder in its place: a share that was mounted meanwhile, full of old pictures
        first = self._device != status.st_dev
        everything = first or now >= self._all_at
        began = time.monotonic()
        self._folders = self._read_folders(now, everything=everything)
        self._device = status.st_dev
        names = {name for folder in self._folders.values() for name in folder.names}
        new = names - self._known.keys() - self._by_name.keys()
        self._forget(names, new)
        for name in new - self._by_name.keys():
            self._notice(name, now, was_there=first, since_ns=self._looked_ns)
        self._look_again(set(self._recent), now, since_ns=self._looked_ns)
        self._looked_ns = moment
        if everything:
            self._look_again(set(self._known), now, since_ns=self._all_looked_ns)
            self._all_looked_ns = moment
            self._all_at = now + max(_ALL_S, 10 * (time.monotonic() - began))

    def ready(self, now: float) -> Waiting | None:
        """Return the next file in natural order that stood still for long enough; None while there is none.

        One that doesn't holds up those after it, but not for ever.
        """
        for file in self._waiting:
            identity = file_identity(self._root / file.name)
            if identity is None:
                continue  # the next look finds it gone
            if identity != file.identity:
                self._change(file, identity, now)
            if now - file.still_since >= self._settle_s and (file.refused is None or self.is_given_up(file, now)):
                return file
            if now - file.first_seen < self._incomplete_after_s:
                return None
        return None

    def is_given_up(self, file: Waiting, now: float) -> bool:
        """Return True if the file was no whole picture and has not changed for too long."""
        return file.refused is not None and now - file.still_since >= self._incomplete_after_s

    def took(self, file: Waiting) -> None:
        """Note that a file was taken, or given up: as it is now it doesn't come again."""
        self._waiting.remove(file)
        del self._by_name[file.name]
        self._recent.append(file.name)
        self._know(file.name, file.identity)

    def is_unchanged(self, file: Waiting) -> bool:
        """Return True if the file is still what was read."""
        return file_identity(self._root / file.name) == file.identity

    def _read_folders(self, now: float, *, everything: bool) -> dict[str, _Folder]:
        seen: dict[str, _Folder] = {}
        self._read(Path(""), now, seen, {os.stat(self._root)[1:3]}, everything=everything)
        return seen

    def _read(
        self, under: Path, now: float, seen: dict[str, _Folder], above: set[tuple[int, int]], *, everything: bool
    ) -> None:
        path, name = self._root / under, "" if under == Path("") else under.as_posix()
        try:
            changed_ns = os.stat(path).st_mtime_ns
            folder = self._folders.get(name)
            if folder is None or folder.changed_ns != changed_ns:
                folder = _Folder(changed_ns, now + _HOT_S, *self._entries(path, name))
            elif everything or now < folder.hot_until:
                folder = _Folder(changed_ns, folder.hot_until, *self._entries(path, name))
        except OSError:
            if not name:
                raise
            return  # deleted just now, or closed to this user: what was in it counts as gone
        seen[name] = folder
        for inner in folder.folders:
            try:
                inode = os.stat(self._root / inner)[1:3]
            except OSError:
                continue
            if inode not in above:  # a link that leads back
                self._read(Path(inner), now, seen, above | {inode}, everything=everything)

    def _entries(self, path: Path, under: str) -> tuple[set[str], set[str]]:
        names, folders = set(), set()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                name = f"{under}/{entry.name}" if under else entry.name
                if entry.is_dir():
                    folders.add(name)
                elif entry.name.lower().endswith(SUFFIXES):
                    names.add(name)
                elif is_other_picture(entry.name):
                    self.other_pictures.add(os.path.splitext(entry.name)[1].lower())
        return names, folders

    def _forget(self, names: set[str], new: set[str]) -> None:
        for name in self._known.keys() - names:
            identity = self._known.pop(name)
            if self._identities.get(identity) == name:
                del self._identities[identity]
            self._gone.append(identity)
        lost = self._by_name.keys() - names
        if not lost:
            return
        identities = {file_identity(self._root / name): name for name in new}
        for name in lost:
            file = self._by_name.pop(name)
            self._waiting.remove(file)
            if file.identity in identities:
                self._add(identities[file.identity], file)
            else:
                self.vanished.append(name)

    def _notice(self, name: str, now: float, *, was_there: bool, since_ns: tuple[int, int]) -> None:
        identity = file_identity(self._root / name)
        if identity is None:
            return
        if was_there and not self._take_old:
            self.passed_over += 1
            self._know(name, identity)
        elif identity in self._identities or identity in self._gone:  # moved after it was taken
            self._know(name, identity)
        else:
            came_ns = _written_ns(identity) if was_there else since_ns
            self._add(
                name,
                Waiting(natural_key(name), name, identity, came_ns, still_since=now, first_seen=now, was_there=was_there),
            )

    def _look_again(self, names: set[str], now: float, *, since_ns: tuple[int, int]) -> None:
        """Notice those of the known files that were overwritten."""
        for name in names:
            before = self._known.get(name)
            identity = None if before is None else file_identity(self._root / name)
            if before is not None and identity not in (None, before):
                del self._known[name]
                self._identities.pop(before, None)
                self._notice(name, now, was_there=False, since_ns=since_ns)

    def _change(self, file: Waiting, identity: Identity, now: float) -> None:
        file.identity, file.came_ns, file.still_since, file.refused = identity, self._looked_ns, now, None

    def _add(self, name: str, file: Waiting) -> None:
        file.name, file.key = name, natural_key(name)
        insort(self._waiting, file)
        self._by_name[name] = file

    def _know(self, name: str, identity: Identity) -> None:
        self._known[name] = identity
        self._identities[identity] = name


def _written_ns(identity: Identity) -> tuple[int, int]:
    """Return UTC and monotonic ns of a file's own time, which may lie years back."""
    now_ns, now_mono_ns = time.time_ns(), time.monotonic_ns()
    return identity[3], now_mono_ns - max(0, now_ns - identity[3])


def file_identity(path: Path) -> Identity | None:
    """Return what a file is known by; None for a file that isn't there any more, or is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
