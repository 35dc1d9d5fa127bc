"""A crash may leave half a line at the end of a log file; it is moved aside, so that the file ends with a whole one."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import structlog

from edge.storage.disk import lock, write_all, written_by_another

log = structlog.get_logger()

_BLOCK_BYTES = 1 << 16


def repair(path: Path) -> int:
    """Move what follows the last line end to ``PATH.torn`` and cut it off. Returns the number of bytes moved.

    Raises:
        UserError: a living process writes the file.
        OSError: it can't be read or written.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        lock(fd, partial(written_by_another, path, "outputs.jsonl", "this log"))
        size = os.fstat(fd).st_size
        keep = _after_last_newline(fd, size)
        if keep == size:
            return 0
        torn = os.open(f"{path}.torn", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            for start in range(keep, size, _BLOCK_BYTES):
                write_all(torn, os.pread(fd, min(_BLOCK_BYTES, size - start), start))
            os.fsync(torn)
        finally:
            os.close(torn)
        os.ftruncate(fd, keep)
        os.fsync(fd)
    finally:
        os.close(fd)
    log.warning("log_repaired", file=str(path), torn_bytes=size - keep)
    return size - keep


def _after_last_newline(fd: int, size: int) -> int:
    end = size
    while end > 0:
        start = max(end - _BLOCK_BYTES, 0)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
