"""The audit log has one JSON line for each log-in, failed log-in, log-out, export, recording opened for tuning, and account
or token added or revoked: when, who, from where, what.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Final

import orjson
import structlog

from edge.web.doors.private_file import open_private

FILE: Final = "audit.jsonl"
MOST_BYTES: Final = 16 << 20
"""At this size the file becomes ``audit.1.jsonl``, and a new one begins."""
log = structlog.get_logger()


class AuditLog:
    """The audit log is written by any thread; a disk that refuses it is reported and hinders nobody."""

    def __init__(self, folder: Path) -> None:
        self._path, self._lock = folder / FILE, threading.Lock()

    def note(self, event: str, who: str, peer: str, **values: object) -> None:
        """Append one line; ``values`` are plain data and never secrets."""
        line = orjson.dumps({"time_ns": time.time_ns(), "event": event, "who": who, "peer": peer, **values}) + b"\n"
        with self._lock:
            try:
                fd = open_private(self._path, os.O_WRONLY | os.O_APPEND)
                if os.fstat(fd).st_size > MOST_BYTES:
                    os.close(fd)
                    self._path.replace(self._path.with_name("audit.1.jsonl"))
                    fd = open_private(self._path, os.O_WRONLY | os.O_APPEND)
                try:
                    os.write(fd, line)
                finally:
                    os.close(fd)
            except OSError as error:
                log.warning("audit_not_written", file=str(self._path), error=error.strerror)

    def newest(self, count: int) -> list[dict[str, object]]:
        """Return the last lines, newest first."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - count * 400))
                lines = file.read().split(b"\n")
        except OSError:
            return []
        return [dict(orjson.loads(line)) for line in reversed(lines) if line.startswith(b"{") and line.endswith(b"}")][
            :count
        ]
