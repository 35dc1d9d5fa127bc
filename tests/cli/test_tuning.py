"""A calibrated line is tuned on recorded frames: replay warns and goes on, or measures anew; run still refuses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from support.commands import edge
from support.lines import BASE, loaded, records

from edge.config.calibration import Calibration


@pytest.fixture
def line(tmp_path: Path) -> Path:
    """A calibrated line over 40 noisy frames."""
    loaded(tmp_path, text=BASE.replace("{high: 2.0}", "calibrated") + "calibration: c.yaml\n")
    text = (tmp_path / "cam1.yaml").read_text()
    recorded = text.replace(
        "{kind: synthetic, width: 64, height: 64, fps: null, frames: 50}", "{kind: recorded, path: good}"
    )
    (tmp_path / "cam1.yaml").write_text(recorded)
    rng = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for index in range(40):
        pixels = rng.integers(90, 110, (64, 64), np.uint8)
        pixels[:, 0] += 40  # bright at the border
        assert cv2.imwrite(str(tmp_path / "good" / f"{index:02d}.png"), pixels)
    done = edge(tmp_path, "calibrate", "good", "-c", "cam1.yaml")
    assert done.returncode == 0, done.stderr
    return tmp_path


def test_replay_warns_and_goes_on_and_run_refuses(line: Path) -> None:
    border = ("--set", "regions.border_px=2")
    result = edge(line, "replay", "good", "-c", "cam1.yaml", *border, "-o", "a")
    assert result.returncode == 0
    assert result.stderr == (
        f"note: {line}/c.yaml: the calibration was made with another regions.border_px: its thresholds are taken all the "
        "same; --recalibrate GOOD_FRAMES measures new ones; edge run refuses\n"
    )
    high = Calibration.load(line / "c.yaml").high
    assert {record["threshold"] for record in records(line / "a")} == {high}
    for command in (["check", "cam1.yaml"], ["run", "-c", "cam1.yaml"]):
        refused = edge(line, *command, *border)
        assert refused.returncode == 2
        assert "the calibration was made with another regions.border_px\n  received: regions.border_px: 2" in refused.stderr


def test_another_model_is_refused_in_replay_too(line: Path) -> None:
    refused = edge(line, "replay", "good", "-c", "cam1.yaml", "--set", "model.precision=fp16", "-o", "a")
    assert refused.returncode == 2
    assert "the calibration was made with another model.precision" in refused.stderr
    assert not (line / "a").exists()


def test_thresholds_are_measured_anew_for_one_replay_alone(line: Path) -> None:
    before = (line / "c.yaml").read_bytes()
    options = ("--set", "regions.border_px=2", "--recalibrate", "good", "-o", "a")
    result = edge(line, "replay", "good", "-c", "cam1.yaml", *options)
    assert result.returncode == 0
    made = Calibration.load(line / "a" / "cam1.calibration.yaml")
    assert (made.key.border_px, made.frames) == (2, 40)
    assert made.high < Calibration.load(line / "c.yaml").high
    assert {record["threshold"] for record in records(line / "a")} == {made.high}
    assert "note: high 0." in result.stderr
    assert "measured on 40 frames of good: cam1.calibration.yaml" in result.stderr
    assert (line / "c.yaml").read_bytes() == before


def test_a_line_whose_thresholds_are_given_is_not_recalibrated(line: Path) -> None:
    threshold = ("--set", "regions.threshold={high: 1}")
    refused = edge(line, "replay", "good", "-c", "cam1.yaml", *threshold, "--recalibrate", "good")
    assert (refused.returncode, refused.stderr.splitlines()[-1]) == (
        2,
        "  fix: leave --recalibrate out, or add --set regions.threshold=calibrated",
    )


def test_a_script_gets_what_was_measured_and_a_person_the_chosen_row(line: Path) -> None:
    told = orjson.loads(edge(line, "calibrate", "good", "-c", "cam1.yaml", "--json").stdout)
    made = Calibration.load(line / "c.yaml")
    assert (told["high"], told["low"], told["frames"], told["outliers"]) == (made.high, made.low, 40, [])
    assert (told["config_uses_it"], told["candidates"][0]["rejected"]) == (True, 0)
    shown = edge(line, "calibrate", "good", "-c", "cam1.yaml").stdout.split("candidates for score")[0]
    rows = [[cell.strip() for cell in row.split("│")[1:-1]] for row in shown.splitlines() if row.startswith("│")]
    assert [row for row in rows if row[0] == "->"] == [["->", f"{made.high:.5g}", "0 of 40", "0.0%", "chosen"]]
    assert "the bundle's own, which its maker set" in shown
