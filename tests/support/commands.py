"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.waits import PATIENCE_S


def edge(folder: Path, *arguments: str | Path, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """One command, run in ``folder``."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    assert "Traceback" not in result.stderr, result.stderr
    return result
