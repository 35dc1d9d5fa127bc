"""The watch of a config compares with the reference of its calibration file, live and in replay, or says why it can't."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.baselines import SIZE, small_baseline
from support.graphs import write_identity_bundle
from support.lines import records, stable_lines
from support.records import META

from edge.config.bundle import load_bundle
from edge.config.calibration import Calibration, DriftReferenceSpec
from edge.config.line import Config
from edge.config.load import Loaded, load_config
from edge.drift.baseline import Baseline
from edge.errors import ExitCode, UserError
from edge.frames import Frame
from edge.line.line import Line
from edge.line.open_watch import FrameMeter, open_watch, open_watched
from edge.line.replay import ReplayOptions, replay
from edge.line.run import run_line
from edge.models.calibrate.drift_file import drift_key, save_drift
from edge.outputs.open import live_outputs
from edge.sources.open import open_source
from edge.storage.calibration_file import save_calibration
from edge.storage.recording_writer import RecordingWriter

TEXT = """\
camera: cam1
recipe_id: tile-40
runtime_dir: run
source: {kind: recorded, path: frames, pace: max}
model: {bundle: bundle, engine: onnx}
calibration: cam1.calibration.yaml
regions: {threshold: {high: 2.0}}
drift: {every: 1, block: 10, persist: 2, in_records: true}
outputs: {zmq: null, jsonl: {dir: log, sync: none}}
"""


@pytest.fixture(scope="module")
def learned() -> tuple[Baseline, list[Any]]:
    baseline, _, pictures = small_baseline(rows=210, frames=200)
    return baseline, pictures


def line_in(folder: Path, baseline: Baseline | None, text: str = TEXT, **changes: Any) -> Loaded:
    """A line with a calibration file, and with the drift reference where there is a baseline."""
    write_identity_bundle(folder / "bundle")
    (folder / "run").mkdir()
    (folder / "cam1.yaml").write_text(text)
    config = load_config(folder / "cam1.yaml")
    sha256 = load_bundle(folder / "bundle").sha256
    key = {"model_sha256": sha256, "roi_sha256": "0" * 64, "border_px": 0, "smooth": None, "precision": "fp32"}
    whole: dict[str, Any] = {"created": "2026-11-30T04:00:00Z", "high": 2.0, "false_rejects": 0.001, "frames": 100}
    calibration = Calibration.model_validate({**whole, "source": "good", "key": key})
    path = folder / "cam1.calibration.yaml"
    if baseline is not None:
        spec = _spec(config.resolved, sha256, baseline, **changes)
        calibration = calibration.model_copy(update={"drift": save_drift(baseline, spec, path)})
    save_calibration(calibration, path)
    return config


def _spec(config: Config, sha256: str, baseline: Baseline, **changes: Any) -> DriftReferenceSpec:
    now = drift_key(config, sha256, (SIZE, SIZE))
    spec = DriftReferenceSpec(
        file="none",
        sha256="0" * 64,
        created="2026-11-30T04:00:00Z",
        sources=("good",),
        frames=sum(len(part) for part in baseline.series),
        every=1,
        signatures=len(baseline.signatures.rows),
        model_sha256=now.model_sha256,
        recipe_id=now.recipe_id,
        size=now.size,
        region_sha256=now.region_sha256,
    )
    return spec.model_copy(update=changes)


def opened(config: Loaded, **more: Any) -> Any:
    return open_watch(config, load_bundle(config.path.parent / "bundle"), **more)


def record_frames(folder: Path, pictures: list[Any]) -> None:
    writer = RecordingWriter(folder, camera="cam1", source="test")
    for k, pixels in enumerate(pictures):
        meta = type(META)(k, "device", SIZE, SIZE, "Mono8", 10**18 + k * 10**7, 5)
        writer.frame(Frame(meta, pixels))
    writer.close()


def run_live(config: Loaded) -> list[dict[str, Any]]:
    engine, criteria, watch = open_watched(config)
    folder = config.path.parent
    source = open_source(config.config.source, "cam1", folder)
    line = Line(
        config,
        source,
        engine,
        criteria,
        lambda identity: live_outputs(config.resolved, folder / "run", identity, config.texts),
        drops=False,
        watch=watch,
    )
    stop = threading.Event()
    line.start(stop)
    assert run_line(line, stop, lambda *_: None) == ExitCode.OK
    engine.close()
    return records(folder / "log")


CHANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "out_of_focus": ("blur", lambda p: cv2.GaussianBlur(p, (0, 0), 2.5)),
    "out_of_place": ("pose", lambda p: np.roll(p, (12, -12), axis=(0, 1))),
    "clipped": ("lighting", lambda p: np.clip(p.astype(np.int32) * 2, 0, 255).astype(np.uint8)),
}


@pytest.mark.parametrize("breach", CHANGES)
def test_a_breach_locks_within_a_block_unlocks_by_itself_and_a_replay_is_the_same(
    tmp_path: Path, learned: tuple[Baseline, list[Any]], breach: str
) -> None:
    """Frames of a real scene through the whole line: the lens out of focus, the part out of its place, too much light."""
    baseline, pictures = learned
    group, change = CHANGES[breach]
    record_frames(tmp_path / "frames", [*pictures[:40], *(change(p) for p in pictures[40:80]), *pictures[80:130]])
    config = line_in(tmp_path, baseline)
    told = run_live(config)
    reasons = [record["reason"] for record in told]
    assert set(reasons[:40]) == {None}
    assert set(reasons[50:80]) == {f"drift_{breach}"}  # within a block of ten
    assert set(reasons[90:]) == {None}
    assert {record["verdict"] for record in told} == {"pass", "invalid"}
    first = next(record["drift"] for record in told if record["reason"] is not None)
    assert (first["level"], first["group"], first["locks"]) == ("lock", group, [breach])
    code, _ = replay(
        config,
        open_source(config.config.source, "cam1", tmp_path),
        ReplayOptions(tmp_path / "again"),
        threading.Event(),
        lambda *_: None,
    )
    assert code == ExitCode.OK
    assert stable_lines(records(tmp_path / "again")) == stable_lines(told)


def test_a_third_of_bad_parts_stays_a_third_of_fails(tmp_path: Path, learned: tuple[Baseline, list[Any]]) -> None:
    """An epidemic of real defects is no drift of light, focus or camera, and never locks."""
    baseline, pictures = learned
    rng = np.random.default_rng(5)
    shown = [p.copy() for p in pictures[:150]]
    for pixels in shown[::3]:
        x, y = (int(v) for v in rng.integers(SIZE // 4, SIZE // 2, 2))
        pixels[y : y + 8, x : x + 8] = 255 if x % 2 else 0
    record_frames(tmp_path / "frames", shown)
    told = run_live(line_in(tmp_path, baseline))
    assert not [record["reason"] for record in told if record["reason"] is not None]
    groups = {cause["group"] for r in told if r["drift"] for cause in r["drift"]["causes"] if r["drift"]["level"] == "warn"}
    assert groups.isdisjoint({"lighting", "blur", "camera"})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_sha256": "1" * 64}, "model"),
        ({"recipe_id": "other"}, "recipe_id"),
        ({"size": (640, 480)}, "frame size"),
        ({"region_sha256": "2" * 64}, "drift.region or regions.roi"),
    ],
)
def test_a_reference_of_another_line_is_refused_with_both(
    tmp_path: Path, learned: tuple[Baseline, list[Any]], changes: dict[str, Any], named: str
) -> None:
    text = TEXT.replace("engine: onnx", f"engine: onnx, frame_size: [{SIZE}, {SIZE}]")
    config = line_in(tmp_path, learned[0], text, **changes)
    with pytest.raises(UserError) as caught:
        opened(config)
    told = str(caught.value)
    assert f"the drift reference was made with another {named}" in told
    assert "received:" in told
    assert "expected:" in told
    assert "run edge calibrate --drift again" in told


def test_a_line_without_a_reference_is_refused_and_told_how_to_make_one(tmp_path: Path) -> None:
    config = line_in(tmp_path, None)
    with pytest.raises(UserError, match="has no drift reference") as caught:
        opened(config)
    assert "edge calibrate --drift" in str(caught.value)
    (tmp_path / "cam1.calibration.yaml").unlink()
    with pytest.raises(UserError, match="no such calibration file") as caught:
        opened(config)
    assert caught.value.passes
    (tmp_path / "cam1.yaml").write_text(TEXT.replace("calibration: cam1.calibration.yaml\n", ""))
    with pytest.raises(UserError, match="no calibration file is named") as caught:
        opened(load_config(tmp_path / "cam1.yaml"))
    assert "--drift" in str(caught.value)
    (tmp_path / "cam1.yaml").write_text(TEXT.replace("drift:", "# drift:"))
    assert opened(load_config(tmp_path / "cam1.yaml")) is None


def test_a_block_that_the_reference_is_too_short_for_is_refused(
    tmp_path: Path, learned: tuple[Baseline, list[Any]]
) -> None:
    config = line_in(tmp_path, learned[0], TEXT.replace("block: 10", "block: 100"))
    with pytest.raises(UserError, match="too few frames"):
        opened(config)


def test_a_frame_of_another_size_than_the_reference_is_told(learned: tuple[Baseline, list[Any]]) -> None:
    from edge.drift.meter import Meter

    measure = FrameMeter(Meter(learned[0].template))
    assert measure(Frame(META, learned[1][0])).shape == (19,)
    with pytest.raises(UserError) as caught:
        measure(Frame(META, np.zeros((30, 40), np.uint8)))
    assert str(caught.value) == f"the frame is 40x30, the drift reference was made of {SIZE}x{SIZE}"


def test_watches_with_the_same_reference_and_settings_are_the_same_whatever_records_hold(
    tmp_path: Path, learned: tuple[Baseline, list[Any]]
) -> None:
    config = line_in(tmp_path, learned[0])
    first = opened(config)
    (tmp_path / "cam1.yaml").write_text(TEXT.replace("in_records: true", "in_records: false"))
    assert opened(load_config(tmp_path / "cam1.yaml")).key == first.key
    (tmp_path / "cam1.yaml").write_text(TEXT.replace("block: 10", "block: 12"))
    assert opened(load_config(tmp_path / "cam1.yaml")).key != first.key
    assert first.what == (
        "1 frame of 1 measured, blocks of 10, a warning after 2; locks clipped, out_of_focus, out_of_place; "
        "reference of 200 frames"
    )
