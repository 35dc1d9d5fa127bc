"""``edge init``: a first config that is valid, and the commands that come next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import edge
from support.graphs import write_identity_bundle
from typer.testing import CliRunner

from edge.cli import app
from edge.config.load import load_config
from edge.errors import UserError
from edge.storage.pictures import write_png


def made(folder: Path, *arguments: str, name: str = "line1.yaml") -> tuple[Any, str]:
    result = CliRunner().invoke(app, ["init", str(folder / name), *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return load_config(folder / name).config, result.output


def told(folder: Path, *arguments: str, name: str = "line1.yaml") -> str:
    result = CliRunner().invoke(app, ["init", str(folder / name), *arguments])
    assert isinstance(result.exception, UserError), result.output
    return str(result.exception)


def test_a_genicam_camera_by_its_serial_number_as_it_is_written(tmp_path: Path) -> None:
    config, out = made(tmp_path, "--camera", "0012345", "--producer", "simulated")
    assert (config.camera, config.source.kind, config.source.serial, config.source.producer) == (
        *("line1", "genicam", "0012345"),
        "simulated",
    )
    assert config.regions.threshold == "calibrated"
    line, models = tmp_path / "line1.yaml", tmp_path / "models"
    assert out == (
        f"wrote {line}\n\nnext:\n"
        f"  edge record -c {line} --frames 60 --out {tmp_path}/good   # of good parts; some of them for `calibrate` alone\n"
        f"  edge fit {tmp_path}/good -o {models}/line1\n"
        f"  edge calibrate MORE_GOOD_FRAMES -c {line}\n  edge check {line}\n  edge run -c {line}\n"
        "\nThe simulated camera's frames repeat: "
        "say --keep-outliers to fit and calibrate, and --seen-before to calibrate.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"kind": "genicam", "serial": None}),
        (["--device", "0"], {"kind": "opencv", "device": 0}),
        (["--device", "rtsp://admin:${PW}@cam/1"], {"kind": "opencv", "device": "rtsp://admin:${PW}@cam/1"}),
        (["--snapshot", "http://cam/snap.jpg"], {"kind": "snapshot", "address": "http://cam/snap.jpg"}),
        (["--watch", "/srv/ftp/cam #1"], {"kind": "watched_folder", "path": Path("/srv/ftp/cam #1")}),
    ],
)
def test_each_kind_of_camera(arguments: list[str], expected: dict[str, Any], tmp_path: Path) -> None:
    config, _ = made(tmp_path, *arguments)
    assert {key: getattr(config.source, key) for key in expected} == expected


def test_paths_are_relative_where_they_lie_beside_the_config(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "elsewhere").mkdir()
    config, _ = made(tmp_path, "--folder", str(tmp_path / "pictures"), name="a.yaml")
    assert config.source.path == Path("pictures")
    (tmp_path / "configs").mkdir()
    config, out = made(tmp_path / "configs", "--bundle", str(tmp_path / "elsewhere"), name="b.yaml")
    assert config.model.bundle == tmp_path / "elsewhere"
    assert "edge fit" not in out


@pytest.mark.parametrize(("stem", "camera"), [("Line-1 left", "line_1_left"), ("---", "cam1"), ("x" * 40, "x" * 32)])
def test_the_camera_is_named_for_the_file(stem: str, camera: str, tmp_path: Path) -> None:
    assert made(tmp_path, name=f"{stem}.yaml")[0].camera == camera


def test_mistakes_are_told_and_nothing_is_written(tmp_path: Path) -> None:
    assert told(tmp_path, name="line1.txt") == (
        f"LINE.yaml\n  received: {tmp_path}/line1.txt\n  expected: a file that ends in .yaml"
    )
    assert told(tmp_path, "--device", "0", "--camera", "1") == (
        "where frames come from\n  received: --device and --camera\n"
        "  expected: one of --camera, --device, --snapshot, --watch and --folder"
    )
    assert told(tmp_path, "--folder", "/none") == "--folder: no such folder\n  received: /none"
    assert told(tmp_path, "--bundle", "/none") == "--bundle: no such folder\n  received: /none"
    assert list(tmp_path.iterdir()) == []
    made(tmp_path)
    assert told(tmp_path) == f"{tmp_path}/line1.yaml: exists already\n  fix: choose another name, or edit it"


def test_the_config_leads_to_a_calibrated_line(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "bundle")
    pictures(tmp_path / "good")
    made(tmp_path, "--folder", str(tmp_path / "good"), "--bundle", str(tmp_path / "bundle"))
    for command in (["calibrate", "good", "-c", "line1.yaml"], ["check", "line1.yaml"]):
        done = edge(tmp_path, *command, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "to use it" not in done.stdout, "the config uses it already"


def test_a_calibration_is_used_after_the_lines_were_pasted_or_with_write(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "bundle")
    pictures(tmp_path / "good")
    text = "# ours\ncamera: cam1\nsource: {kind: synthetic}\nmodel: {bundle: bundle}\n"
    text += "regions: {threshold: {high: 900.0}}\n"
    (tmp_path / "line.yaml").write_text(text)
    told = edge(tmp_path, "calibrate", "good", "-c", "line.yaml", "-o", "cal.yaml", timeout=100).stdout
    lines = "calibration: cal.yaml\nregions:\n  threshold: calibrated\n"
    assert told.endswith(f"wrote cal.yaml\nto use it, in line.yaml, or with --write:\n{lines}")
    assert (tmp_path / "line.yaml").read_text() == text
    told = edge(tmp_path, "calibrate", "good", "-c", "line.yaml", "--write", timeout=100).stdout
    assert told.endswith("cam1.calibration.yaml\nline.yaml uses it now\n")
    assert (tmp_path / "line.yaml").read_text() == text.replace(
        "regions: {threshold: {high: 900.0}}", "calibration: cam1.calibration.yaml\nregions: {threshold: calibrated}"
    )
    assert load_config(tmp_path / "line.yaml").config.regions.threshold == "calibrated"


def pictures(folder: Path) -> None:
    rng = np.random.default_rng(1)
    folder.mkdir()
    for n in range(12):
        write_png(folder / f"{n}.png", rng.normal(128, 4, (48, 64)).clip(0, 255).astype(np.uint8))


def test_a_data_set_is_calibrated_on_good_frames_that_the_model_has_not_seen(tmp_path: Path) -> None:
    for folder in ("train/good", "test/good", "test/crack"):
        (tmp_path / "tiles" / folder).mkdir(parents=True)
    result = edge(tmp_path, "init", "tiles.yaml", "--folder", "tiles")
    assert result.stdout.endswith(
        "next:\n"
        "  edge fit tiles -o models/tiles\n"
        "  edge calibrate tiles/test/good -c tiles.yaml\n"
        "  edge check tiles.yaml\n"
        "  edge replay tiles/test -c tiles.yaml --overlays\n"
    )


def test_the_simulated_camera_is_named_and_its_scene_holds_still(tmp_path: Path) -> None:
    config, _ = made(tmp_path, "--producer", "simulated")
    assert config.source.serial == "0"
    assert ("BouncingBallSize", 1) in [tuple(feature) for feature in config.source.features]
