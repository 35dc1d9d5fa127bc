"""Controls that can't work are told before the line starts; maps that can't be judged give invalid records."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from support import lines
from support.lines import loaded, make_line, records, run

from edge.engines.protocol import Prediction
from edge.errors import UserError
from edge.line.recipe import open_model

NOTHING_LEFT = (
    "regions.roi: nothing is left to inspect\n"
    "  received: include, exclude and mask leave none of the map's 64 x 64 pixels\n"
    "  expected: at least one pixel whose centre is inside include and mask and outside exclude\n"
    "  fix: correct include, exclude or the mask picture"
)
FRAME = (
    "  expected: at most x = 64, y = 64: the frame is 64 x 64 pixels\n  fix: correct the shape, or give it in units norm"
)


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("threshold={high: 0.4, low: 0.5}", "cam1.yaml: regions.threshold: low (0.5) must not be above high (0.4)"),
        (
            "zones=[{shape: [0, 0, 1, 1], threshold: {high: 0.4, low: 0.5}}]",
            "cam1.yaml: regions.zones.0.threshold: low (0.5) must not be above high (0.4)",
        ),
        (
            "min_area_px=-1",
            "cam1.yaml: regions.min_area_px\n  received: -1\n  expected: input should be greater than or equal to 0",
        ),
        ("roi={include: [[0.1, 0.1, 0.4, 0.4]], exclude: [[0, 0, 0.5, 0.5]]}", NOTHING_LEFT),
        ("roi={mask: black.png}", NOTHING_LEFT),
        (
            "roi={units: image_px, include: [[100, 100, 200, 200]]}",
            f"regions.roi.include.0: outside the frame\n  received: reaches x = 200, y = 200\n{FRAME}",
        ),
        (
            "zones=[{units: image_px, shape: [0, 0, 64, 65], min_area_px: 3}]",
            f"regions.zones.0.shape: outside the frame\n  received: reaches x = 64, y = 65\n{FRAME}",
        ),
        (
            "border_px=32",
            "regions.border_px: nothing is left to inspect\n  received: 32 on a map of 64 x 64 pixels\n"
            "  expected: a band that leaves pixels of the ROI; it is counted in map pixels, not the frame's\n"
            "  fix: make it smaller",
        ),
        (
            "roi={mask: small.png}",
            "regions.roi.mask: another size than the frame\n  received: 32 x 48 pixels\n"
            "  expected: 64 x 64 pixels, grey\n  fix: draw it on a frame of this camera",
        ),
        (
            "min_area_px=4097",
            "regions.min_area_px: no region can be so large\n  received: 4097\n"
            "  expected: at most 4096: 4096 of the map's 64 x 64 pixels take part\n"
            "  fix: make it smaller; it is counted in map pixels, not the frame's",
        ),
        ("roi={mask: none.png}", "regions.roi.mask: none.png cannot be read: No such file or directory"),
        (
            "roi={mask: text.png}",
            "regions.roi.mask: text.png is no picture that can be read: not a PNG, JPEG, TIFF or BMP picture\n"
            "  expected: PNG, BMP or TIFF, above 0 where inspected",
        ),
    ],
)
def test_controls_that_cannot_work_are_told_before_the_line_starts(tmp_path: Path, override: str, text: str) -> None:
    """As ``edge check`` tells them, for frames of 64 x 64."""
    assert cv2.imwrite(str(tmp_path / "small.png"), np.full((48, 32), 255, np.uint8))
    assert cv2.imwrite(str(tmp_path / "black.png"), np.zeros((64, 64), np.uint8))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError) as caught:
        open_model(loaded(tmp_path, f"regions.{override}"))
    assert str(caught.value).replace(f"{tmp_path}/", "") == text


def test_a_minimum_area_above_the_maximum_is_told_before_the_line_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, "regions.min_area_px=20", "regions.max_area_px=10")
    assert str(caught.value) == f"{tmp_path}/cam1.yaml: regions: min_area_px (20) must not be above max_area_px (10)"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.zeros((64, 64)), "engine_error"),
        (np.zeros((64, 64), np.int32), "engine_error"),
        (np.zeros((64, 64, 1), np.float32), "engine_error"),
        (np.zeros((0, 0), np.float32), "engine_error"),
        (np.zeros((0, 64), np.float32), "engine_error"),
        (np.full((64, 64), np.nan, np.float32), "map_not_finite"),
        (np.full((64, 64), np.inf, np.float32), "map_not_finite"),
    ],
    ids=["float64", "int32", "three axes", "empty", "no rows", "all NaN", "all infinite"],
)
def test_a_map_that_can_not_be_judged_is_an_invalid_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: NDArray[np.float32], reason: str
) -> None:
    config = loaded(tmp_path, "source.frames=5")
    engine, criteria = open_model(config)
    good, count = engine.infer, iter(range(5))
    monkeypatch.setattr(engine, "infer", lambda image: Prediction(values, None, None) if next(count) == 2 else good(image))
    monkeypatch.setattr(lines, "open_model", lambda _config: (engine, criteria))
    assert run(make_line(config)) == 0
    told = [(r["verdict"], r["reason"], r["map_max"] is None) for r in records(tmp_path / "log")]
    assert told == [("pass", None, False)] * 2 + [("invalid", reason, True)] + [("pass", None, False)] * 2
