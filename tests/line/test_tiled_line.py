"""The whole line with a bundle that evens out the light and cuts tiles: replay is the live code, boxes are exact."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import orjson
import pytest
from support.graphs import graph_model, identity_model, node, tensor
from support.lines import loaded, make_line, records, run, stable_lines

from edge.cli._declared import illumination_of
from edge.cli.build import _tile
from edge.config.bundle_spec import BundleSpec
from edge.line.replay import ReplayOptions, replay
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from edge.models.good_frames import good_frames
from edge.models.write import write_bundle
from edge.sources.in_memory import MemorySource
from edge.sources.recorded import RecordedSource

LIGHT = {"homomorphic": {"cutoff": 0.25}, "clahe": {"grid": [4, 4]}, "gamma": 0.8, "contrast_stretch": {}}
FROZEN = {"frames": 9, "levels": [[30.0, 220.0]]}


def tiled_bundle(folder: Path, **keys: Any) -> None:
    base = {
        "name": "tiled",
        "input": {"channels": 1, "size": [24, 24]},
        "resize": {"where": "none"},
        "tile": {"size": [24, 24], "stride": [18, 15], "border_px": 2},
    }
    write_bundle(folder, identity_model(1, (24, 24)), BundleSpec.model_validate_json(orjson.dumps(base | keys)))


@pytest.mark.parametrize("light", [LIGHT | {"frozen": FROZEN}, LIGHT | {"statistics": "per_frame"}])
def test_what_a_live_run_recorded_replays_to_the_same_records(tmp_path: Path, light: dict[str, Any]) -> None:
    tiled_bundle(tmp_path / "bundle", illumination=light, resize={"where": "host", "size": [80, 56]})
    config = loaded(
        tmp_path,
        "source={kind: synthetic, width: 120, height: 84, fps: 15, frames: 30, defect_rate: 0.5}",
        "regions={threshold: {high: 0.97, low: 0.8}, min_area_px: 4, border_px: 2}",
        "outputs.evidence={dir: evidence, keep: [pass, fail, invalid], overlays: false}",
    )
    assert run(make_line(config)) == 0
    live = records(tmp_path / "log")
    assert any(r.get("regions") for r in live)
    source = RecordedSource(tmp_path / "evidence", "max", 10.0)
    code, line = replay(config, source, ReplayOptions(tmp_path / "again"), threading.Event(), lambda *_: None)
    assert code == 0
    assert stable_lines(records(tmp_path / "again")) == stable_lines(live)
    assert line.tally.accounted == 30


@pytest.mark.parametrize(("x", "y"), [(0, 0), (60, 44), (150, 90), (186, 134)])
def test_boxes_lie_where_the_defect_is(tmp_path: Path, x: int, y: int) -> None:
    """Frames of 200x150 resized to 100x75: a block of 10x8 at even pixels is one of 5x4 in the map."""
    tiled_bundle(tmp_path / "bundle", resize={"where": "host", "size": [100, 75]}, illumination={"gamma": 0.5})
    pixels = np.full((150, 200), 20, np.uint8)
    pixels[y : y + 8, x : x + 10] = 250
    config = loaded(tmp_path, "regions={threshold: {high: 0.9}}")
    assert run(make_line(config, source=MemorySource([pixels], 2))) == 0
    found = records(tmp_path / "log")
    assert [r["verdict"] for r in found] == ["fail"] * 2
    for record in found:
        (region,) = record["regions"]
        assert region["bbox_xyxy"] == [x, y, x + 10, y + 8]
        assert region["area_px"] == 80.0
        assert region["centroid_xy"] == [x + 4.5, y + 3.5]


def test_a_model_built_with_tiles_and_light_inspects_a_large_frame(tmp_path: Path) -> None:
    """From a foreign model to records: statistics are frozen on the good frames, and only the defect is found."""
    rng = np.random.default_rng(0)
    soft = cv2.resize(rng.uniform(60, 120, (3, 4)), (200, 150), interpolation=cv2.INTER_CUBIC)
    good = [np.clip(soft + rng.normal(0, 2, soft.shape), 0, 255).astype(np.uint8) for _ in range(6)]
    bad = good[0].copy()
    bad[70:74, 100:108] = 255
    (tmp_path / "good").mkdir()
    for index, pixels in enumerate(good):
        cv2.imwrite(str(tmp_path / "good" / f"{index}.png"), pixels)
    (tmp_path / "model.onnx").write_bytes(_brightness().SerializeToString())
    report = build(
        tmp_path / "model.onnx",
        tmp_path / "bundle",
        BuildOptions(
            tile=_tile("48,48", None, "hann", 0),
            illumination=illumination_of(["{contrast_stretch: {lower: 0, upper: 99.9}, gamma: 2.0}"]),
            frames=good_frames(tmp_path / "good"),
        ),
    )
    spec = report.bundle.spec
    assert spec.illumination is not None
    assert spec.illumination.frozen is not None
    assert spec.illumination.frozen.frames == 6
    config = loaded(tmp_path, "regions={threshold: {high: 1.0}, min_area_px: 12}")
    assert run(make_line(config, source=MemorySource([good[1], bad], 2))) == 0
    found = records(tmp_path / "log")
    assert [r["verdict"] for r in found] == ["pass", "fail"]
    assert [r["bbox_xyxy"] for r in found[1]["regions"]] == [[100, 70, 108, 74]]


def _brightness() -> onnx.ModelProto:
    """A foreign model of 48x48 whose map is its picture, 0 to 1."""
    shape = ["n", 1, 48, 48]
    return graph_model(
        [node("Identity", ["image"], ["anomaly_map"])],
        [tensor("image", onnx.TensorProto.FLOAT, shape)],
        [tensor("anomaly_map", onnx.TensorProto.FLOAT, shape)],
    )
