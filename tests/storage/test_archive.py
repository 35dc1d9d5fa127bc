"""Every hash in a record leads to the text that it is the hash of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from support.lines import loaded, make_line, records, run
from support.reloads import LIVE, Driven

from edge.config.calibration import Calibration, calibration_key
from edge.config.load import load_config
from edge.line.recipe import open_model
from edge.storage.archive import archive


def calibrated(folder: Path) -> str:
    """A calibration file for the line in ``folder``, which is told to use it; returns its text."""
    config = loaded(folder)
    engine, _ = open_model(config)
    key = calibration_key(config.config.regions, engine.bundle.sha256, "fp32", None)
    engine.close()
    calibration = Calibration(
        created="2026-11-21T18:20:07Z", high=2.0, false_rejects=0.01, frames=60, source="edge-out/good", key=key
    )
    (folder / "cam1.calibration.yaml").write_text(calibration.text)
    text = config.path.read_text().replace("{high: 2.0}", "calibrated") + "calibration: cam1.calibration.yaml\n"
    config.path.write_text(text + "# as the night shift wants it\n")
    return calibration.text


def test_config_bundle_and_calibration_stand_beside_the_log_by_the_hashes_of_its_records(tmp_path: Path) -> None:
    calibration = calibrated(tmp_path)
    config = load_config(tmp_path / "cam1.yaml", ["source.frames=5"])
    assert run(make_line(config)) == 0
    record = records(tmp_path / "log")[0]
    place = tmp_path / "log" / "archive"
    in_force = place / f"{record['config_sha256']}.json"
    assert hashlib.sha256(in_force.read_bytes()).hexdigest() == record["config_sha256"]
    assert (place / f"{record['config_sha256']}.yaml").read_text() == "# --set source.frames=5\n" + config.text
    assert config.text.endswith("# as the night shift wants it\n")
    bundle = (tmp_path / "bundle" / "bundle.yaml").read_bytes()
    assert (place / f"{record['model']['sha256']}.yaml").read_bytes() == bundle
    assert (place / f"{record['calibration_sha256']}.yaml").read_text() == calibration
    assert len(list(place.iterdir())) == 4
    line = make_line(config)
    assert archive(config.texts, line.identity, tmp_path / "log") == 0  # all there
    line.recipes.close()


def test_after_a_reload_the_new_texts_are_archived_too(tmp_path: Path) -> None:
    config = loaded(tmp_path, *LIVE)
    driven = Driven(config)
    try:
        driven.inspected(5)
        config.path.write_text(config.path.read_text().replace("high: 2.0", "high: 0.1"))
        driven.reloader.ask()
        driven.wait(lambda: driven.line.tally.verdicts["fail"] >= 3)
    finally:
        driven.stop()
    made = {r["config_sha256"] for r in records(tmp_path / "log")}
    assert len(made) == 2
    names = {p.name for p in (tmp_path / "log" / "archive").iterdir()}
    assert {f"{sha256}.{kind}" for sha256 in made for kind in ("json", "yaml")} <= names


@pytest.mark.parametrize("change", ["changed", "gone"])
def test_a_text_that_was_changed_since_it_was_loaded_is_not_archived_as_if_it_were_the_one(
    tmp_path: Path, change: str
) -> None:
    config = loaded(tmp_path)
    line = make_line(config)
    path = tmp_path / "bundle" / "bundle.yaml"
    text = path.read_text()
    path.unlink()
    if change == "changed":
        path.write_text(text.replace("resize:", "resize: {where: none}\nold_resize:", 1))
    (tmp_path / "log").mkdir()
    with capture_logs() as told:
        assert archive(config.texts, line.identity, tmp_path / "log") == 2
    line.recipes.close()
    assert [t for t in told if t["event"] == "not_archived"] == [
        {
            "event": "not_archived",
            "file": str(path),
            "reason": "it was changed since it was loaded",
            "log_level": "warning",
        }
    ]


@pytest.mark.parametrize("damage", [b"", bytes(64)])
def test_texts_that_a_power_cut_left_empty_are_written_again(tmp_path: Path, damage: bytes) -> None:
    config = loaded(tmp_path)
    line = make_line(config)
    folder = tmp_path / "log"
    folder.mkdir(exist_ok=True)
    count = archive(config.texts, line.identity, folder)
    whole = {path: path.read_bytes() for path in (folder / "archive").iterdir()}
    assert len(whole) == count
    for path in whole:
        path.write_bytes(damage)
    assert archive(config.texts, line.identity, folder) == count
    assert {path: path.read_bytes() for path in whole} == whole
    assert archive(config.texts, line.identity, folder) == 0
    line.recipes.close()


def test_copies_of_a_config_are_for_nobody_who_may_not_read_it(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    line = make_line(config)
    folder = tmp_path / "log"
    folder.mkdir(exist_ok=True)
    for mode, expected in ((0o640, 0o640), (0o644, 0o640), (0o600, 0o600), (0o400, 0o600)):
        config.path.chmod(mode)
        archive(config.texts, line.identity, folder)
        found = {path.stat().st_mode & 0o777 for path in (folder / "archive").glob(f"{line.identity.config_sha256}.*")}
        assert found <= {expected, 0o600, 0o640 & expected}
    line.recipes.close()
