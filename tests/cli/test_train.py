"""``edge train`` as a person sees it: what it says before it begins, its sheet, and its bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import orjson
import pytest
from support.trainings import surfaces
from typer.testing import CliRunner

from edge.cli import app
from edge.cli._network_options import measured_ranges
from edge.config.bundle import load_bundle
from edge.errors import UserError
from edge.storage.pictures import read_picture

BY = ("--by", r"/(?P<part>\d\d)\d")
"""Frames are numbered on; ten show one part."""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """40 good frames of four parts."""
    surfaces(tmp_path / "set", parts=20, each=2)
    return tmp_path / "set"


def refusal(*arguments: object) -> str:
    with pytest.raises(UserError) as caught:
        CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)
    return str(caught.value)


def test_without_pytorch_it_says_which_extra_to_install(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.models.train.options.find_spec", lambda _name: None)
    assert refusal(good, "-o", good / "out", *BY) == (
        "training needs PyTorch, which is not installed\n"
        "  expected: the extra train\n"
        "  fix: pip install 'edge-inspect[train]'; edge fit makes a model of good frames without it"
    )


def test_the_sheet_needs_no_pytorch_and_trains_nothing(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.models.train.options.find_spec", lambda _name: None)
    arguments = ["train", str(good), *BY, "--sheet", str(tmp_path / "s.png"), "--without", "chip", "--pose", "texture"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "9 kinds of synthetic defects in 12 good frames; nothing was trained" in " ".join(done.output.split())
    sheet = read_picture(tmp_path / "s.png")
    assert sheet.shape == (9 * (18 + 176), 10 * 176, 3)
    assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.png", "set"]


def test_importing_the_command_imports_no_pytorch() -> None:
    code = "import sys, edge.cli.train; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0


def test_a_set_without_parts_is_refused(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.cli.train.check_torch", lambda: None)
    monkeypatch.setattr("edge.models.train.train.check_torch", lambda: None)
    text = refusal(good, "-o", good / "out", "--pose", "texture")
    assert text.startswith(f"{good}: 40 of 40 frames have no part, so one could be learned and validated on")


def test_a_preset_that_is_not_there_is_refused_by_its_choices(good: Path) -> None:
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["train", str(good), "-o", str(good / "out"), "--preset", "week"])
    assert done.exit_code == 2
    assert "'week' is not one of 'minute', 'hour', 'night'" in " ".join(done.output.split())


def test_it_asks_where_the_bundle_should_go(good: Path) -> None:
    assert refusal(good, *BY) == ("edge train: where should the bundle go?\n  expected: -o BUNDLE, or --sheet PICTURE.png")


def test_what_is_of_a_network_is_refused_for_a_head(good: Path) -> None:
    assert refusal(good, "-o", good / "out", *BY, "--alone") == (
        "--alone: of a network that learns from pixels\n"
        "  received: --preset minute, which trains a head on the memory's own features\n"
        "  expected: --preset hour or night"
    )
    given = refusal(
        good, "-o", good / "out", *BY, "--pretrain", good, "--start", "fresh", "--factory", good, "--mixup", 0.2
    )
    assert given.startswith("--start, --pretrain: of a network that learns from pixels\n"), "a head has the others, too"


def test_a_way_without_frames_to_go_it_is_refused(good: Path) -> None:
    assert refusal(good, "-o", good / "out", *BY, "--preset", "hour", "--ssl", "simclr") == (
        "--ssl simclr: without frames to do it with\n  fix: give --pretrain FRAMES, too"
    )
    assert "give --factory FRAMES, too" in refusal(good, "-o", good / "out", *BY, "--preset", "hour", "--align", "mmd")


def test_ranges_that_edge_shift_measured_become_those_of_the_training(tmp_path: Path) -> None:
    def measured(low: float, high: float) -> Path:
        ranges = {"brightness": {"p5": low, "p95": high, "unit": "%"}, "noise": {"p5": 0, "p95": 0.1, "unit": "%"}}
        path = tmp_path / "shift.json"
        path.write_bytes(orjson.dumps({"kind": "edge.shift", "schema": 1, "ranges": ranges}))
        return path

    (row,) = measured_ranges(measured(-12, 5))
    assert (row.name, row.share) == ("brightness", 0.5)
    assert row.low == pytest.approx(-14)
    assert row.high == pytest.approx(6.7)
    with pytest.raises(UserError) as caught:
        measured_ranges(measured(-0.1, 0.1))
    assert str(caught.value) == (
        f"{tmp_path / 'shift.json'}: nothing was measured that training pictures could be given\n"
        "  expected: at least one cause above its weakest step\n"
        "  fix: train without --augment-from"
    )
    (tmp_path / "shift.json").write_bytes(b"{}")
    assert "not what edge shift writes" in refusal(
        tmp_path, "-o", tmp_path / "out", "--augment-from", tmp_path / "shift.json"
    )


@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: scripts/test --all installs it")
def test_it_shows_what_each_epoch_brought_and_what_the_model_finds(good: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edge", "train", good, "-o", tmp_path / "out", *BY, "--epochs", 2, "--threads", 1]
    command += ["--backbone", "gabor", "--pose", "texture"]
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, timeout=500, env=environment
    )
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epoch 1 of 2: loss ")
    assert lines[1].endswith("s left")
    assert "real none to judge by (kept)" in lines[0]
    assert lines[2].startswith("trained on 30 good frames and 0 labelled defects, 0 known false positives among the good;")
    assert "note: no frame has a label: all count as good" not in done.stdout, "the folder says that they are good"
    assert "self-test on" in done.stdout
    assert load_bundle(tmp_path / "out").spec.provenance["preset"] == "minute"
    assert not (tmp_path / "out.training").exists(), "nothing is left beside the bundle"
