"""Closed files of a log are compressed, and deleted by age and size, by a thread that gives way to everything else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog
import zstandard

from edge.config.outputs import JsonlConfig
from edge.errors import UserError
from edge.outputs.jsonl.age import TooOld
from edge.storage.compressed_frames import FRAME_BYTES, compressed, verified_bytes, whole_lines
from edge.storage.disk import Reserve, limit_bytes, lock, open_regular, sync_folder, written_by_another
from edge.storage.log_files import PLAIN, segments

log = structlog.get_logger()

RETENTION_EVERY_S = 60.0
"""Time in s between two rounds, besides one after each rotation: files grow old and disks fill without one."""
_PAUSE_S = 0.02
"""Pause in s after each frame: at most 50 MB/s are read, so that the log's own sync doesn't wait behind ours."""


class ClosedSegments:
    """Retention looks after all of the log's files but the one being written, which ``poke`` names. Failures are logged and
    retried.

    The first round deletes what the quota says, even where ``close`` follows at once; by age nothing goes before an hour.
    """

    def __init__(self, config: JsonlConfig, folder: Path, camera: str) -> None:
        self._config = config
        self._folder = folder
        self._camera = camera
        self._open: Path | None = None
        self._room = Reserve(folder, config.compress_min_free_gb)
        self._poked = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failed: set[Path] = set()
        self._too_old = TooOld(config.keep_days)
        self.compressed = 0
        self.deleted = 0
        self.low = False
        """True while nothing is compressed because there is too little room."""

    def poke(self, being_written: Path) -> None:
        """Look at the files before a new one that was begun."""
        self._open = being_written
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="log-closed", daemon=True)
            self._thread.start()
        self._poked.set()

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop. A copy that isn't finished is given up; the next start makes it anew."""
        self._stop.set()
        self._poked.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def round(self) -> None:
        """Delete what is too old or too much, then compress the rest. Raises OSError if the folder can't be read."""
        self._delete()
        if self._config.compress:
            self._compress()

    def _run(self) -> None:
        with suppress(OSError):  # of this thread alone; refused by a strict sandbox
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        while True:
            self._poked.wait(RETENTION_EVERY_S)
            self._poked.clear()
            try:
                self.round()
            except OSError as error:
                log.warning("log_not_tidied", dir=str(self._folder), error=error.strerror)
            if self._stop.is_set():
                return

    def _delete(self) -> None:
        config = self._config
        limit = limit_bytes(self._folder, config.quota_gb, config.quota_percent)
        files = list(self._with_stat())
        used = sum(stat.st_size for _, stat in files)
        too_old = self._too_old.of((path, stat.st_mtime) for path, stat in files if path != self._open)
        for path, stat in files:
            old, too_much = path in too_old, limit is not None and used > limit
            if path == self._open or not (old or too_much):
                continue
            try:
                path.unlink()
            except OSError as error:
                log.warning("log_not_deleted", file=str(path), error=error.strerror)
                continue
            used -= stat.st_size
            self.deleted += path.suffix != ".torn"
            log.info("log_deleted", file=str(path), why="keep_days" if old else "quota")

    def _with_stat(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield what belongs to the log with its size and time; what a damaged disk tells nothing of is left out."""
        for path in self._all():
            try:
                yield path, path.lstat()
            except OSError as error:
                log.warning("log_not_looked_at", file=str(path), error=error.strerror)

    def _all(self) -> list[Path]:
        """Return everything that belongs to this camera's log, oldest first."""
        return sorted(self._folder.glob(f"edge-{self._camera}-*{PLAIN}*"))

    def _compress(self) -> None:
        for path in segments(self._folder, self._camera):
            if self._stop.is_set():
                return
            if path == self._open or path.suffix == ".zst" or path in self._failed:
                continue
            if not self._has_room():
                return
            try:
                self._compress_one(path)
            except zstandard.ZstdError as error:  # the disk gave back something else than was written
                self._failed.add(path)
                log.warning("log_not_compressed", file=str(path), error=str(error))

    def _has_room(self) -> bool:
        low = not self._room.look()
        if low != self.low:
            self.low = low
            log.warning("log_compression", stopped=low, free_bytes=self._room.free_bytes)
        return not low

    def _compress_one(self, path: Path) -> None:
        """Compress one file; the original is deleted only when the copy is on the disk and proven to hold the same."""
        packed = path.with_name(path.name + ".zst")
        temporary = packed.with_name(packed.name + ".tmp")
        fd = open_regular(path, os.O_RDWR)  # flock over NFS wants the right to write
        try:
            lock(fd, partial(written_by_another, path, "outputs.jsonl", "this log"))
            if not self._pack(fd, temporary):
                return
            stat = os.fstat(fd)
            os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # keep_days counts from the last record
            temporary.replace(packed)
            sync_folder(self._folder)
            path.unlink()
            self.compressed += 1
        except UserError:  # another process writes it: not closed at all
            return
        finally:
            os.close(fd)
            temporary.unlink(missing_ok=True)

    def _pack(self, fd: int, to: Path) -> bool:
        """Pack a file; return False if ``close`` came first. Raises ZstdError if the copy doesn't hold the same."""
        size = os.fstat(fd).st_size
        blocks = (os.pread(fd, min(FRAME_BYTES, size - start), start) for start in range(0, size, FRAME_BYTES))
        with to.open("wb") as out:
            for lines in whole_lines(blocks):
                out.write(compressed(lines))
                if self._stop.wait(_PAUSE_S):
                    return False
            out.flush()
            os.fsync(out.fileno())
        with to.open("rb") as copy:
            if verified_bytes(copy) != size:
                raise zstandard.ZstdError("what was read back is not what was written")
        return True
