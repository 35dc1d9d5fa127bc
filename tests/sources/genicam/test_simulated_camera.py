"""The whole daemon on a real GenTL producer: the simulated camera of the genicam package."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.graphs import write_identity_bundle
from support.lines import frame_ids, records

from edge import demo
from edge.config.load import load_config
from edge.frames import Skip
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.run import run_line
from edge.outputs.open import live_outputs
from edge.sources.open import open_source
from edge.storage.recording import read_recording

pytestmark = pytest.mark.skipif(not demo.camera_installed(), reason="the genicam package (extra camera) is not installed")


def iou(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def ball(pixels: np.ndarray[Any, Any]) -> tuple[int, int, int, int]:
    """Box of everything that is not the white scene, found by looking at each pixel."""
    rows, columns = np.nonzero(pixels < 128)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def test_the_demo_boxes_the_ball_and_passes_the_good_part(tmp_path: Path) -> None:
    """Size 30: IoU of the record's box and the ball found in the pixels >= 0.85 on >= 95 %. Size 1: pass on >= 99 %."""
    loaded = demo.prepare_demo(tmp_path / "demo", lambda _: None, camera=True)
    path = loaded.path
    path.write_text(path.read_text().replace("- fail\n    - invalid", "- pass\n    - fail\n    - invalid"))
    loaded = load_config(path, [f"runtime_dir={tmp_path}/run", "outputs.evidence.overlays=false"])
    assert loaded.config.outputs.evidence is not None
    assert "pass" in loaded.config.outputs.evidence.keep
    assert demo.inspect_live(loaded, 7.0, lambda *_: None) == 0
    found = records(path.parent / "log")
    by_id = {r["frame_id"]: r for r in found if r["kind"] == "inspection"}
    good = [r for r in by_id.values() if r["verdict"] == "pass"]
    bad = [r for r in by_id.values() if r["verdict"] == "fail"]
    assert len(good) > 10  # of 210 frames, on a machine that is busy
    assert len(bad) > 10
    right_pass = right_box = small = large = 0
    for frame in read_recording(path.parent / "evidence"):
        if isinstance(frame, Skip):  # a machine that is busy loses frames
            continue
        pixels: Any = frame.pixels
        record = by_id[frame.meta.frame_id]
        box = ball(pixels)
        if box[2] - box[0] == 30:
            large += 1
            right_box += any(iou(tuple(r["bbox_xyxy"]), box) >= 0.85 for r in record["regions"])
        elif box[2] - box[0] <= 2:
            small += 1
            right_pass += record["verdict"] == "pass"
    assert right_box >= 0.95 * large > 10
    assert right_pass >= 0.99 * small > 10


SECONDS = 4.0
"""The short form of 30 s, which stands behind the marker soak."""


@pytest.mark.parametrize("seconds", [SECONDS, pytest.param(30.0, marks=pytest.mark.soak)])
def test_at_the_camera_s_limit_every_frame_is_accounted_for(tmp_path: Path, seconds: float) -> None:
    """About 187 fps at 800x800 through ring, identity engine and all outputs: the sum rule exact, in order."""
    write_identity_bundle(tmp_path / "bundle")
    path = tmp_path / "cam1.yaml"
    path.write_text(
        "camera: cam1\nruntime_dir: run\nmodel: {bundle: bundle}\nregions: {threshold: {high: 2.0}}\n"
        "source:\n  kind: genicam\n  producer: simulated\n  serial: '0'\n  buffers: 64\n"
        "  features: [[PixelFormat, Mono8], [Width, 800], [Height, 800], [AcquisitionFrameRate, 200]]\n"
        "outputs: {zmq: {}, jsonl: {dir: log}, evidence: {dir: evidence}}\nring: {slots: 32}\n"
    )
    (tmp_path / "run").mkdir()
    loaded = load_config(path)
    engine, criteria = open_model(loaded)
    source = demo.Timed(open_source(loaded.config.source, "cam1", tmp_path), seconds)
    line = Line(
        loaded,
        source,
        engine,
        criteria,
        lambda i: live_outputs(loaded.resolved, tmp_path / "run", i, loaded.texts),
        drops=True,
    )
    stop = threading.Event()
    line.start(stop)
    assert run_line(line, stop, lambda *_: None) == 0
    found = records(tmp_path / "log")
    ids = frame_ids(found)
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert line.source.status().announced == line.tally.accounted == len(ids)
    assert len(ids) > 100 * seconds
    lost = sum(line.tally.skipped_frames.values())
    print(f"{len(ids)} frames in {seconds} s, {lost} lost ({lost / len(ids):.2%})")
