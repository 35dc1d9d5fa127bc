"""A worker process takes what the lines leave: SCHED_IDLE, idle I/O, first to go when memory is short."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
_IOPRIO_WHO_PROCESS, _IOPRIO_IDLE = 1, 3 << 13
_PR_SET_PDEATHSIG: Final = 1


def become_idle(started_by: int | None = None) -> None:
    """Give this process the lowest claim on cores, disk and memory, and end it with the one that started it.

    ``started_by`` is that process: if it has ended already, before it could be asked for, this one ends at once.

    nice 19 still left a line's engine 79 % of its speed beside two busy loops, SCHED_IDLE all of it (medians of five
    ratios on two cores). What the kernel refuses is left as it is.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    libc = ctypes.CDLL(None, use_errno=True)
    number = _IOPRIO_SET.get(os.uname().machine)
    if number is not None:
        libc.syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if started_by is not None and os.getppid() != started_by:
        sys.exit(0)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
