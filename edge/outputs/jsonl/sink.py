"""The log holds records as one JSON line each, written with one ``write`` to a file opened for appending.

Measured (ext4, 400-byte records): ``write`` 2 us; ``fdatasync`` 1.5 to 9 ms, so by default it runs once a second. After a
sync that failed a record may stand twice, with the same ``instance_id`` and ``seq``: it is written again to a new file.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from edge.config.outputs import JsonlConfig
from edge.errors import UserError, may_pass
from edge.frames import Inspection, Record, RunIdentity, State
from edge.outputs.jsonl.repair import repair
from edge.outputs.jsonl.retention import ClosedSegments
from edge.outputs.protocol import MakeArchive, Run
from edge.outputs.sink import Sink
from edge.storage.archive import archive
from edge.storage.disk import Reserve, lock, make_folders, sync_folder, why_unwritable, write_all, written_by_another
from edge.storage.log_files import PLAIN, segment_name
from edge.wire.encode import Wire

log = structlog.get_logger()

_DAY_S = 86400
_LOOK_S = 1.0
"""Time in s between two looks at the free space of the disk."""
_ARCHIVE_AGAIN_S = 60.0
_SHORTEST_WAIT_S = 0.01
_FULL = (errno.ENOSPC, errno.EDQUOT)


class JsonlSink(Sink):
    """The sink writes files ``edge-CAMERA-START-N.jsonl`` into ``folder``; START is the first moment (UTC), N counts within
    the run.

    A new file is begun at ``rotate_mb``, at each UTC day and after a failure; each begins with a header record.
    ``ClosedSegments`` looks after closed files. Last lines that crashes tore are moved aside at ``open``, and the header of
    the new file says so.
    """

    name = "jsonl"

    def __init__(
        self,
        config: JsonlConfig,
        folder: Path,
        identity: RunIdentity,
        *,
        path: Path | None = None,
        archive: MakeArchive | None = None,
    ) -> None:
        """Take the folder; with ``path`` write this one file instead, never rotated, nothing deleted. ``archive`` as in
        ``made_by``.
        """
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
        self._torn_bytes = 0
        self._drift: Mapping[str, Any] | None = None
        """The drift at the last record of this file."""
        self._block: Mapping[str, Any] | None = None
        """The block of measured frames that was written last."""
        self._unmended: set[Path] = set()
        self._room = Reserve(self._folder, config.min_free_gb if path is None else 0.0)
        self._look_at = 0.0
        self._closed = ClosedSegments(config, self._folder, identity.camera)
        self._archives: deque[tuple[RunIdentity, MakeArchive | None]] = deque([(identity, archive)])
        self._archive_at = 0.0
        self.required = config.audit_required
        self.leads = config.sync == "each" or config.audit_required  # nobody acts on what isn't in the log

    @classmethod
    def of(cls, config: JsonlConfig, run: Run) -> JsonlSink:
        """Make the log of a live line."""
        return cls(config, config.dir, run.identity, archive=partial(archive, run.texts, run.identity))

    @property
    def idle_s(self) -> float:
        """Return the time in s until the next sync is due, a second at most."""
        longest = min(self._config.sync_interval_s, 1.0)
        if self._config.sync != "interval" or not self._dirty:
            return longest
        return min(max(self._sync_at - time.monotonic(), _SHORTEST_WAIT_S), longest)

    @property
    def detail(self) -> Mapping[str, object]:
        return {"file": None if self._path is None else str(self._path), "compression_stopped": self._closed.low}

    @property
    def counters(self) -> Mapping[str, int]:
        return {"files_compressed": self._closed.compressed, "files_deleted": self._closed.deleted}

    @property
    def free_bytes(self) -> int | None:
        return self._room.free_bytes

    def made_by(self, identity: RunIdentity, archive: MakeArchive | None) -> None:
        """Note that records come from another config, model or calibration from about now on. Any thread may call this.

        The next header says so, and ``archive`` is called with the folder in this sink's own thread, again until it
        raises no OSError.
        """
        self._archives.append((identity, archive))

    def open(self) -> None:
        """Make the folder, mend what was torn, begin a new file.

        Raises:
            UserError: the folder can't be made or written to, or another process writes this camera's log.
            OSError: the disk is full or fails; ``recover`` may succeed later.
        """
        try:
            self._start()
        except OSError as error:
            if may_pass(error):
                raise
            raise UserError(
                f"outputs.jsonl: {self._fixed or self._folder}: the log cannot be written",
                received=why_unwritable(self._folder) or (os.strerror(error.errno) if error.errno else error),
                expected="a folder that this user may write",
                fix="choose another folder, or change its owner",
            ) from None

    def write(self, record: Record, _kept: object) -> None:
        line = self._drift_line(record) + record.line + b"\n"
        self._look()
        if self._fixed is None and (
            self._size + len(line) > self._config.rotate_mb * 1_000_000 or time.time() // _DAY_S != self._day
        ):
            self._rotate()
            line = self._drift_line(record) + record.line + b"\n"
        self._append(line)
        self._drift = self._drift_of(record)
        if self._config.sync == "each":
            self._sync()

    def state(self, state: State) -> None:
        """Write the newest block of measured frames, once: the course of a line's statistics over weeks. What a replay
        writes depends on its frames alone, so it has none.
        """
        if state.drift_block in (None, self._block) or self._fd is None or self._fixed is not None:
            return
        assert state.drift_block is not None
        self._look()
        self._append(self._wire.drift_block(state.drift_block, time.time_ns()) + b"\n")
        self._block = state.drift_block

    def _drift_line(self, record: Record) -> bytes:
        """Return a line before the record if another drift is in force than at the one before, or in a new file any;
        otherwise nothing. Its place among the records depends on the frames alone.
        """
        if _transition(self._drift_of(record)) == _transition(self._drift):
            return b""
        return self._wire.drift(record.seq, self._drift_of(record), time.time_ns()) + b"\n"

    def _drift_of(self, record: Record) -> Mapping[str, Any] | None:
        """Return the drift in force; a loss says nothing of it."""
        return record.body.drift if isinstance(record.body, Inspection) else self._drift

    def idle(self) -> None:
        """Sync and archive when it is time to."""
        self._look()
        self._archive()
        if self._config.sync == "interval" and self._dirty and time.monotonic() >= self._sync_at:
            self._sync()

    def recover(self) -> None:
        """Go on in a new file, because after a failed sync the kernel may have dropped what the old one should hold."""
        with suppress(OSError):  # what was written before the trouble is worth a try
            self._finish()
        self._start()

    def close(self) -> None:
        try:
            self._archive_at = 0.0
            self._archive()
            self._finish()
        finally:
            self._closed.close(0.2)

    def _finish(self) -> None:
        if self._fd is None:
            return
        try:
            if self._dirty and self._config.sync != "none":
                os.fdatasync(self._fd)
        finally:
            self._abandon()

    def _rotate(self) -> None:
        self._finish()
        self._begin()

    def _start(self) -> None:
        self._room.check()
        make_folders(self._folder)
        self._mend()
        self._begin()

    def _mend(self) -> None:
        """Mend every file at first, because with a clock that was set back the torn one need not have the newest name.

        Later only the file that was written last is mended. What can't be mended stays torn, except on a full disk, which
        passes.
        """
        last = self._fixed or self._path
        for path in [last] if last else sorted(self._folder.glob(f"edge-{self._camera}-*{PLAIN}")):
            try:
                self._torn_bytes += repair(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno in _FULL or path == self._fixed:
                    raise
                if path not in self._unmended:
                    self._unmended.add(path)
                    log.warning("log_not_repaired", file=str(path), error=error.strerror)

    def _look(self) -> None:
        """Raise OSError ENOSPC while the disk is too full, whoever filled it."""
        now = time.monotonic()
        if now >= self._look_at or self._room.low:
            self._look_at = now + _LOOK_S
            self._room.check()

    def _archive(self) -> None:
        """Archive the texts behind the records; a failure is tried again in a minute, because records are worth more."""
        while self._archives and time.monotonic() >= self._archive_at and self._fd is not None:
            identity, archive = self._archives[0]
            self._wire = Wire(identity)
            try:
                if archive is not None:
                    archive(self._folder)
            except OSError as error:
                log.warning("not_archived", dir=str(self._folder), error=error.strerror)
                self._archive_at = time.monotonic() + _ARCHIVE_AGAIN_S
                return
            self._archives.popleft()

    def _begin(self) -> None:
        now = time.time()
        path, fd = self._create(now)
        try:
            lock(fd, partial(written_by_another, path, "outputs.jsonl", "this log"))
            self._fd, self._path, self._size, self._day = fd, path, os.fstat(fd).st_size, int(now // _DAY_S)
            self._append(self._wire.header(time.time_ns(), self._torn_bytes) + b"\n")
            if self._config.sync != "none":
                self._sync()
                sync_folder(self._folder)
            self._number += 1
            self._torn_bytes = 0
            self._drift = None
        except BaseException:
            self._fd = None
            os.close(fd)
            if self._fixed is None:
                path.unlink(missing_ok=True)  # or a full disk would gather one empty file a second
            raise
        if self._fixed is None:
            self._closed.poke(path)

    def _create(self, now: float) -> tuple[Path, int]:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        if self._fixed is not None:
            return self._fixed, os.open(self._fixed, flags, 0o640)
        start = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        while True:
            path = self._folder / segment_name(self._camera, start, self._number)
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
            write_all(self._fd, line)
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


def _transition(drift: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    """What a change of is worth a line: level, causes and locks; a size that moves with each block isn't."""
    if drift is None:
        return None
    return drift["level"], tuple(cause["cause"] for cause in drift["causes"]), tuple(drift["locks"])
