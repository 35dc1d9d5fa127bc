"""Room on a disk: what is free, and whether it is enough to go on writing."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Final

from edge.errors import UserError

TROUBLE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)
"""What a disk does that may pass without anyone changing the config: full, over its quota, failing, read-only."""

_SPARE: Final = 1.05
"""Writing begins again with a little more than what it stopped at, so that it doesn't stop and start with each file."""


def space(folder: Path) -> tuple[int, int]:
    """(free for this user, whole size) in bytes, of the disk that ``folder`` or its nearest parent lies on.

    Raises:
        OSError: the disk doesn't answer.
    """
    while True:
        try:
            found = os.statvfs(folder)
        except (FileNotFoundError, NotADirectoryError):
            if folder == folder.parent:
                raise
            folder = folder.parent
        else:
            return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def why_unwritable(folder: Path) -> str | None:
    """Why this user can't make or fill ``folder``, as far as that shows without trying; None where nothing does."""
    for place in (folder, *folder.parents):
        if os.path.isdir(place):  # False, too, where we may not look: then the parent tells
            # a disk that is read-only now is a trouble that may pass, as a full one is
            passing = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
            return None if passing or os.access(place, os.W_OK | os.X_OK) else f"this user may not write in {place}"
        if os.path.exists(place):
            return f"{place} is a file, not a folder"
    return None


def limit_bytes(folder: Path, quota_gb: float | None, quota_percent: float | None) -> int | None:
    """The smaller one of both quotas; None where there is none. Raises OSError as ``space``."""
    limits = [] if quota_gb is None else [quota_gb * 1e9]
    if quota_percent is not None:
        limits.append(space(folder)[1] * quota_percent / 100)
    return int(min(limits)) if limits else None


class Reserve:
    """What must stay free on the disk of ``folder``.

    ``free_bytes``: as the last look found it; None before the first, or where the disk doesn't answer.
    """

    def __init__(self, folder: Path, min_free_gb: float) -> None:
        self._folder = folder
        self._least = min_free_gb * 1e9
        self._text = f"less than {min_free_gb:g} GB free on the disk"
        self.free_bytes: int | None = None
        self.low = False

    def look(self) -> bool:
        """Whether there is room. A disk that doesn't answer has it: the write itself will tell."""
        try:
            self.free_bytes = space(self._folder)[0]
        except OSError:
            self.free_bytes = None
            return True
        self.low = self.free_bytes < self._least * (_SPARE if self.low else 1.0)
        return not self.low

    def check(self) -> None:
        """Raises OSError ENOSPC while there is too little."""
        if not self.look():
            raise OSError(errno.ENOSPC, self._text)


def write_whole(path: Path, data: bytes) -> None:
    """Write under a temporary name beside ``path``, then rename. Nothing is left behind when that fails."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def write_all(fd: int, data: bytes) -> None:
    """One ``write``; more only where that one was short: a signal, a disk about to be full."""
    while data:
        data = data[os.write(fd, data) :]


def lock(fd: int, path: Path, key: str = "outputs.jsonl", what: str = "this log") -> None:
    """Take the file for this process; it is free again when ``fd`` is closed. Raises UserError where another has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"{key}: {path}: another process writes {what}",
            fix="stop that one first, or give this one another folder",
            exit_code=6,
        ) from None


def sync_folder(folder: Path) -> None:
    """Names in ``folder`` survive a power loss from here on."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
