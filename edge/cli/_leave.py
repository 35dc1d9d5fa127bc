"""How a command is interrupted, and how its process ends: Ctrl-C is answered at once, and no end is an abort."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

from edge.line.stop_sign import StopFlag
from edge.service.logs import drain_logs

_SAID = b"stopping\n"


def stop_on_signals() -> StopFlag:
    """Return a flag that SIGINT and SIGTERM set; the first of them says ``stopping`` on standard error at once.

    What has begun is finished, so that all files are whole, which may take seconds.
    """
    stop = StopFlag()

    def heard(_number: int, _frame: object) -> None:
        if not stop.is_set():
            stop.set()
            with contextlib.suppress(OSError):
                os.write(2, _SAID)  # print would break into a line that is being printed

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, heard)
    return stop


def leave(code: int) -> None:
    """End the process with this exit code.

    A thread that is still in a native call (a picture being written, a model running) would come back into an interpreter
    that is being torn down, which aborts; so with such a thread nothing is torn down.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main = threading.main_thread()
    if all(thread is main or not thread.daemon for thread in threading.enumerate()):
        sys.exit(code)
    drain_logs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # ValueError: it is closed
            stream.flush()
    os._exit(code)
