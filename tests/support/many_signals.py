"""Signals by the hundred reach a process whose main thread waits: ``python -m support.many_signals daemon|command NUMBER``.

It is a process of its own, for among the threads of a long test run a signal may come late, and end that.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from edge.cli._leave import stop_on_signals
from edge.line.stop_sign import StopFlag, StopSign
from edge.service import signals


@contextmanager
def daemon() -> Iterator[StopSign]:
    stop, asked = StopFlag(), []
    with signals.signals(stop, lambda: asked.append(1)):
        yield stop


@contextmanager
def command() -> Iterator[StopSign]:
    yield stop_on_signals()


def inside_a_wait(name: str, number: int) -> None:
    """Send 800 signals to this process, which is inside ``wait`` nearly always; print whether the flag is set then."""
    signals.AGAIN_S = 600.0
    over = threading.Event()

    def send() -> None:
        for _ in range(800):
            os.kill(os.getpid(), number)
            time.sleep(0.0001)
        over.set()

    thread = threading.Thread(target=send)
    with {"daemon": daemon, "command": command}[name]() as stop:
        thread.start()
        while not over.is_set():
            stop.wait(0.0002)
            time.sleep(0.00005)  # a flag that is set waits no more, and would leave the sender no time
        thread.join()
        print(stop.is_set(), flush=True)
        os._exit(0)  # at once: what is still on its way must not meet the handlers of before


if __name__ == "__main__":
    inside_a_wait(sys.argv[1], int(sys.argv[2]))
