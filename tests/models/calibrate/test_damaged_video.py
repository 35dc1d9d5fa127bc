"""Thresholds that are measured on a video which lost data on its way are those of the frames that came whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.fits import pixel_bundle
from support.videos import encoded, mjpeg, still, video_packets, without_packets, zeroed_jpegs
from typer.testing import CliRunner

from edge.cli import app
from edge.storage.frames_on_disk import read_frames

CONFIG = """\
camera: cam1
runtime_dir: run
source: {kind: recorded, path: bad, pace: max}
model: {bundle: bundle, engine: onnx}
regions: {threshold: calibrated, border_px: 1}
calibration: c.yaml
outputs: {zmq: null}
"""


def calibrated(folder: Path, video: Path) -> tuple[int, str, float]:
    """What the command ends with and says, and the threshold that it wrote."""
    (folder / "line.yaml").write_text(CONFIG)
    result = CliRunner().invoke(app, ["calibrate", str(video), "-c", str(folder / "line.yaml")], env={"COLUMNS": "200"})
    written = folder / "c.yaml"
    high = yaml.safe_load(written.read_text())["high"] if written.exists() else 0.0
    return result.exit_code, result.output, high


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_five_lost_packets_move_no_threshold_and_are_told(tmp_path: Path, codec: str) -> None:
    """With the frames that the decoder filled in, five lost packets of 28,534 raised high from 4.6 to 52.6."""
    pytest.importorskip("av")
    good = encoded(tmp_path / "good.ts", 60, codec, gop=12, picture_of=still)
    seen = encoded(tmp_path / "seen.ts", 24, codec, gop=12, picture_of=lambda index: still(1000 + index))
    pixel_bundle(read_frames(seen), tmp_path / "bundle")
    code, output, high = calibrated(tmp_path, good)
    assert code == 0, output
    sent = video_packets(good)
    lost = [sent[len(sent) * share // 100] for share in (30, 31, 50, 70, 71)]
    code, output, now = calibrated(tmp_path, without_packets(good, tmp_path / "lost.ts", *lost))
    assert code == 1
    assert "could not be read" in output
    assert 0.9 * high < now <= high


def test_motion_jpeg_frames_with_lost_bytes_move_no_threshold_and_are_told(tmp_path: Path) -> None:
    good = mjpeg(tmp_path / "good.avi", 40, still)
    seen = mjpeg(tmp_path / "seen.avi", 24, lambda index: still(1000 + index))
    pixel_bundle(read_frames(seen), tmp_path / "bundle")
    code, output, high = calibrated(tmp_path, good)
    assert code == 0, output
    code, output, now = calibrated(tmp_path, zeroed_jpegs(good, tmp_path / "lost.avi", 3, 9, 17, 21, 33))
    assert code == 1
    assert "incomplete: 5 frames of" in output
    assert 0.9 * high < now <= high
