"""A worker takes what the lines leave, and ends with the page that started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import orjson
import pytest

ASKED = """
import ctypes, os, resource, sys
from pathlib import Path
import orjson
from edge.web.tuning.lowest import be_the_last

def refused(*_):
    raise PermissionError(1, "no other class here")

if sys.argv[1] == "refused":
    os.sched_setscheduler = refused
be_the_last(512)
ends_with = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(ends_with))  # PR_GET_PDEATHSIG
sys.stdout.buffer.write(orjson.dumps({
    "class": os.sched_getscheduler(0),
    "first_to_go": Path("/proc/self/oom_score_adj").read_text("ascii").strip(),
    "memory": resource.getrlimit(resource.RLIMIT_DATA)[0],
    "ends_with": ends_with.value,
}))
"""


@pytest.mark.parametrize(("kernel", "scheduler"), [("willing", os.SCHED_IDLE), ("refused", os.SCHED_OTHER)])
def test_a_worker_is_the_last_in_every_queue_as_far_as_the_kernel_lets_it(kernel: str, scheduler: int) -> None:
    done = subprocess.run([sys.executable, "-c", ASKED, kernel], capture_output=True, check=True)
    assert orjson.loads(done.stdout) == {
        "class": scheduler,
        "first_to_go": "1000",
        "memory": 512 << 20,
        "ends_with": signal.SIGKILL,
    }
