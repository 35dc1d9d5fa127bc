"""The daemon handles signals here: handlers set flags and take no lock."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from edge.line.stop_sign import StopFlag

AGAIN_S = 1.0
"""Time in s within which another SIGTERM is the same wish again."""


@contextmanager
def signals(stop: StopFlag, reload: Callable[[], object]) -> Iterator[None]:
    """Let SIGTERM and SIGINT set ``stop``; another one a second later ends the process at once. SIGHUP asks for a reload.

    Sooner it is the same wish again: ``timeout`` and process supervisors signal a process and its group. Handlers are put
    back afterwards, unless a signal stopped the line: the same wish, heard once more while the process ends, must not
    kill it.
    """
    stopped_at = 0.0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal stopped_at
        if not stop.is_set():
            stopped_at = time.monotonic()
        elif time.monotonic() - stopped_at >= AGAIN_S:
            os._exit(128 + number)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: reload())
    try:
        yield
    finally:
        for number, handler in before.items():
            if not stopped_at or number == signal.SIGHUP:
                signal.signal(number, handler)
