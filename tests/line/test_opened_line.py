"""``edge.open``: a Python program gets the verdicts that a replay gives, and errors that say how to mend them."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.graphs import write_identity_bundle
from support.lines import loaded, records, stable_lines

import edge
from edge.errors import UserError
from edge.line.replay import ReplayOptions, replay
from edge.sources.recorded import RecordedSource
from edge.storage.pictures import write_png
from edge.wire.read import stable

CONFIG = """\
camera: cam1
recipe_id: tile-40
runtime_dir: run
source: {kind: recorded, path: frames}
model: {bundle: bundle, engine: onnx}
regions: {threshold: {high: 0.8, low: 0.6}, min_area_px: 4, roi: {units: norm, include: [[0, 0, 1, 0.9]]}}
outputs: {zmq: null, jsonl: {dir: log, sync: none}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A line over a bundle that shows brightness, and pictures: dark, with a spot, with a speck, colour, 12 bits, spot at
    the edge.
    """
    loaded(tmp_path, text=CONFIG)
    (tmp_path / "frames").mkdir()
    pictures: list[Any] = [np.full((48, 64), 20 + k, np.uint8) for k in range(6)]
    pictures[1][10:20, 30:42] = 240
    pictures[2][5, 5] = 255
    pictures[3] = np.dstack([pictures[3]] * 3)
    pictures[4] = pictures[4].astype(np.uint16)
    pictures[5][44:, 40:] = 250
    for k, pixels in enumerate(pictures):
        write_png(tmp_path / "frames" / f"{k}.png", pixels)
    return tmp_path


def test_results_are_a_replays_records(folder: Path) -> None:
    config = loaded(folder, text=CONFIG)
    source = RecordedSource(folder / "frames", "max", 10.0)
    replay(config, source, ReplayOptions(folder / "out"), threading.Event(), lambda *_: None)
    replayed = records(folder / "out")

    with edge.open(folder / "cam1.yaml") as line:
        results = [line.inspect(folder / "frames" / f"{k}.png") for k in range(6)]

    assert stable_lines([result.record for result in results]) == stable_lines(replayed)
    assert [result.verdict for result in results][:3] == ["pass", "fail", "pass"]


def test_a_result_holds_map_mask_regions_and_what_was_dropped(folder: Path) -> None:
    with edge.open(folder / "cam1.yaml") as line:
        spot, speck = line.inspect(folder / "frames" / "1.png"), line.inspect(folder / "frames" / "2.png")

    assert spot.verdict == "fail"
    assert [region.bbox_xyxy for region in spot.regions] == [(30, 10, 42, 20)]
    assert spot.map is not None
    assert spot.mask is not None
    assert (spot.map.shape, spot.map.dtype, float(spot.map.max())) == ((48, 64), np.float32, pytest.approx(240 / 255))
    assert (int((spot.mask == 255).sum()), spot.map_to_image) == (120, (1.0, 1.0, 0.0, 0.0))
    assert (spot.map_max, spot.threshold, spot.reason) == (pytest.approx(240 / 255), 0.8, None)
    assert [(one.filter, one.value, one.limit) for one in speck.dropped] == [("min_area_px", 1.0, 4.0)]
    assert repr(spot) == "<fail, 1 regions, highest 0.9412, threshold 0.8>"


def test_a_result_is_the_callers_own(folder: Path) -> None:
    pixels = np.full((48, 64), 30, np.uint8)
    with edge.open(folder / "cam1.yaml") as line:
        first = line.inspect(pixels)
        assert first.map is not None
        kept, drawn = first.map.copy(), first.overlay().copy()
        pixels[:] = 255
        for _ in range(6):
            line.inspect(pixels)
    assert np.array_equal(first.map, kept)
    assert np.array_equal(first.overlay(), drawn)


def test_an_array_is_judged_as_its_file_is(folder: Path) -> None:
    with edge.open(folder / "cam1.yaml") as line:
        for k in (0, 1, 2, 4, 5):
            pixels = cv2.imread(str(folder / "frames" / f"{k}.png"), cv2.IMREAD_UNCHANGED)
            of_file, of_array = line.inspect(folder / "frames" / f"{k}.png"), line.inspect(pixels)
            differing = {"seq", "frame_id", "frame_ref"}
            told, given = stable(of_file.record), stable(of_array.record)
            assert {k: v for k, v in told.items() if k not in differing} == {
                k: v for k, v in given.items() if k not in differing
            }


def test_pictures_are_shown_by_notebooks(folder: Path) -> None:
    with edge.open(folder / "cam1.yaml") as line:
        result = line.inspect(folder / "frames" / "1.png")
    for picture in (result.overlay(), result.explain()):
        assert (picture.dtype, picture.ndim, picture.shape[2]) == (np.uint8, 3, 3)
        shown = picture._repr_png_()
        assert shown is not None
        decoded = cv2.imdecode(np.frombuffer(shown, np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(decoded[..., ::-1], picture)
        assert (picture / 2.0)._repr_png_() is None  # no picture any more


def test_a_bundle_opens_with_a_threshold(folder: Path) -> None:
    with edge.open(folder / "bundle", threshold=(0.8, 0.6), regions={"min_area_px": 4}, engine="onnx") as line:
        result = line.inspect(folder / "frames" / "1.png")
    assert [region.bbox_xyxy for region in result.regions] == [(30, 10, 42, 20)]
    assert (result.record["camera"], result.record["simulated"], result.record["recipe_id"]) == ("python", True, None)


def test_regions_and_threshold_override_the_config(folder: Path) -> None:
    with edge.open(folder / "cam1.yaml", threshold=0.97, regions={"min_area_px": 1}, overrides=["deadline_ms=5"]) as line:
        spot, speck = line.inspect(folder / "frames" / "1.png"), line.inspect(folder / "frames" / "2.png")
    assert (spot.verdict, speck.verdict, spot.threshold) == ("pass", "fail", 0.97)


def test_a_frame_that_the_model_cannot_take_is_invalid(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "bundle", size=(64, 48))
    with edge.open(tmp_path / "bundle", threshold=0.8, engine="onnx") as line:
        result = line.inspect(np.zeros((50, 64), np.uint8))
        assert (result.verdict, result.reason, result.map, result.mask) == ("invalid", "frame_size", None, None)
        assert result.overlay().shape[2] == result.explain().shape[2] == 3


@pytest.mark.parametrize(
    ("picture", "bits", "text"),
    [
        (
            np.zeros((4, 4), np.float32),
            None,
            "another type\n  received: shape (4, 4), float32\n  expected: uint8",
        ),
        (np.zeros((4, 4), np.bool_), None, "another type\n  received: shape (4, 4), bool"),
        (np.zeros((4, 4, 4), np.uint8), None, "another shape\n  received: shape (4, 4, 4), uint8\n  expected: (H, W) grey"),
        (np.zeros((0, 4), np.uint8), None, "another shape\n  received: shape (0, 4), uint8"),
        (np.zeros(4, np.uint8), None, "another shape"),
        (np.zeros((4, 4), np.uint8), 12, "bits=12 doesn't go with the array"),
        (np.zeros((4, 4), np.uint16), 9, "bits=9 doesn't go with the array"),
        (
            np.full((4, 4), 5000, np.uint16),
            12,
            "above what 12 bits hold\n  received: 5000\n  expected: at most 4095",
        ),
    ],
)
def test_an_array_of_another_kind_is_refused(folder: Path, picture: Any, bits: int | None, text: str) -> None:
    with edge.open(folder / "cam1.yaml") as line, pytest.raises(UserError) as error:
        line.inspect(picture, bits=bits)
    assert text in str(error.value)


def test_a_file_that_is_no_picture_is_refused(folder: Path) -> None:
    (folder / "cut.png").write_bytes((folder / "frames" / "1.png").read_bytes()[:60])
    write_png(folder / "deep.png", np.full((4, 4), 5000, np.uint16))
    with edge.open(folder / "cam1.yaml") as line:
        for path, bits, text in (
            (folder / "none.png", None, "none.png: no such file\n  expected: a PNG, JPEG, TIFF or BMP file, or an array"),
            (folder / "frames", None, "frames: no picture\n"),
            (folder / "cam1.yaml", None, f"fix: for folders, videos and recordings: edge replay {folder / 'cam1.yaml'}"),
            (folder / "cut.png", None, "cut.png: cannot be read: PNG"),
            (folder / "deep.png", 12, "deep.png: a value is above what 12 bits hold"),
        ):
            with pytest.raises(UserError) as error:
                line.inspect(path, bits=bits)
            assert text in str(error.value)


def test_what_cannot_be_opened_says_why(folder: Path) -> None:
    cases: list[tuple[Path, dict[str, Any], str]] = [
        (
            folder / "nothing",
            {},
            "nothing: no such file or folder\n  expected: a line's config (YAML)",
        ),
        (folder / "bundle", {}, "a bundle says nothing about what is a defect\n  expected: threshold=HIGH"),
        (
            folder / "bundle",
            {"threshold": 2, "overrides": ["deadline_ms=5"]},
            "a bundle has no config",
        ),
        (folder / "bundle", {"threshold": (1, 2)}, "low (2.0) must not be above high (1.0)"),
        (folder / "bundle", {"threshold": 2, "regions": {"min_are_px": 3}}, "min_are_px"),
        (folder / "frames", {"threshold": 2}, "bundle.yaml"),
    ]
    for path, options, text in cases:
        with pytest.raises(UserError) as error:
            edge.open(path, **options)
        assert text in str(error.value)


def test_a_closed_line_says_so(folder: Path) -> None:
    line = edge.open(folder / "cam1.yaml")
    line.close()
    line.close()
    with pytest.raises(UserError, match="the line was closed"):
        line.inspect(np.zeros((48, 64), np.uint8))


def test_the_names_are_imported_when_they_are_asked_for() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, edge; print('numpy' in sys.modules, set(edge.__all__) <= set(dir(edge)))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["False", "True"]
    with pytest.raises(AttributeError, match="module 'edge' has no attribute 'opne'"):
        edge.opne  # noqa: B018
