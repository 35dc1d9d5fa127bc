"""The command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support.waits import PATIENCE_S
from support.warm import WarmEdge


def edge(folder: Path, *arguments: object, timeout: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """One command, run in ``folder``, on a terminal of 200 columns."""
    process = WarmEdge(
        [str(word) for word in arguments], cwd=folder, env=os.environ | {"COLUMNS": "200"}, stderr=subprocess.PIPE
    )
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode is not None
    assert "Traceback" not in err, err
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
