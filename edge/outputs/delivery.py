"""Every call into a sink goes through a delivery: a failure becomes a fault, and is mended if the sink can."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import structlog

from edge.errors import UserError, text_of
from edge.frames import Record
from edge.outputs.sink import Sink

log = structlog.get_logger()

RETRY_S = 1.0
"""Time in s between two attempts to mend a broken sink."""


class Delivery:
    """A delivery calls a sink in its output's thread. The judge may call ``note`` and ``tell``, and anyone may read
    anything.
    """

    def __init__(self, sink: Sink) -> None:
        self.fault: str | None = None
        """What a call raised last, until a record is written."""
        self.failures = 0
        self.last_fault: str | None = None
        self.lost = 0
        """Number of records that could not be written."""
        self.broken = False
        """True while nothing is written because the sink has not recovered."""
        self.closing = False
        self.lock = threading.Lock()
        """Held to end a call, and by whoever acts because a call doesn't end."""
        self._sink = sink
        self._call_since: float | None = None
        self._trouble_seen: str | None = None
        self._retry_at = 0.0

    def write(self, record: Callable[[], Record], kept: Any) -> bool:
        """Write one record; if that breaks the sink and it can be mended at once, write it again. Return False if it is
        lost.

        ``record`` is called for the record before each attempt.
        """
        # a reopen right after the failure may save this very record
        written = self._written(record, kept) or (self.broken and self._written(record, kept))
        if written:
            self.fault = None
        else:
            self.lose(kept)
        return written

    def lose(self, kept: Any) -> None:
        """Count a record as lost, and let the sink take back what it kept for it."""
        self.lost += 1
        if kept is not None:
            self.attempt(self._sink.discard, kept)

    def look_around(self) -> None:
        """Mend the sink if that is due, and let it look around itself."""
        if self.broken and self._usable():
            self.fault = None
        if not self.broken:
            self.attempt(self._sink.idle)

    def attempt(self, call: Callable[..., None], *args: object) -> bool:
        """Call the sink. Return False if it raised; that error is then its fault."""
        self._call_since = time.monotonic()
        try:
            call(*args)
        except Exception as error:  # noqa: BLE001  (no sink ends its thread)
            self.note(error)
            self.broken = self._sink.recovers
            return False
        finally:
            with self.lock:
                self._call_since = None
            self._look_at_trouble()
        return True

    def stalls(self, limit_s: float) -> bool:
        """Return True if a call has not returned for longer than that."""
        since = self._call_since
        return since is not None and time.monotonic() - since > limit_s

    def note(self, error: Exception) -> None:
        """Make an error the present fault."""
        text = text_of(error)
        news = text != self.fault
        self.fault = text  # before anything else can fail
        if not news:
            return
        self.tell(text)
        unexpected = not isinstance(error, (OSError, UserError))
        # the supervisor logs every fault, but not where in the code it came from, and not once we are being closed
        if unexpected or self.closing:
            log.warning("output_failed", output=self._sink.name, error=text, exc_info=unexpected)

    def tell(self, fault: str) -> None:
        """Report that a fault began, so that the supervisor, who looks ten times a second, hears of it even if it is over
        by then.
        """
        with self.lock:  # the judge tells, too
            self.last_fault = fault
            self.failures += 1

    def _written(self, record: Callable[[], Record], kept: Any) -> bool:
        return self._usable() and self.attempt(self._sink.write, record(), kept)

    def _usable(self) -> bool:
        """Return True if the sink works, after an attempt to mend it where one is due."""
        if self.broken and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + RETRY_S
            self.broken = False
            self.attempt(self._sink.recover)
        return not self.broken

    def _look_at_trouble(self) -> None:
        trouble = self._sink.trouble
        if trouble is not None and trouble != self._trouble_seen:
            self.tell(trouble)
        self._trouble_seen = trouble
