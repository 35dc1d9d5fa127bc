"""The log of records: one JSON line each, written with one ``write`` to a file opened for appending.

Measured (ext4, 400-byte records): ``write`` 2 us; ``fdatasync`` 1.5 to 9 ms, so by default it runs once a second. After a
sync that failed a record may stand twice, with the same ``instance_id`` and ``seq``: it is written again to a new file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import structlog

from edge.config import JsonlConfig
from edge.errors import UserError
from edge.frames import Heartbeat, Record, RunIdentity, State
from edge.wire import Wire, WireError, read

log = structlog.get_logger()

_DAY_S = 86400
_BLOCK_BYTES = 1 << 16
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class JsonlSink:
    """Files ``edge-CAMERA-START-N.jsonl`` in ``folder``: START is the file's first moment (UTC), N counts within the run.

    A new file is begun at ``rotate_mb``, at each UTC day and after a failure; each begins with a header record. Files whose
    last change is older than ``keep_days`` are deleted then. A last line that a crash tore is moved aside at ``open``.
    """

    name = "jsonl"

    def __init__(self, config: JsonlConfig, folder: Path, identity: RunIdentity, *, path: Path | None = None) -> None:
        """``path``: write this one file instead, never rotated, nothing deleted."""
        self._config = config
        self._folder = folder if path is None else path.parent
        self._fixed = path
        self._camera = identity.camera
        self._wire = Wire(identity)
        self._fd: int | None = None
        self._path: Path | None = None
        self._number = 0
        self._size = 0
        self._day = 0
        self._dirty = False
        self._sync_at = 0.0
        self.idle_s = min(config.sync_interval_s, 1.0)

    @property
    def detail(self) -> Mapping[str, object]:
        return {"file": None if self._path is None else str(self._path)}

    def open(self) -> None:
        """Make the folder, mend the newest file, begin a new one.

        Raises:
            UserError: the folder can't be made or written to, or another process writes this camera's log.
            OSError: the disk is full or fails; ``recover`` may succeed later.
        """
        try:
            self._start()
        except OSError as error:
            if error.errno in _PASSING:
                raise
            raise UserError(
                f"outputs.jsonl: {self._fixed or self._folder}: the log cannot be written",
                received=os.strerror(error.errno) if error.errno else error,
                expected="a folder that this user may write",
                fix="choose another folder, or change its owner",
            ) from None
        self._delete_old()

    def write(self, record: Record, _kept: object) -> None:
        line = record.line + b"\n"
        if self._fixed is None and (
            self._size + len(line) > self._config.rotate_mb * 1_000_000 or time.time() // _DAY_S != self._day
        ):
            self._rotate()
        self._append(line)
        if self._config.sync == "each":
            self._sync()

    def state(self, state: State) -> None:
        pass

    def tick(self, heartbeat: Heartbeat) -> None:
        pass

    def idle(self) -> None:
        """Sync when it is time to."""
        if self._config.sync == "interval" and self._dirty and time.monotonic() >= self._sync_at:
            self._sync()

    def recover(self) -> None:
        """Go on in a new file: after a failed sync the kernel may have dropped what the old one should hold."""
        self._abandon()
        self._start()

    def close(self) -> None:
        if self._fd is None:
            return
        try:
            if self._dirty and self._config.sync != "none":
                os.fdatasync(self._fd)
        finally:
            self._abandon()

    def _rotate(self) -> None:
        self.close()
        self._begin()
        self._delete_old()

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        newest = self._fixed or max(self._files(), default=None)
        if newest is not None and newest.exists():
            repair(newest)
        self._begin()

    def _begin(self) -> None:
        now = time.time()
        path, fd = self._create(now)
        try:
            _lock(fd, path)
            self._fd, self._path, self._size, self._day = fd, path, os.fstat(fd).st_size, int(now // _DAY_S)
            self._append(self._wire.header(time.time_ns()) + b"\n")
            if self._config.sync != "none":
                self._sync()
                _sync_folder(self._folder)
            self._number += 1
        except BaseException:
            self._fd = None
            os.close(fd)
            if self._fixed is None:
                path.unlink(missing_ok=True)  # or a full disk would gather one empty file a second
            raise

    def _create(self, now: float) -> tuple[Path, int]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        if self._fixed is not None:
            return self._fixed, os.open(self._fixed, flags, 0o640)
        start = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        while True:
            path = self._folder / f"edge-{self._camera}-{start}-{self._number:06d}.jsonl"
            try:
                return path, os.open(path, flags | os.O_EXCL, 0o640)
            except FileExistsError:  # of a run that began in the same second
                self._number += 1

    def _append(self, line: bytes) -> None:
        assert self._fd is not None
        if not self._dirty:
            self._dirty = True
            self._sync_at = time.monotonic() + self._config.sync_interval_s
        try:
            _write_all(self._fd, line)
        except OSError:
            with suppress(OSError):  # no half line in the middle of the log, where that can still be had
                os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)

    def _sync(self) -> None:
        assert self._fd is not None
        os.fdatasync(self._fd)
        self._dirty = False

    def _abandon(self) -> None:
        fd, self._fd, self._dirty = self._fd, None, False
        if fd is not None:
            os.close(fd)

    def _files(self) -> list[Path]:
        return list(self._folder.glob(f"edge-{self._camera}-*.jsonl"))

    def _delete_old(self) -> None:
        if self._config.keep_days is None or self._fixed is not None:
            return
        oldest = time.time() - self._config.keep_days * _DAY_S
        for path in self._folder.glob(f"edge-{self._camera}-*.jsonl*"):
            try:
                if path != self._path and path.stat().st_mtime < oldest:
                    path.unlink()
                    log.info("log_deleted", file=str(path), keep_days=self._config.keep_days)
            except OSError as error:
                log.warning("log_not_deleted", file=str(path), error=error.strerror)


def repair(path: Path) -> int:
    """Move what follows the last line end to ``PATH.torn`` and cut it off. Returns the number of bytes moved.

    Raises:
        UserError: a living process writes the file.
        OSError: it can't be read or written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        _lock(fd, path)
        size = os.fstat(fd).st_size
        keep = _after_last_newline(fd, size)
        if keep == size:
            return 0
        torn = os.open(f"{path}.torn", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            for start in range(keep, size, _BLOCK_BYTES):
                _write_all(torn, os.pread(fd, min(_BLOCK_BYTES, size - start), start))
            os.fsync(torn)
        finally:
            os.close(torn)
        os.ftruncate(fd, keep)
        os.fsync(fd)
    finally:
        os.close(fd)
    log.warning("log_repaired", file=str(path), torn_bytes=size - keep)
    return size - keep


def read_records(path: Path, counts: MutableMapping[str, int] | None = None) -> Iterator[dict[str, Any]]:
    """The inspections and skips of one log file, in its order; headers are left out.

    A last line without its end is never read: it may be half a record. ``counts`` gets ``torn`` (0 or 1) and
    ``unreadable``: lines that are no message of this schema.

    Raises:
        OSError: the file can't be read.
    """
    counts = {} if counts is None else counts
    counts.update(torn=0, unreadable=0)
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                counts["torn"] = 1
                return
            try:
                message = read(line)
            except WireError:
                counts["unreadable"] += 1
                continue
            if message["kind"] in ("inspection", "skip"):
                yield message


def _write_all(fd: int, data: bytes) -> None:
    """One ``write``; more only where that one was short: a signal, a disk about to be full."""
    while data:
        data = data[os.write(fd, data) :]


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"outputs.jsonl: {path}: another process writes this log",
            fix="stop that one first, or give this one another folder",
            exit_code=6,
        ) from None


def _after_last_newline(fd: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(end - _BLOCK_BYTES, 0)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
