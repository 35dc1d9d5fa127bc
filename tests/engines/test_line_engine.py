"""The config's sample frames reach the engine as the model sees them; what can't be used is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.graphs import identity_model, write_identity_bundle
from support.lines import loaded
from support.nets import write_distance_bundle

from edge.config.bundle import Bundle, load_bundle
from edge.config.bundle_spec import BundleSpec
from edge.config.calibration import Calibration
from edge.config.load import Loaded
from edge.config.regions import NO_MASK
from edge.config.sources import SyntheticConfig
from edge.engines import cpu
from edge.engines import line_engine as samples
from edge.engines.registration import ready_workspace
from edge.engines.to_map import start
from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.line.recipe import open_model
from edge.models.calibrate.measure import measure
from edge.models.fit.fit import FitRun, fit_to_bundle
from edge.models.write import write_bundle
from edge.regions.criteria import load_criteria
from edge.sources.synthetic.parts import synthetic_part
from edge.storage.calibration_file import save_calibration
from edge.storage.frames_on_disk import read_frames

SIZE = 128
TEXT = """\
camera: cam1
runtime_dir: run
source: {kind: synthetic, width: 128, height: 128, fps: null, frames: 4}
model: {bundle: bundle, engine: openvino, precision: PRECISION, sample_frames: frames}
calibration: cam1.calibration.yaml
regions: {threshold: THRESHOLD}
outputs: {zmq: null}
"""


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def scales(loaded: Loaded, bundle: Bundle) -> str | None:
    return samples.scales_sha256(loaded.resolved.model, loaded.config.source, bundle)


def rules_of(loaded, bundle):
    return load_criteria(loaded.resolved, bundle, scales(loaded, bundle), NO_MASK, named=loaded.path)


def frames(count: int, defect_rate: float = 0.0) -> list[np.ndarray]:
    config = SyntheticConfig(kind="synthetic", width=SIZE, height=SIZE, defect_rate=defect_rate)
    return [synthetic_part(config, index).pixels for index in range(count)]


def line(folder: Path, precision: str = "fp32", threshold: str = "{high: 3.0}") -> Loaded:
    """A net's bundle, and 40 frames half of which have a defect."""
    shown = frames(40, 0.5)
    if not (folder / "bundle").exists():
        write_distance_bundle(folder / "bundle", frames(12), shown)
        (folder / "frames").mkdir()
        for index, pixels in enumerate(shown):
            cv2.imwrite(str(folder / "frames" / f"{index:02}.png"), pixels)
    return loaded(folder, text=TEXT.replace("PRECISION", precision).replace("THRESHOLD", threshold))


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_line_runs_at_the_precision_that_it_names(tmp_path: Path, precision: str) -> None:
    if lacking := cpu.missing(precision):
        pytest.skip(f"{precision} needs a CPU with {lacking}")
    engine, _ = open_model(line(tmp_path, precision))
    assert (engine.name, engine.precision, engine.why) == ("openvino", precision, "configured")
    engine.close()


