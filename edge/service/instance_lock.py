"""A lock keeps a second instance out, says who holds it, and lets signals reach nobody but the holder."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import structlog

from edge.errors import ExitCode, UserError, may_pass
from edge.storage.disk import lock
from edge.storage.ownership import why_not_our_file

log = structlog.get_logger()

LOCK = "lock"


def taken(folder: Path, camera: str, owner: str) -> UserError:
    """Make the error for a second instance. ``owner`` is the process id of the first one."""
    return UserError(
        f"camera {camera}: another instance is running",
        received=f"{folder / LOCK} is held by process {owner or 'unknown'}",
        fix="stop that one first, or give this one a folder of its own: another camera name, or a runtime_dir",
        exit_code=ExitCode.LOCKED,
    )


class InstanceLock:
    """The lock is held while the daemon runs. A second daemon in the same folder would silently take over its ipc socket.

    A daemon of the same camera name in another runtime folder is not kept out by this lock, but by those of its log, its
    evidence and its endpoint wherever they are the same, and by the camera, which only one can open.

    Raises:
        UserError: another instance has it; the file is none of ours; the file system has no locks.
    """

    def __init__(self, folder: Path, camera: str) -> None:
        path = folder / LOCK
        try:
            # a fifo in its place must not hold us up, nor a link lead us to another file
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            self._fd = os.open(path, flags, 0o640)
        except OSError as error:
            raise _refused(path, error.strerror or str(error), passes=may_pass(error)) from None
        try:
            why = why_not_our_file(self._fd, path)
            if why is not None:
                raise _refused(path, why)
            lock(self._fd, lambda: taken(folder, camera, _owner(path)))
            self._write(f"{os.getpid()}\n")
        except OSError as error:
            os.close(self._fd)
            raise _refused(path, f"it cannot be locked: {error.strerror}", passes=True) from None
        except BaseException:
            os.close(self._fd)
            raise

    def release(self) -> None:
        self._write("")
        os.close(self._fd)

    def _write(self, text: str) -> None:
        """Write the process id for people and for ``edge reload``; a full disk is no reason not to inspect."""
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text.encode(), 0)
        except OSError as error:
            log.warning("lock_not_written", error=error.strerror)


def holder(folder: Path) -> int | None:
    """Return the process id of the daemon that holds the lock in ``folder``; None if none runs.

    Nothing is locked to find out: a daemon that starts at this moment must not meet our lock. The kernel says who holds it;
    what stands in the file must agree.
    """
    try:
        text = (folder / LOCK).read_text("ascii").strip()
        inode = (folder / LOCK).stat().st_ino
    except (OSError, UnicodeDecodeError):
        return None
    if not text.isdigit():
        return None
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text("ascii").splitlines()]
    except OSError:
        return int(text) if _holds(int(text), folder / LOCK) else None
    # 1: FLOCK  ADVISORY  WRITE 4663 fe:00:2146331 0 EOF; the device number is another than stat's on btrfs
    held = any("FLOCK" in line and line[-3].endswith(f":{inode}") and line[-4] == text for line in locks)
    return int(text) if held else None


def send_signal(folder: Path, pid: int, number: signal.Signals) -> None:
    """Send a signal to the daemon that holds the lock in ``folder``, and to no other process.

    A process id in a file is what somebody wrote there, and by now it may be another process's.

    Raises:
        UserError: ``pid`` isn't the holder (any more).
        PermissionError: the process takes no signal of this user.
    """
    gone = UserError(f"{folder / LOCK}: process {pid} does not hold it", fix="edge fleet lists the daemons that run")
    try:
        process = os.pidfd_open(pid)  # from here on it is this process or none
    except ProcessLookupError:
        raise gone from None
    try:
        if holder(folder) != pid or not _holds(pid, folder / LOCK):
            raise gone
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)
    finally:
        os.close(process)


def _holds(pid: int, path: Path) -> bool:
    """Return True if the process has this very file open. Raises PermissionError if this user may not look."""
    wanted = path.stat()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found = os.stat(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return True
    return False


def _owner(path: Path) -> str:
    """Return the process id that stands in a lock file."""
    try:
        return path.read_text(errors="replace")[:32].strip()
    except OSError:
        return ""


def _refused(path: Path, why: str, *, passes: bool = False) -> UserError:
    return UserError(
        f"{path}: this is not our lock", received=why, fix="set runtime_dir to a folder of this user's own", passes=passes
    )
