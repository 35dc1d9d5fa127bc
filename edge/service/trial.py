"""A model is tried in a process of its own before a running daemon takes it up.

What never returns, or takes all memory, would stay inside the daemon until its restart: a thread can't be ended, and the
kernel's out-of-memory killer chooses the process that inspects.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import orjson

from edge.config.load import Loaded, load_config
from edge.errors import ExitCode, UserError
from edge.line.open_watch import open_watched

TRIAL_S = 300.0
"""Time in s for a model to load and to give its first map. A TensorRT engine may have to be built first."""
_MOST = 0.8
"""Share of the memory that is free now that the trial may take."""


def try_model(loaded: Loaded, timeout_s: float = TRIAL_S) -> None:
    """Open the config's model elsewhere, at the lowest priority.

    Raises:
        UserError: it can't be opened, takes too long, or more memory than there is.
    """
    command = [sys.executable, "-m", "edge.service.trial", str(loaded.path), orjson.dumps(loaded.overrides).decode()]
    what = f"{loaded.config.model.bundle}: tried in a process of its own, the model"
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{what} gave no map within {timeout_s:g} s", fix="edge check shows how long it takes") from None
    except OSError as error:
        raise UserError(f"{what} could not be tried: {error.strerror}", passes=True) from None
    if done.returncode == ExitCode.CONFIG:
        raise UserError(done.stderr.strip() or f"{what} was refused")
    if done.returncode != ExitCode.OK:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        raise UserError(
            f"{what} ended its process", received=f"{how}: {last}", fix="it may need more memory than this machine has left"
        )


def run_trial(path: str, overrides: str) -> int:
    """Run the trial, in the process of its own."""
    os.nice(19)
    _limit_memory()
    try:
        loaded = load_config(Path(path), orjson.loads(overrides))
        open_watched(loaded)[0].close()
    except UserError as error:
        print(error, file=sys.stderr)
        return ExitCode.CONFIG
    return ExitCode.OK


def _limit_memory() -> None:
    """Limit RLIMIT_DATA, which counts what is private and writable; CUDA reserves address space far beyond what it
    takes.
    """
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text("ascii").splitlines())
    most = int(int(fields["MemAvailable"].split()[0]) * 1024 * _MOST)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    sys.exit(run_trial(*sys.argv[1:]))
