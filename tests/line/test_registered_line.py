"""A line whose bundle registers: parts out of place are invalid, and defects lie where the camera saw them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.lines import loaded, make_line, records, run

from edge.config.sources import SyntheticConfig
from edge.frames import Frame, FrameMeta
from edge.models.fit.fit import FitRun, fit_to_bundle
from edge.sources.synthetic.parts import synthetic_part
from edge.storage.pictures import write_png

SIDE = 128
CONFIG = """\
camera: cam1
runtime_dir: run
source: {kind: recorded, path: frames, pace: max}
model: {bundle: bundle, engine: onnx}
regions: {threshold: {high: 2.5}, border_px: 2}
outputs: {zmq: null, jsonl: {dir: log, sync: none}}
"""


def part(index: int, *, bad: bool = False) -> Any:
    config = SyntheticConfig(kind="synthetic", preset="pinned", width=SIDE, height=SIDE, defect_rate=float(bad))
    return synthetic_part(config, index)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 20 good frames; six frames to inspect: good, moved, absent, good, turned, bad."""
    root = tmp_path_factory.mktemp("registered")
    frames = [
        Frame(FrameMeta(k, "counted", SIDE, SIDE, "Mono8", 0, 0, frame_ref=f"{k}.png"), part(k).pixels) for k in range(20)
    ]
    fit_to_bundle(frames, root / "bundle", run=FitRun(test=False))
    shown = [
        part(30).pixels,
        np.roll(part(31).pixels, 40, axis=1),
        np.full((SIDE, SIDE), 50, np.uint8),
        part(33).pixels,
        np.rot90(part(34).pixels, 1, (0, 1))[::-1].copy(),
        part(35).pixels.copy(),
    ]
    shown[5][50:58, 84:92] = 20
    (root / "frames").mkdir()
    for k, pixels in enumerate(shown):
        write_png(root / "frames" / f"{k}.png", pixels)
    return root


def inspected(folder: Path) -> list[dict[str, Any]]:
    config = loaded(folder, text=CONFIG)
    line = make_line(config)
    assert run(line) == 0
    return records(folder / "log")


def test_what_lies_elsewhere_is_invalid_and_a_defect_is_told_where_the_camera_saw_it(folder: Path) -> None:
    told = inspected(folder)
    assert [(r["verdict"], r["reason"]) for r in told][:4] == [
        ("pass", None),
        ("invalid", "part_out_of_place"),
        ("invalid", "part_out_of_place"),
        ("pass", None),
    ]
    assert told[4]["verdict"] != "pass"
    assert told[5]["verdict"] == "fail"
    largest = max(told[5]["regions"], key=lambda region: region["score_max"])
    x0, y0, x1, y1 = largest["bbox_xyxy"]
    assert x0 <= 84 + 2
    assert x1 >= 92 - 2
    assert y0 <= 50 + 2
    assert y1 >= 58 - 2
    assert max(x1 - x0, y1 - y0) < 40
