"""``edge run`` on a terminal shows a live table and ends with a sum; ``--log`` brings the lines back."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from support.lines import loaded
from support.terminals import OnTerminal


def test_a_terminal_shows_a_table_and_a_sum_at_the_end(tmp_path: Path) -> None:
    loaded(tmp_path, "source.fps=20")
    run = ("run", "-c", "cam1.yaml", "--set", "source={kind: synthetic, width: 64, height: 64, fps: 20}")
    with closing(OnTerminal(tmp_path, *run)) as line:
        line.wait_until(lambda: "verdicts" in line.text)
        line.press_ctrl_c()
        assert line.code() == 0
        told = line.text.splitlines()
    sums = next(text for text in told if text.startswith("stopped: "))
    announced, accounted = re.findall(r"(\d+) (?:frames announced|accounted for)", sums)
    assert announced == accounted
    after = "".join(told).split("camera cam1", 1)[1]
    assert "fault_over" not in after
    assert "announced=" not in after


def test_lines_are_asked_for_by_name(tmp_path: Path) -> None:
    loaded(tmp_path)
    with closing(OnTerminal(tmp_path, "run", "-c", "cam1.yaml", "--log")) as line:
        assert line.code() == 0  # 50 frames
        assert "stopped" in line.text
        assert "announced=50" in line.text
        assert "frames/s" not in line.text