def test_a_calibration_made_at_another_precision_is_refused(tmp_path: Path) -> None:
    config = line(tmp_path)
    calibration, _ = measure(config.resolved, lambda: read_frames(tmp_path / "frames"), source="frames")
    save_calibration(calibration, tmp_path / "cam1.calibration.yaml")
    assert Calibration.load(tmp_path / "cam1.calibration.yaml").key.precision == "fp32"
    bundle = load_bundle(tmp_path / "bundle")
    assert rules_of(line(tmp_path, "fp32", "calibrated"), bundle).high == calibration.high
    with pytest.raises(UserError) as caught:
        rules_of(line(tmp_path, "bf16", "calibrated"), bundle)
    assert str(caught.value) == (
        f"{tmp_path / 'cam1.calibration.yaml'}: the calibration was made with another model.precision\n"
        "  received: model.precision: bf16\n  expected: model.precision: fp32\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def test_a_calibration_made_with_other_scales_of_int8_is_refused(tmp_path: Path) -> None:
    """The scales are of the sample frames, and other scales give other maps. Below fp32 without scales they don't."""
    if lacking := cpu.missing("int8"):
        pytest.skip(f"int8 needs a CPU with {lacking}")
    config = line(tmp_path, "int8")
    calibration, _ = measure(config.resolved, lambda: read_frames(tmp_path / "frames"), source="frames")
    save_calibration(calibration, tmp_path / "cam1.calibration.yaml")
    bundle = load_bundle(tmp_path / "bundle")
    told = calibration.key.samples_sha256
    assert told is not None
    assert rules_of(line(tmp_path, "int8", "calibrated"), bundle).high == calibration.high
    assert scales(line(tmp_path, "bf16"), bundle) is None
    config = line(tmp_path, "int8", "calibrated")
    (tmp_path / "frames" / "00.png").write_bytes((tmp_path / "frames" / "01.png").read_bytes())
    now = scales(config, bundle)
    with pytest.raises(UserError) as caught:
        rules_of(config, bundle)
    assert str(caught.value) == (
        f"{tmp_path / 'cam1.calibration.yaml'}: the calibration was made with another model.sample_frames\n"
        f"  received: model.sample_frames: SHA-256 {str(now)[:12]}...\n"
        f"  expected: model.sample_frames: SHA-256 {told[:12]}...\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def test_the_first_frames_are_prepared_as_live_ones(tmp_path: Path) -> None:
    config = line(tmp_path, "bf16")
    given = list(
        samples._Samples(config.resolved.model.sample_frames, config.config.source, load_bundle(tmp_path / "bundle"))()
    )
    assert len(given) == samples.MOST
    for picture, pixels in zip(given, frames(40, 0.5), strict=False):
        assert (picture == pixels[:, :, None]).all()


def test_of_a_tiled_frame_the_middle_tile_is_taken(tmp_path: Path) -> None:
    config = line(tmp_path, "bf16")
    spec = BundleSpec.model_validate(
        {
            "name": "tiled",
            "input": {"channels": 1, "size": (64, 64)},
            "resize": {"where": "none"},
            "tile": {"size": (64, 64), "stride": (64, 64)},
        }
    )
    bundle = write_bundle(tmp_path / "tiled", identity_model(1, (64, 64)), spec)
    given = next(samples._Samples(config.resolved.model.sample_frames, config.config.source, bundle)())
    assert (given[:, :, 0] == frames(1, 0.5)[0][64:, :64]).all(), "the third of four"


def registered_samples(folder: Path, *shown: np.ndarray) -> Iterator[np.ndarray]:
    """Sample frames of a line whose bundle brings each frame to its reference."""
    pinned = SyntheticConfig(kind="synthetic", preset="pinned", width=SIZE, height=SIZE)
    parts = [
        Frame(FrameMeta(k, "counted", SIZE, SIZE, "Mono8", 0, 0, frame_ref=f"{k}.png"), synthetic_part(pinned, k).pixels)
        for k in range(12)
    ]
    bundle = fit_to_bundle(parts, folder / "bundle", run=FitRun(test=False))
    (folder / "frames").mkdir()
    for index, pixels in enumerate(shown or [part.pixels for part in parts[:3]]):
        cv2.imwrite(str(folder / "frames" / f"{index:02}.png"), pixels)
    return samples._Samples(folder / "frames", pinned, bundle)()


def test_sample_frames_are_brought_to_the_reference_as_live_ones_are(tmp_path: Path) -> None:
    """The scales of int8 were those of unregistered pictures, whose values the graph never gets."""
    part = synthetic_part(SyntheticConfig(kind="synthetic", preset="pinned", width=SIZE, height=SIZE), 30).pixels
    moved = np.roll(part, 6, axis=1)
    (given,) = registered_samples(tmp_path, moved)
    reference = cv2.imread(str(tmp_path / "bundle" / "register.png"), cv2.IMREAD_GRAYSCALE)
    inside = slice(16, -16), slice(16, -16)
    off = np.abs(given[:, :, 0].astype(int) - reference)[inside].mean()
    assert off < 0.5 * np.abs(moved.astype(int) - reference)[inside].mean()
    frame = Frame(FrameMeta(0, "counted", SIZE, SIZE, "Mono8", 0, 0, frame_ref="0.png"), moved)
    bundle = load_bundle(tmp_path / "bundle")
    assert (given == start(frame, bundle, ready_workspace(bundle)).image).all(), "as in the line"


def test_a_sample_whose_part_lies_out_of_place_is_passed_over_as_in_the_line(tmp_path: Path) -> None:
    pinned = SyntheticConfig(kind="synthetic", preset="pinned", width=SIZE, height=SIZE)
    part = synthetic_part(pinned, 30).pixels
    assert len(list(registered_samples(tmp_path, np.full_like(part, 50), part, np.roll(part, 40, axis=1)))) == 1


def test_samples_without_a_part_in_place_are_refused(tmp_path: Path) -> None:
    blank = np.full((SIZE, SIZE), 50, np.uint8)
    with pytest.raises(UserError) as caught:
        list(registered_samples(tmp_path, blank))
    assert str(caught.value).startswith(
        f"model.sample_frames: {tmp_path / 'frames'}: in no frame of it the part lies where the model knows it\n"
        "  received: 00.png: "
    )
    assert str(caught.value).endswith(
        "  expected: typical frames of this line\n  fix: name a folder of them, or fit the model anew"
    )


def test_frames_of_another_size_than_the_bundle_takes(tmp_path: Path) -> None:
    config = line(tmp_path, "bf16")
    fixed: Bundle = write_identity_bundle(tmp_path / "fixed", 1, (16, 16))
    with pytest.raises(UserError) as caught:
        list(samples._Samples(config.resolved.model.sample_frames, config.config.source, fixed)())
    assert str(caught.value) == (
        "model.sample_frames: 00.png: the frame is 128x128, the bundle takes 16x16 and resizes nothing"
    )


def test_frames_that_cannot_be_read(tmp_path: Path) -> None:
    config = line(tmp_path, "bf16")
    for path in (tmp_path / "frames").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UserError) as caught:
        scales(line(tmp_path, "int8"), load_bundle(config.resolve(config.config.model.bundle)))
    assert str(caught.value) == f"model.sample_frames: {tmp_path / 'frames'}: no frame in it can be read"
