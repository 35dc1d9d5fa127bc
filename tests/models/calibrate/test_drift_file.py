"""``edge calibrate --drift``: a baseline from recordings, into the calibration file and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.baselines import SIZE, part_frames, write_frames
from support.commands import edge
from support.graphs import write_identity_bundle

from edge.config.calibration import Calibration
from edge.config.line import Config
from edge.config.load import load_config
from edge.errors import UserError
from edge.models.calibrate.drift_file import drift_key, load_drift, save_drift
from edge.models.calibrate.drift_measure import measure_drift
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames

LINE = f"""\
camera: cam1
recipe_id: tile-40
source: {{kind: synthetic, preset: pinned, width: {SIZE}, height: {SIZE}}}
model: {{bundle: bundle, engine: onnx}}
calibration: cam1.calibration.yaml
regions: {{threshold: {{high: 2.0}}}}
"""


def line(folder: Path, text: str = LINE) -> Config:
    if not (folder / "bundle").exists():
        write_identity_bundle(folder / "bundle")
    (folder / "cam1.yaml").write_text(text)
    return load_config(folder / "cam1.yaml").resolved


def sequence(*folders: Path) -> FrameSequence:
    return FrameSequence.of(*(good_frames(folder, None, side="calibrate") for folder in folders))


def test_two_recordings_make_a_baseline_that_the_line_reads_back(tmp_path: Path) -> None:
    config = line(tmp_path)
    day, night = write_frames(tmp_path / "day", part_frames(130)), write_frames(tmp_path / "night", part_frames(120, 500))
    baseline, spec = measure_drift(config, sequence(day, night), sources=("day", "night"), signatures=42, workers=1)
    assert [len(part) for part in baseline.series] == [130, 120]
    assert (spec.frames, spec.every, spec.size, spec.recipe_id) == (250, 1, (SIZE, SIZE), "tile-40")
    assert len(baseline.signatures.rows) == spec.signatures == 42  # two of each cause
    spec = save_drift(baseline, spec, tmp_path / "cam1.calibration.yaml")
    assert spec.file == f"cam1.drift-{spec.sha256[:12]}.npz"
    calibration = calibrated(tmp_path).model_copy(update={"drift": spec})
    now = drift_key(config, spec.model_sha256, (SIZE, SIZE))
    again = load_drift(calibration, tmp_path / "cam1.calibration.yaml", now)
    assert (again.signatures.rows == baseline.signatures.rows).all()
    assert again.monitor(every=1).see(baseline.reference().center, 0) is None


def calibrated(folder: Path) -> Calibration:
    """A calibration file as ``edge calibrate`` writes it."""
    good = write_frames(folder / "good", part_frames(8, 900))
    told = edge(folder, "calibrate", good, "-c", "cam1.yaml", "--workers", "1")
    assert told.returncode == 0, told.stderr
    return Calibration.load(folder / "cam1.calibration.yaml")


def test_the_command_writes_the_reference_and_thresholds_measured_again_keep_it(tmp_path: Path) -> None:
    line(tmp_path)
    frames = write_frames(tmp_path / "rec", part_frames(210))
    refused = edge(tmp_path, "calibrate", frames, "-c", "cam1.yaml", "--drift")
    assert refused.returncode == 2
    assert "cam1.calibration.yaml: no calibration file to add a drift reference to" in refused.stderr
    before = calibrated(tmp_path)
    told = edge(tmp_path, "calibrate", frames, "-c", "cam1.yaml", "--drift", "--workers", "1", "--signatures", "42")
    assert told.returncode == 0, told.stderr
    assert "210 frames measured, every 1; 42 signatures; parts are registered" in told.stdout
    after = Calibration.load(tmp_path / "cam1.calibration.yaml")
    assert after.drift is not None
    assert (tmp_path / after.drift.file).exists()
    assert (after.high, before.drift) == (before.high, None)
    edge(tmp_path, "calibrate", "good", "-c", "cam1.yaml", "--workers", "1")
    assert Calibration.load(tmp_path / "cam1.calibration.yaml").drift == after.drift


def test_a_calibration_without_a_reference_a_missing_file_and_another_file_are_refused(tmp_path: Path) -> None:
    config = line(tmp_path)
    path = tmp_path / "cam1.calibration.yaml"
    plain = calibrated(tmp_path)
    frames = write_frames(tmp_path / "rec", part_frames(200))
    baseline, spec = measure_drift(config, sequence(frames), sources=("rec",), signatures=42, workers=1)
    spec = save_drift(baseline, spec, path)
    calibration, now = plain.model_copy(update={"drift": spec}), baseline.key
    with pytest.raises(UserError, match="has no drift reference"):
        load_drift(plain, path, now)
    with pytest.raises(UserError) as error:
        load_drift(calibration, path, drift_key(config, "c" * 64, (SIZE, SIZE)))
    assert "the drift reference was made with another model" in str(error.value)
    file = tmp_path / spec.file
    data = file.read_bytes()
    file.write_bytes(data[:-9])
    with pytest.raises(UserError) as error:
        load_drift(calibration, path, now)
    assert "the drift reference is another than the calibration file names" in str(error.value)
    file.unlink()
    with pytest.raises(UserError, match="the drift reference cannot be read: No such file or directory"):
        load_drift(calibration, path, now)


def test_too_few_frames_the_same_picture_and_two_sizes_are_refused(tmp_path: Path) -> None:
    config = line(tmp_path)
    few = write_frames(tmp_path / "few", part_frames(60))
    same = write_frames(tmp_path / "same", part_frames(1) * 210)
    mixed = write_frames(tmp_path / "mixed", [*part_frames(4), np.zeros((40, 40), np.uint8)])
    for folder, text in (
        (few, "received: 60 measured frames, 1 whole blocks of 50"),
        (same, "all frames are the same picture"),
        (mixed, "a frame of another size than the first"),
    ):
        with pytest.raises(UserError) as error:
            measure_drift(config, sequence(folder), sources=(str(folder),), signatures=42, workers=1)
        assert text in str(error.value)


def test_the_region_that_is_measured_is_part_of_the_key(tmp_path: Path) -> None:
    whole = drift_key(line(tmp_path), "a" * 64, (SIZE, SIZE))
    part = LINE + "drift: {region: {units: norm, include: [[0.2, 0.2, 0.8, 0.8]]}}\n"
    assert drift_key(line(tmp_path, part), "a" * 64, (SIZE, SIZE)) != whole
