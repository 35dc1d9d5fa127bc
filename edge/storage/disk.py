"""Files on a disk are handled here: what is free there, whole writes, and locks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from edge.errors import ExitCode, UserError

_SPARE: Final = 1.05
"""Writing begins again with a little more room than it stopped at, so that it doesn't stop and start with each file."""
_LOOK_AGAIN_S: Final = 0.02
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems without locks answer: NFS without a lock daemon, Lustre without its option, some of FUSE."""
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
"""What file systems without a second name for a file answer: FAT, some of FUSE and CIFS. Where EACCES means that nobody may
write there, the write in the link's place says so itself."""


def space(folder: Path) -> tuple[int, int]:
    """Return (free for this user, whole size) in bytes for the disk that ``folder`` or its nearest parent lies on.

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
    """Say why this user can't make or fill ``folder``, as far as that shows without trying; None if nothing does."""
    for place in (folder, *folder.parents):
        if os.path.isdir(place):  # False, too, where we may not look: then the parent tells
            # a disk that is read-only now is a trouble that may pass, as a full one is
            passing = bool(os.statvfs(place).f_flag & os.ST_RDONLY)
            return None if passing or os.access(place, os.W_OK | os.X_OK) else f"this user may not write in {place}"
        if os.path.exists(place):
            return f"{place} is a file, not a folder"
    return None


def cannot_be_written(folder: Path, error: OSError) -> UserError:
    """Return the error of a folder that no frames can be written to.

    It ``passes`` where it is not about the folder but about something in it, a folder in a file's place for example: no
    config is wrong, and the frames are judged all the same.
    """
    inside = isinstance(error.filename, str) and folder in Path(error.filename).parents and why_unwritable(folder) is None
    if inside and error.errno not in (errno.EACCES, errno.EPERM):
        return UserError(f"{error.filename}: {error.strerror}", fix="move it away: it is no file of ours", passes=True)
    return UserError(
        f"{folder}: cannot be written: {why_unwritable(folder) or error.strerror}",
        fix="choose another folder, or give the user of this process the right to write there",
    )


def limit_bytes(folder: Path, quota_gb: float | None, quota_percent: float | None) -> int | None:
    """Return the smaller of both quotas; None if there is none. Raises OSError as ``space`` does."""
    limits = [] if quota_gb is None else [quota_gb * 1e9]
    if quota_percent is not None:
        limits.append(space(folder)[1] * quota_percent / 100)
    return int(min(limits)) if limits else None


class Reserve:
    """A reserve must stay free on the disk of ``folder``.

    ``free_bytes`` is what the last look found; None before the first, or if the disk doesn't answer.
    """

    def __init__(self, folder: Path, min_free_gb: float) -> None:
        self._folder = folder
        self._least = min_free_gb * 1e9
        self._text = f"less than {min_free_gb:g} GB free on the disk"
        self.free_bytes: int | None = None
        self.low = False

    def look(self) -> bool:
        """Return True if there is room. A disk that doesn't answer counts as roomy: the write itself will tell."""
        try:
            self.free_bytes = space(self._folder)[0]
        except OSError:
            self.free_bytes = None
            return True
        self.low = self.free_bytes < self._least * (_SPARE if self.low else 1.0)
        return not self.low

    def check(self) -> None:
        """Raise OSError ENOSPC while there is too little room."""
        if not self.look():
            raise OSError(errno.ENOSPC, self._text)


