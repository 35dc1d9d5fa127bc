"""A worker makes itself the last in every queue: a line that runs beside it doesn't notice it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
from pathlib import Path
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
_IDLE_CLASS: Final = 3 << 13


def be_the_last(memory_mb: int) -> None:
    """Run under SCHED_IDLE and idle I/O, be the first to be killed for memory, and take at most ``memory_mb``.

    Two workers at normal priority left a line's engine 12 to 23 % of its speed, under SCHED_IDLE all of it.
    """
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, 1, 0, _IDLE_CLASS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    limit = memory_mb << 20
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard in (resource.RLIM_INFINITY,) or hard > limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
