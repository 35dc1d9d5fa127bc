"""What changes the map that thresholds are compared with stands in the calibration's key, and every frame is held to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import TypeAdapter
from support.fits import pixel_bundle
from support.graphs import write_identity_bundle
from support.lines import loaded, make_line, records, run

from edge.config.calibration import calibration_key
from edge.config.regions import RegionsConfig
from edge.config.sources import GenicamConfig, RecordedConfig, SourceConfig
from edge.errors import UserError
from edge.frames import AnomalyMap, FrameMeta
from edge.line.recipe import open_model
from edge.models.calibrate.measure import measure
from edge.preprocess.pixel_formats import decode_payload
from edge.regions.plans import RegionPlans
from edge.regions.smooth import smooth_inside
from edge.sources.in_memory import MemorySource
from edge.storage.calibration_file import save_calibration
from edge.storage.frames_on_disk import read_frames

SIZE = 40, 30
RNG = np.random.default_rng(0)
VALUES = RNG.random((30, 40)).astype(np.float32)
SAMPLES = RNG.integers(0, 4096, (30, 40), np.uint16)

REGIONS: dict[str, Any] = {
    "roi": {"include": [[0.1, 0.1, 0.6, 0.7]]},
    "border_px": 3,
    "smooth": {"kind": "median", "size": 3},
    "threshold": {"high": 0.9},
    "zones": [{"shape": [0.0, 0.0, 0.5, 0.5], "threshold": {"high": 0.7}}],
    "open_px": 3,
    "close_px": 3,
    "min_area_px": 9,
    "max_area_px": 99,
    "min_score_max": 0.5,
    "min_score_mean": 0.5,
    "min_fill_ratio": 0.5,
    "max_aspect_ratio": 3.0,
    "min_solidity": 0.5,
    "fill_holes": True,
    "dilate_px": 3,
    "merge_gap_px": 2,
    "sort_by": "area",
    "max_regions": 3,
    "polygons": True,
}
"""A changed value of every key of ``regions``."""
GENICAM: dict[str, Any] = {
    "producer": "a.cti",
    "serial": "1",
    "device_user_id": "left",
    "mac": "00:30:53:1a:2b:3c",
    "ip": "192.168.1.10",
    "buffers": 8,
    "features": [["Gain", 3.0]],
    "software_trigger_hz": 2.0,
    "part_id": "ChunkCounterValue",
    "chunks": ["ChunkGain"],
    "bit_depth": 8,
    "window": [100, 3000],
    "bayer": "GB",
    "max_repeats": 3,
    "max_reconnects": 3,
}
"""A changed value of every key of a GenICam source."""


def regions(**changes: Any) -> RegionsConfig:
    return TypeAdapter(RegionsConfig).validate_python({"threshold": {"high": 0.5}, **changes}, strict=False)


def compared(config: RegionsConfig) -> bytes:
    """The pixels that a threshold is compared with, and measured on."""
    plan = RegionPlans(config, None, 0.5, None).plan(AnomalyMap(VALUES, (1, 1, 0, 0)), *SIZE)
    return smooth_inside(VALUES, plan).tobytes()


def test_every_key_of_the_regions_is_tried() -> None:
    assert set(REGIONS) == set(RegionsConfig.model_fields)


@pytest.mark.parametrize("name", list(REGIONS))
def test_a_key_of_the_regions_that_changes_the_map_is_in_the_key_and_no_other_is(name: str) -> None:
    plain, changed = regions(), regions(**{name: REGIONS[name]})
    keys = [calibration_key(config, "a" * 64, "fp32", None) for config in (plain, changed)]
    assert (compared(plain) != compared(changed)) == (keys[0] != keys[1])


def source(**keys: Any) -> Any:
    return TypeAdapter(SourceConfig).validate_python({"kind": "genicam", **keys}, strict=False)


def pixels(config: GenicamConfig) -> bytes:
    """What the model gets of one Bayer picture of 12 bits, as ``sources.genicam.buffer`` and the infer stage make it."""
    gain = next((value for name, value in config.features if name == "Gain"), 1.0)  # done in the camera
    samples = np.minimum(SAMPLES * float(gain), 4095).astype("<u2")
    meta = FrameMeta(0, "device", 40, 30, f"Bayer{config.bayer or 'RG'}12", 0, 0)
    return decode_payload(meta, samples.reshape(-1).view(np.uint8), *config.levels).pixels.tobytes()


def test_every_key_of_a_camera_is_tried() -> None:
    assert {*GENICAM, "kind"} == set(GenicamConfig.model_fields)


@pytest.mark.parametrize("name", list(GENICAM))
def test_a_key_of_the_camera_that_changes_pixels_is_in_the_key_and_no_other_is(name: str) -> None:
    base = {"bit_depth": 8} if name == "window" else {}
    plain, changed = source(**base), source(**base, **{name: GENICAM[name]})
    keys = [calibration_key(regions(), "a" * 64, "fp32", None, source=config) for config in (plain, changed)]
    assert (pixels(plain) != pixels(changed)) == (keys[0] != keys[1])


@pytest.mark.parametrize(
    ("feature", "counts"),
    [
        *(
            (name, True)
            for name in ("ExposureTime", "Gain", "BlackLevel", "Gamma", "BinningHorizontal", "Width", "OffsetX")
        ),
        *(
            (name, True)
            for name in ("PixelFormat", "ReverseX", "LUTEnable", "BalanceRatio", "UserSetLoad", "VendorSharpness")
        ),
        *(
            (name, False)
            for name in ("TriggerMode", "AcquisitionFrameRate", "LineSelector", "GevSCPSPacketSize", "ChunkEnable")
        ),
    ],
)
def test_features_count_unless_they_are_known_to_leave_pixels_as_they_are(feature: str, counts: bool) -> None:
    assert bool(source(features=[[feature, 1]]).pixel_settings) == counts


def test_the_bits_that_a_recorded_source_declares_are_in_the_key() -> None:
    assert RecordedConfig(kind="recorded", path=Path("x"), bits=12).pixel_settings == {"bits": 12}
    assert RecordedConfig(kind="recorded", path=Path("x"), fps=3.0).pixel_settings == {}


def grey(level: int = 100, size: tuple[int, int] = SIZE, dtype: type = np.uint8) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(level).integers(0, 3, (size[1], size[0]))
    return ((noise + level) * (257 if dtype is np.uint16 else 1)).astype(dtype)


CALIBRATED = ("calibration=c.yaml", "regions.threshold=calibrated")


def calibrated(folder: Path) -> None:
    """A calibration on grey frames of 8 bits."""
    write_identity_bundle(folder / "bundle")
    (folder / "good").mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / "good" / f"{index}.png"), grey(90 + index))
    config = loaded(folder, *CALIBRATED)
    calibration, _ = measure(config.resolved, lambda: read_frames(folder / "good"), source="good")
    save_calibration(calibration, folder / "c.yaml")


def verdicts(folder: Path, picture: np.ndarray[Any, Any], *changes: str) -> set[tuple[str, str | None]]:
    replayed = "source={kind: recorded, path: x, pace: max}"  # the frames are given, the size is not the config's
    assert run(make_line(loaded(folder, replayed, *changes), source=MemorySource([picture], 2))) == 0
    return {(record["verdict"], record["reason"]) for record in records(folder / "log")}


TRAITS = {
    "as measured": (grey(95), ("pass", None)),
    "wider": (grey(95, (60, 30)), ("invalid", "frame_size")),
    "turned": (np.ascontiguousarray(grey(95).T), ("invalid", "frame_size")),
    "half the size": (grey(95, (20, 15)), ("invalid", "frame_size")),
    "in colour": (np.stack([grey(95)] * 3, axis=2), ("invalid", "frame_kind")),
    "of 16 bits": (grey(95, dtype=np.uint16), ("invalid", "frame_kind")),
}


@pytest.mark.parametrize("trait", list(TRAITS))
def test_a_frame_of_another_kind_than_the_thresholds_were_measured_on_gets_no_verdict(tmp_path: Path, trait: str) -> None:
    """From the first frame on: a camera that forgot its settings is not taken for right."""
    calibrated(tmp_path)
    picture, expected = TRAITS[trait]
    assert verdicts(tmp_path, picture, *CALIBRATED) == {expected}


@pytest.mark.parametrize("trait", list(TRAITS))
def test_a_frame_of_another_kind_than_the_model_was_fitted_on_gets_no_verdict(tmp_path: Path, trait: str) -> None:
    (tmp_path / "good").mkdir()
    for index in range(12):
        cv2.imwrite(str(tmp_path / "good" / f"{index}.png"), grey(90 + index))
    pixel_bundle(read_frames(tmp_path / "good"), tmp_path / "bundle")
    picture, expected = TRAITS[trait]
    assert verdicts(tmp_path, picture, "regions.threshold={high: 6.0}") == {expected}


def test_the_frame_size_of_the_model_section_binds_every_engine(tmp_path: Path) -> None:
    write_identity_bundle(tmp_path / "bundle", size=(20, 15), resize=True)
    changes = ("model.frame_size=[40, 30]", "model.engine=onnx")
    assert verdicts(tmp_path, grey(95), *changes) == {("pass", None)}
    (tmp_path / "other").mkdir()
    write_identity_bundle(tmp_path / "other" / "bundle", size=(20, 15), resize=True)
    assert verdicts(tmp_path / "other", grey(95, (80, 60)), *changes) == {("invalid", "frame_size")}


def refusal(folder: Path, *changes: str) -> str:
    with pytest.raises(UserError) as caught:
        open_model(loaded(folder, *CALIBRATED, *changes))
    return str(caught.value)


def test_a_calibration_made_with_other_settings_of_the_camera_is_refused_with_both(tmp_path: Path) -> None:
    calibrated(tmp_path)
    window = "source={kind: genicam, bit_depth: 8, window: [0, 60000]}"
    assert refusal(tmp_path, window) == (
        f"{tmp_path / 'c.yaml'}: the calibration was made with another source.bit_depth, source.window\n"
        "  received: source.bit_depth: 8; source.window: [0, 60000]\n"
        "  expected: source.bit_depth: the default; source.window: the default\n"
        "  fix: run edge calibrate again, or undo the change"
    )


def test_a_model_frame_size_that_the_good_frames_had_not_is_refused(tmp_path: Path) -> None:
    calibrated(tmp_path)
    assert refusal(tmp_path, "model.frame_size=[80, 60]") == (
        "model.frame_size: the good frames had another size\n  received: 80x60\n  expected: 40x30 grey, 8 bits\n"
        "  fix: correct it, or fit and calibrate on frames of this size"
    )


def test_an_older_calibration_holds_for_lines_without_settings_that_it_could_not_tell(tmp_path: Path) -> None:
    calibrated(tmp_path)
    text = (tmp_path / "c.yaml").read_text()
    (tmp_path / "c.yaml").write_text(text[: text.index("  frames:")])
    assert verdicts(tmp_path, grey(95), *CALIBRATED) == {("pass", None)}
    assert "source.bayer" in refusal(tmp_path, "source={kind: genicam, bayer: RG}")
