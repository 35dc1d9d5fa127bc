"""A replay of labelled folders counts by class what was caught, missed and rejected for nothing, before and now."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from rich.console import Console
from support.commands import edge
from support.lines import loaded

THRESHOLD = ("--set", "regions.threshold={high: 0.5}")


def save(path: Path, *spots: int) -> None:
    """A grey picture with a spot of 10 px by 10 px for each value."""
    pixels = np.full((64, 64), 50, np.uint8)
    for index, value in enumerate(spots):
        pixels[10:20, 5 + 20 * index : 15 + 20 * index] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


@pytest.fixture
def line(tmp_path: Path) -> Path:
    loaded(tmp_path)
    save(tmp_path / "set" / "good" / "0.png")
    save(tmp_path / "set" / "good" / "1.png", 150)
    save(tmp_path / "set" / "crack" / "0.png", 200)
    save(tmp_path / "set" / "crack" / "1.png")
    save(tmp_path / "set" / "dent" / "0.png", 150)
    return tmp_path


def table(text: str, first: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in text.splitlines() if row.startswith("│")]
    return [row for row in rows if row[0] == first]


def test_labels_of_folders_count(line: Path) -> None:
    result = edge(line, "replay", "set", "-c", "cam1.yaml", *THRESHOLD, "-o", "a")
    assert result.returncode == 0
    assert "labels of the folders" in result.stdout
    assert table(result.stdout, "good") == [["good", "2", "", "", "1", "0"]]
    assert table(result.stdout, "crack") == [["crack", "2", "1", "1", "", "0"]]
    assert table(result.stdout, "dent") == [["dent", "1", "1", "0", "", "0"]]


def test_against_says_before_and_now_and_names_what_was_lost(line: Path) -> None:
    replay = ["replay", "set", "-c", "cam1.yaml", "--set"]
    edge(line, *replay, "regions.threshold={high: 0.5}", "-o", "a")
    result = edge(line, *replay, "regions.threshold={high: 0.7}", "-o", "b", "--against", "a/records.jsonl")
    assert table(result.stdout, "good") == [["good", "2", "", "", "1 -> 0", "0", ""]]
    assert table(result.stdout, "crack") == [["crack", "2", "1", "1", "", "0", ""]]
    assert table(result.stdout, "dent") == [["dent", "1", "1 -> 0", "0 -> 1", "", "0", "1"]]
    assert table(result.stdout, "fail -> pass")[0][2] == "1 dent, 1 good"
    assert result.stdout.splitlines()[-1] == "1 defective frame that was caught is not any more: dent/0.png"
    told = orjson.loads(
        edge(line, *replay, "regions.threshold={high: 0.7}", "-o", "c", "--against", "a/records.jsonl", "--json").stdout
    )
    assert (told["frames"], told["verdicts"]) == (5, {"pass": 4, "fail": 1, "invalid": 0})
    assert told["labels"]["by"] == "the folders"
    assert told["labels"]["classes"][2] == {
        "class": "dent",
        "frames": 1,
        "now": {"caught": 0, "missed": 1, "no_verdict": 0},
        "before": {"caught": 1, "missed": 0, "no_verdict": 0},
        "newly_caught": [],
        "lost": ["dent/0.png"],
    }
    assert told["against"]["changes"] == [
        {"frame": "dent/0.png", "class": "dent", "before": "fail", "now": "pass"},
        {"frame": "good/1.png", "class": "good", "before": "fail", "now": "pass"},
    ]


def test_a_row_that_loses_defects_is_red(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from edge.cli import _console, _tables
    from edge.cli._replayed import classes_table
    from edge.report.classes import by_class
    from edge.report.compare import FrameOutcomes

    kinds = {"a": "good", "b": "crack", "c": "dent"}
    pairs = [
        FrameOutcomes("a", "fail", "pass", 0),
        FrameOutcomes("b", "fail", "pass", 1),
        FrameOutcomes("c", "pass", "fail", 2),
    ]
    console = Console(force_terminal=True, color_system="standard", width=100)
    monkeypatch.setattr(_console, "TextConsole", lambda **_: console)
    _tables.print_table(classes_table(by_class(pairs, kinds, compared=True), "labels", compared=True))
    red = [text for text in capsys.readouterr().out.splitlines() if "\x1b[1;31m" in text and "│" in text]
    assert len(red) == 1
    assert "crack" in red[0]


def test_labels_that_cannot_be_read_cost_no_replay(line: Path) -> None:
    (line / "set" / "labels.csv").write_text("name,class\n")
    result = edge(line, "replay", "set", "-c", "cam1.yaml", *THRESHOLD, "-o", "a")
    assert result.returncode == 0
    assert "note: labels are not counted: set/labels.csv: has no column file" in result.stderr
    assert table(result.stdout, "fail") == [["fail", "3"]]
