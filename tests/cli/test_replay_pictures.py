"""Which pictures ``edge replay`` draws, and what it says to choices that mean nothing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from support.lines import loaded
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import UserError

HIGH = "regions.threshold={high: 0.5, low: 0.4}"


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with cam1.yaml, its bundle, and two good and three spotted pictures under pictures/."""
    loaded(tmp_path)
    (tmp_path / "pictures").mkdir()
    for index in range(5):
        pixels = np.full((64, 64), 50, np.uint8)
        pixels[10:20, 30:40] = 50 if index < 2 else 250
        assert cv2.imwrite(str(tmp_path / "pictures" / f"{index}.png"), pixels)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def replay(*options: str, out: str = "out") -> Result:
    words = ["replay", "pictures", "-c", "cam1.yaml", "--set", HIGH, "--out", out, *options]
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, words)


def drawn(folder: Path) -> list[str]:
    return sorted(f"{path.name[:8]}{path.suffix}" for path in folder.iterdir() if path.suffix != ".txt")


def test_a_heat_map_is_laid_over_what_does_not_pass_as_jpeg(line: Path) -> None:
    result = replay("--heatmap")
    assert result.exit_code == 0, result.output
    assert drawn(line / "out" / "overlays") == ["00000002.jpg", "00000003.jpg", "00000004.jpg"]
    assert replay("--overlays", out="plain").exit_code == 0
    hot, plain = (cv2.imread(str(next((line / folder / "overlays").glob("00000002-*")))) for folder in ("out", "plain"))
    assert hot.shape == plain.shape
    assert np.abs(hot.astype(int) - plain).max() > 60


def test_only_some_verdicts_and_at_most_so_many_of_a_kind_exactly(line: Path) -> None:
    result = replay("--overlays", "--explain", "--only", "fail", "--limit", "2", "--png")
    assert drawn(line / "out" / "overlays") == drawn(line / "out" / "explain") == ["00000002.png", "00000003.png"]
    assert "overlays: out/overlays (2 pictures, 1 more not drawn: --limit)" in result.output
    assert replay("--overlays", "--only", "pass", out="good").exit_code == 0
    assert drawn(line / "good" / "overlays") == ["00000000.jpg", "00000001.jpg"]


def test_only_what_changed(line: Path) -> None:
    assert replay().exit_code == 0
    more = ["--set", "regions.min_area_px=200", "--against", "out/records.jsonl", "--explain", "--only", "changed"]
    assert replay(*more, out="now").exit_code == 0
    assert drawn(line / "now" / "explain") == drawn(line / "now" / "changed") == [f"0000000{k}.jpg" for k in (2, 3, 4)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            ["--only", "fail"],
            "--only: no pictures were asked for\n  expected: with --overlays, --heatmap, --explain, --masks or --against",
        ),
        (
            ["--limit", "3"],
            "--limit: no pictures were asked for\n  expected: with --overlays, --heatmap, --explain, --masks or --against",
        ),
        (
            ["--overlays", "--only", "changed"],
            "--only changed: changed since when?\n  expected: with --against OLD.jsonl",
        ),
        (["--overlays", "--range", "0,1"], "--range: no map is drawn\n  expected: with --explain or --heatmap"),
        (
            ["--explain", "--range", "0.45,1"],
            "--range: leaves out a threshold in force\n  received: 0.45,1\n  expected: LOWEST,HIGHEST around 0.5, 0.4\n"
            "  fix: widen it, or leave it out: the colours go from 0 to twice high",
        ),
    ],
)
@pytest.mark.usefixtures("line")
def test_choices_that_mean_nothing_are_refused(options: list[str], text: str) -> None:
    result = replay(*options)
    assert isinstance(result.exception, UserError)
    assert str(result.exception) == text
