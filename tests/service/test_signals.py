"""Signals that come at any moment, and many at once, stop nothing but what they ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.waits import PATIENCE_S


@pytest.mark.parametrize(
    ("begun", "number", "stopped"),
    [("daemon", signal.SIGTERM, True), ("daemon", signal.SIGHUP, False), ("command", signal.SIGINT, True)],
    ids=["stop of a daemon", "reload of a daemon", "Ctrl-C of a command"],
)
def test_a_signal_inside_a_wait_is_no_deadlock(begun: str, number: signal.Signals, stopped: bool) -> None:
    """The main thread is inside ``wait`` nearly always. With an Event in the flag's place it stood after a few hundred."""
    command = [sys.executable, "-m", "support.many_signals", begun, str(int(number))]
    path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, sys.path)])
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"{stopped}\n"), done.stderr
