"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def edge(folder: Path, *arguments: str | Path, timeout: float = 40) -> subprocess.CompletedProcess[str]:
    """One command, run in ``folder``."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    environment = os.environ | {"COLUMNS": "200"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout)
    assert "Traceback" not in result.stderr, result.stderr
    return result
