"""A worker of the page ends with the page, also with one that was gone before the worker could ask to be ended with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support.waits import PATIENCE_S


def test_an_indexer_whose_page_ended_while_it_was_starting_ends_by_itself(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait(PATIENCE_S)
    command = [sys.executable, "-m", "edge.web.logs.indexer", str(gone.pid), str(tmp_path)]
    assert subprocess.run(command, timeout=PATIENCE_S, check=False).returncode == 0
    assert not list(tmp_path.iterdir()), "it had not begun to work"