def make_folders(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it, where they aren't there yet.

    Raises:
        OSError: as ``Path.mkdir``; ENOENT for a link to a disk that isn't mounted yet, which ``mkdir`` takes for a file in
            the way.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileExistsError:
        for place in (folder, *folder.parents):
            if place.is_symlink() and not place.exists():
                text = f"a link to {place.readlink()}, which is not there"
                raise FileNotFoundError(errno.ENOENT, text, str(place)) from None
        raise


def write_whole(path: Path, data: bytes, *, sync: bool = False, mode: int | None = None) -> None:
    """Write a file so that a reader meets the old one or the new one, never half of it. See ``whole_file``."""
    with whole_file(path, sync=sync, mode=mode) as file:
        file.write(data)


def write_new(path: Path, data: bytes) -> None:
    """Write a file that isn't there yet, whole and synced.

    Raises:
        FileExistsError: another one is there meanwhile; it stays as it is.
        OSError: it can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.new")
    write_whole(temporary, data, sync=True)
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        write_whole(path, data, sync=True)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def whole_file(path: Path, *, sync: bool = False, mode: int | None = None) -> Iterator[BinaryIO]:
    """Open a file of its own beside ``path``, and rename it to ``path`` at the end. Nothing is left if that fails.

    With ``sync``, both the content and the name survive a power loss from here on. ``mode`` is the file's, whatever the
    umask; None: what the umask leaves of 0666.
    """
    # several processes may write the same path, and so may two threads of one
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{next(_numbers)}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666 if mode is None else mode)
    try:
        with open(fd, "wb") as file:
            yield file
            if mode is not None:
                os.fchmod(fd, mode)
            if sync:
                file.flush()
                os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


_numbers = itertools.count()


def write_all(fd: int, data: bytes) -> None:
    """Call ``write`` once, and again only if it was short because of a signal or a disk about to be full."""
    while data:
        data = data[os.write(fd, data) :]


def lock(fd: int, refused: Callable[[], UserError]) -> None:
    """Take an open file for this process; it is free again when ``fd`` is closed.

    Raises:
        UserError: another process has it; ``refused`` says so in words.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise refused() from None


def open_regular(path: Path | str, flags: int = os.O_RDONLY, mode: int = 0o640) -> int:
    """Open a file as ``os.open`` does; whatever else stands in its place is refused at once: nobody waits at a pipe.

    Raises:
        OSError: as ``os.open``, and EINVAL for a pipe or a device, EISDIR for a folder, all with the file's name.
    """
    fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, mode)
    kind = os.fstat(fd).st_mode
    if not stat.S_ISREG(kind):
        os.close(fd)
        if stat.S_ISDIR(kind):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", str(path))
    return fd


def read_regular(path: Path) -> bytes:
    """Return what a file holds. Raises OSError as ``open_regular`` does."""
    with open(open_regular(path), "rb") as file:
        return file.read()


def lock_file(path: Path, refused: Callable[[], UserError]) -> int:
    """Make a file that stands for something else, and lock it as ``lock`` does. Return its descriptor, open to write.

    The file stays when the lock goes: who deletes it might delete another's.
    """
    fd = open_regular(path, os.O_RDWR | os.O_CREAT)
    try:
        lock(fd, refused)
    except BaseException:
        os.close(fd)
        raise
    return fd


@contextmanager
def held_file(path: Path, refused: Callable[[], UserError], wait_s: float = 10.0) -> Iterator[int]:
    """Open a file to read and append, and hold it alone among those who ask for it so; wait for another one's end.

    Who holds it may put another file in its place: that one is held then, never one that lost its name.

    Raises:
        OSError: as ``open_regular``.
        UserError: another process holds it after ``wait_s``; ``refused`` says so in words.
    """
    end = time.monotonic() + wait_s
    while (fd := _held(path)) is None:
        if time.monotonic() >= end:
            raise refused()
        time.sleep(_LOOK_AGAIN_S)
    try:
        yield fd
    finally:
        os.close(fd)


def _held(path: Path) -> int | None:
    """Return a file's descriptor, alone where the file system has locks; None while another one holds it, or where it lost
    its name meanwhile.
    """
    with contextlib.ExitStack() as undo:
        fd = open_regular(path, os.O_RDWR | os.O_APPEND)
        undo.callback(os.close, fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not os.path.samestat(os.fstat(fd), os.stat(path)):
            return None
        undo.pop_all()
    return fd


def written_by_another(path: Path, key: str, what: str) -> UserError:
    """Make the error for a place that another process writes to. ``key`` is the config key that named the place."""
    return UserError(
        f"{key}: {path}: another process writes {what}",
        fix="stop that one first, or give this one another folder",
        exit_code=ExitCode.LOCKED,
    )


def sync_folder(folder: Path) -> None:
    """Sync ``folder``, so that the names in it survive a power loss from here on.

    Where a file system can't (some of FUSE and CIFS say EINVAL), it keeps names in its own way.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF):
            raise
    finally:
        os.close(fd)
