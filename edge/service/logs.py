"""Logging is set up once: readable on a terminal, one JSON line per event elsewhere, with the journal's priority."""

from __future__ import annotations

import os
import sys
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import Processor, WrappedLogger

from edge.service.log_lines import LogLines, write_error

_PRIORITY = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""Levels of sd-daemon(3): journald reads <4> at the start of a line as a warning."""


class _Unbreakable:
    """Standard error may be gone: what can't be written is dropped."""

    def write(self, text: str) -> int:
        write_error(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: it was flushed."""


_lines: LogLines | None = None


def drain_logs(timeout_s: float = 1.0) -> None:
    """Wait until what was logged is written, so long at most."""
    if _lines is not None:
        _lines.drain(timeout_s)


def set_up_logs(level: Literal["info", "warning"]) -> None:
    """Log to standard error, so that standard output stays the command's own.

    ``info`` for the daemon, whose lines a thread of its own writes; ``warning`` for commands that talk to a person by
    themselves.
    """
    global _lines
    if level == "info" and _lines is None:
        _lines = LogLines()
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if sys.stderr is not None and sys.stderr.isatty():
        last: list[Processor] = [structlog.dev.ConsoleRenderer()]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(), _with_priority]
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _lines or _Unbreakable())),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )


def _with_priority(_logger: WrappedLogger, method: str, line: Any) -> str:
    return f"<{_PRIORITY.get(method, 6)}>{line}" if os.environ.get("JOURNAL_STREAM") else line
