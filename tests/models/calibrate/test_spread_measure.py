"""A calibration is the same for any number of workers, and says which frames it lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.graphs import write_identity_bundle

from edge.config.load import load_config
from edge.errors import UserError
from edge.models.calibrate.measure import measure
from edge.models.calibrate.quantile import QuantileSketch
from edge.models.calibrate.spread_measure import SpreadRun
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.frames_on_disk import read_frames
from edge.storage.pictures import write_png

CONFIG = """\
camera: cam1
runtime_dir: run
source: {kind: recorded, path: good, pace: max}
model: {bundle: bundle, engine: onnx}
regions: {threshold: calibrated, border_px: 1}
calibration: cam1.calibration.yaml
outputs: {zmq: null}
"""


@pytest.fixture
def line(tmp_path: Path) -> Any:
    """A line over 30 noisy frames, its config with resolved paths."""
    write_identity_bundle(tmp_path / "bundle", size=(32, 24))
    rng = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for k in range(30):
        write_png(tmp_path / "good" / f"{k:03d}.png", rng.integers(60, 200, (24, 32)).astype(np.uint8))
    (tmp_path / "line.yaml").write_text(CONFIG)
    return load_config(tmp_path / "line.yaml").resolved


def measured(line: Any, good: Any, **keys: Any) -> Any:
    calibration, result = measure(
        line, lambda: iter(good), source="good", outliers="keep", run=SpreadRun(FrameSequence.of(good), **keys)
    )
    return calibration.model_copy(update={"created": ""}), result


def test_any_number_of_workers_measures_the_same(line: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "good"
    plain, result = measure(line, lambda: read_frames(folder), source="good", outliers="keep")
    monkeypatch.setattr("edge.models.calibrate.spread_measure.SHARD_FRAMES", 8)
    one = measured(line, good_frames(folder), workers=1)
    two = measured(line, good_frames(folder), workers=2)
    assert one == two
    assert one[0] == plain.model_copy(update={"created": ""})
    assert one[1] == result


def test_frames_that_cannot_be_read_are_known_to_whoever_gave_them(line: Any, tmp_path: Path) -> None:
    (tmp_path / "good" / "030.png").write_bytes(b"\x89PNG")
    good = good_frames(tmp_path / "good")
    calibration, _ = measured(line, good)
    assert calibration.frames == 30
    assert good.lacks == (f"1 frame of {tmp_path / 'good'} could not be read",)


@pytest.mark.parametrize("kept", [1 << 20, 200])
def test_merged_sketches_are_the_sketch_of_all(kept: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 5000).astype(np.float32)
    whole, merged = QuantileSketch(kept), QuantileSketch(kept)
    whole.add(values)
    for part in np.array_split(values, 7):
        sketch = QuantileSketch(kept)
        sketch.add(part)
        merged.merge(QuantileSketch.from_arrays(sketch.arrays(), kept))
    assert merged.count == 5000
    for q in (0.99, 0.999, 1.0):
        assert merged.quantile(q) == whole.quantile(q) == pytest.approx(float(np.quantile(values, q)), rel=1e-6)
    assert merged.quantile(0.5) == pytest.approx(float(np.quantile(values, 0.5)), abs=1e-3)
    assert merged.share_from(2.0) == whole.share_from(2.0)


def sizes(folder: Path, *shapes: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    for k, shape in enumerate(shapes):
        write_png(folder / f"{k:03d}.png", rng.integers(60, 200, shape).astype(np.uint8))


@pytest.mark.parametrize("size", [(32, 24), "any"])
def test_pictures_of_any_size_are_measured_where_the_bundle_takes_them(tmp_path: Path, size: Any) -> None:
    """As fit, replay and golden frames take them; what any size of frame the line then judges."""
    write_identity_bundle(tmp_path / "bundle", size=size, resize=True)
    (tmp_path / "good").mkdir()
    sizes(tmp_path / "good", *[(24, 32)] * 20, (30, 40), (48, 36))
    (tmp_path / "line.yaml").write_text(CONFIG)
    line = load_config(tmp_path / "line.yaml").resolved
    calibration, result = measured(line, good_frames(tmp_path / "good"), workers=1)
    assert (calibration.frames, len(result.maxima)) == (22, 22)
    assert calibration.key.frames is not None
    assert calibration.key.frames.size is None
    assert ("frames of 3 sizes" in calibration.note) == (size != "any")


def test_a_camera_has_one_size_and_so_has_a_model_that_was_fitted_on_one(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "bundle", size=(32, 24), resize=True)
    (tmp_path / "good").mkdir()
    sizes(tmp_path / "good", *[(24, 32)] * 20, (30, 40))
    camera = CONFIG.replace("{kind: recorded, path: good, pace: max}", "{kind: opencv, device: 0}")
    (tmp_path / "line.yaml").write_text(camera)
    with pytest.raises(UserError, match=r"020\.png: a frame of another size than the first\n  received: 40x30"):
        measured(load_config(tmp_path / "line.yaml").resolved, good_frames(tmp_path / "good"), workers=1)
