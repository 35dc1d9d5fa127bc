"""The evaluation of drift runs: its short form, whose figures mean nothing, gives the names that its page shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "eval_drift.py"


def test_the_evaluation_runs_to_its_figures() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--smoke", "--json"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    wanted = {"named_first", "named_group", "false_warning_runs", "detect_frames", "throughput_kept", "ms_per_frame"}
    assert wanted <= set(figures)
    assert figures["detect_frames"] > 0
