"""``edge check`` lists what is missing in the order in which to make it; golden frames are summed up class by class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import orjson
from support.commands import edge
from support.lines import BASE, loaded

from edge.cli._golden import WORST


def save(path: Path, spot: int = 50) -> None:
    pixels = np.full((64, 64), 50, np.uint8)
    pixels[10:20, 5:15] = spot
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def test_what_is_missing_is_listed_in_order(tmp_path: Path) -> None:
    text = BASE.replace("{kind: synthetic, width: 64, height: 64, fps: null, frames: 50}", "{kind: recorded, path: gone}")
    calibrated = text.replace("{high: 2.0}", "calibrated") + "calibration: c.yaml\n"
    (tmp_path / "cam1.yaml").write_text(calibrated)
    result = edge(tmp_path, "check", "cam1.yaml")
    assert (result.returncode, result.stdout) == (2, "")
    lines = result.stderr.splitlines()
    assert lines[0] == "cam1.yaml: 3 things are missing or wrong, in this order:"
    assert [text for text in lines if text[0] in "123"] == [
        f"1. {tmp_path}/gone: no such file or folder",
        f"2. {tmp_path}/bundle: there is no such bundle",
        f"3. {tmp_path}/c.yaml: no such calibration file",
    ]
    assert lines[-1] == "   fix: make it from good frames: edge calibrate GOOD_FRAMES -c cam1.yaml"
    told = edge(tmp_path, "check", "cam1.yaml", "--json")
    assert told.returncode == 2
    missing = orjson.loads(told.stdout)
    assert missing["can_run"] is False
    assert [text.splitlines()[0].split(": ")[1] for text in missing["missing"]] == [
        "no such file or folder",
        "there is no such bundle",
        "no such calibration file",
    ]


def test_one_thing_that_is_missing_stands_alone(tmp_path: Path) -> None:
    loaded(tmp_path)
    result = edge(tmp_path, "check", "cam1.yaml", "--set", "regions.threshold=calibrated")
    assert result.stderr == (
        "cam1.yaml: regions.threshold is 'calibrated', but no calibration file is named\n"
        "  expected: calibration: FILE, or regions.threshold: {high: ..., low: ...}\n"
        "  fix: add 'calibration: cam1.calibration.yaml' and run: edge calibrate GOOD_FRAMES -c cam1.yaml\n"
    )


def test_a_config_that_can_run_says_so_to_a_script(tmp_path: Path) -> None:
    loaded(tmp_path)
    told = orjson.loads(edge(tmp_path, "check", "cam1.yaml", "--json").stdout)
    assert (told["can_run"], told["missing"], told["camera"], told["source"]) == (True, [], "cam1", "synthetic")
    assert told["threshold"] == {"high": 2.0, "low": None, "from": "config", "overrides_calibration": False}
    assert told["golden"] is None


def test_the_worst_golden_frames_are_named_uncut_and_drawn(tmp_path: Path) -> None:
    loaded(tmp_path)
    for index in range(12):
        save(tmp_path / "golden" / "good" / f"a-rather-long-name-of-a-part-{index:02d}.png", 200)
        save(tmp_path / "golden" / "dent" / f"{index:02d}.png")
    check = ["check", "cam1.yaml", "--golden", "golden", "--set", "regions.threshold={high: 0.5}"]
    result = edge(tmp_path, *check, "--overlays", "-o", "pictures")
    assert result.returncode == 1
    names = [text.split()[-1] for text in result.stdout.splitlines() if text.endswith(".png") or ".png " in text]
    assert len(names) == WORST
    assert names[0].startswith("dent/")
    assert names[-1].startswith("good/a-rather-long-name-of-a-part-")
    assert "and 4 more: --json names all of them" in result.stdout
    assert "overlays: pictures (24 pictures)" in result.stdout
    assert len(list((tmp_path / "pictures").glob("dent-*.jpg"))) == 12
    wrong = orjson.loads(edge(tmp_path, *check, "--json").stdout)["golden"]
    assert (wrong["good"], wrong["bad"], len(wrong["wrong"])) == (12, 12, 24)
    assert [row["class"] for row in wrong["classes"]] == ["good", "dent"]
