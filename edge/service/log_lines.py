"""Inspection outlives its log: standard error may be read by nobody, or be gone.

A journal on a dying disk, Ctrl-S on a terminal or a stopped ``| tee`` block whoever writes. So a thread of its own writes,
behind a queue with an end; what it has no room for is dropped, and counted.
"""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time

WAITING = 2000
"""Number of lines that may wait."""


class LogLines:
    """Log lines go to a file that never blocks and never raises. One line may come in several writes."""

    def __init__(self) -> None:
        self._queue: queue.Queue[str] = queue.Queue(WAITING)
        self._part = ""
        self._lock = threading.Lock()
        self._busy = False
        self.dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._part = (self._part + text).split("\n")
            for line in lines:
                try:
                    self._queue.put_nowait(line + "\n")
                except queue.Full:
                    self.dropped += 1
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread flushes."""

    def drain(self, timeout_s: float) -> None:
        """Wait until all is written, so long at most."""
        end = time.monotonic() + timeout_s
        while (self._busy or not self._queue.empty()) and time.monotonic() < end:
            time.sleep(0.005)

    def _run(self) -> None:
        reported = 0
        while True:
            line = self._queue.get()
            self._busy = True
            if self.dropped != reported:
                lost, reported = self.dropped - reported, self.dropped
                line = f'{{"event": "log_lines_dropped", "lines": {lost}}}\n{line}'
            write_error(line)
            self._busy = not self._queue.empty()


def write_error(text: str) -> None:
    """Write to standard error, if there is one."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
