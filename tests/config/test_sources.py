"""What each kind of source answers to the rooms that don't ask for its kind."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from edge.config.sources import SourceConfig, SourceSection


def section(**keys: Any) -> SourceSection:
    config: SourceSection = TypeAdapter(SourceConfig).validate_json(TypeAdapter(dict[str, Any]).dump_json(keys))
    return config


TRAITS = ("paced", "levels", "frame_size", "wanted_size", "wanted_fps", "reconnect_limit", "may_be_gige")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"kind": "genicam"}, (True, (16, None), None, None, None, 100, True)),
        (
            {"kind": "genicam", "producer": "simulated", "max_reconnects": None},
            (True, (16, None), None, None, None, None, False),
        ),
        ({"kind": "genicam", "bit_depth": 8, "window": [64, 3000]}, (True, (8, (64, 3000)), None, None, None, 100, True)),
        (
            {"kind": "genicam", "features": [["Width", 400], ["Height", 300], ["AcquisitionFrameRate", 20]]},
            (True, (16, None), None, (400, 300), 20.0, 100, True),
        ),
        ({"kind": "recorded", "path": "a", "fps": 4}, (True, (16, None), None, None, 4.0, None, False)),
        ({"kind": "recorded", "path": "a", "pace": "max"}, (False, (16, None), None, None, None, None, False)),
        (
            {"kind": "synthetic", "width": 64, "height": 48, "fps": 12.5},
            (True, (16, None), (64, 48), (64, 48), 12.5, None, False),
        ),
        ({"kind": "synthetic", "fps": None}, (False, (16, None), (512, 512), (512, 512), None, None, False)),
        ({"kind": "snapshot", "address": "http://cam/1"}, (True, (16, None), None, None, 1.0, None, False)),
        (
            {"kind": "snapshot", "address": "http://cam/1", "interval_s": 4},
            (True, (16, None), None, None, 0.25, None, False),
        ),
        ({"kind": "watched_folder", "path": "in"}, (False, (16, None), None, None, None, None, False)),
        ({"kind": "opencv", "device": 0}, (True, (16, None), None, None, None, None, False)),
        (
            {"kind": "opencv", "device": 0, "width": 640, "height": 480, "fps": 30},
            (True, (16, None), None, (640, 480), 30.0, None, False),
        ),
    ],
    ids=str,
)
def test_a_kind_answers_for_itself(keys: dict[str, Any], expected: tuple[object, ...]) -> None:
    config = section(**keys)
    assert tuple(getattr(config, trait) for trait in TRAITS) == expected


def test_of_a_feature_written_twice_the_last_value_counts_and_no_text_or_switch_is_a_number() -> None:
    features = [["AcquisitionFrameRate", 20], ["AcquisitionFrameRate", 25.5], ["Width", "Max"], ["Height", True]]
    config = section(kind="genicam", features=features)
    assert (config.wanted_fps, config.wanted_size) == (25.5, None)


def refused(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        section(**keys)
    return str(caught.value)


def test_a_camera_is_named_by_one_mark() -> None:
    assert "name the camera by one of serial, device_user_id, mac and ip; got device_user_id and ip" in refused(
        kind="genicam", device_user_id="left", ip="10.0.0.7"
    )
    for mac in ("00:30:53:1A:2B:3C", "00-30-53-1a-2b-3c", "0030.531a.2b3c", "0030531a2b3c"):
        assert getattr(section(kind="genicam", mac=mac), "mac") == "00:30:53:1a:2b:3c"  # noqa: B009
    for mac in ("00:30:53:1a:2b", "left", "", "00:30:53:1a:2b:3g"):
        assert "six pairs of hexadecimal digits, for example 00:30:53:1a:2b:3c" in refused(kind="genicam", mac=mac)
    for ip in ("cam.plant", "10.0.0", "10.0.0.256", "fe80::1", "0.0.0.0"):
        assert "an IPv4 address, for example 192.168.1.10" in refused(kind="genicam", ip=ip)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"taken": "move"}, "taken: move and move_to belong together"),
        ({"move_to": "done"}, "taken: move and move_to belong together"),
        ({"taken": "delete", "move_to": "done"}, "taken: move and move_to belong together"),
        (
            {"at_start": "take"},
            "at_start: take needs taken: delete or move, or every start would take all of them again",
        ),
        ({"taken": "forget"}, "'keep', 'delete' or 'move'"),
    ],
)
def test_settings_of_a_watched_folder_that_do_not_fit_are_refused(keys: dict[str, Any], text: str) -> None:
    assert text in refused(kind="watched_folder", path="in", **keys)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (
            {"device": "rtsp://cam/1", "fourcc": "MJPG"},
            "fourcc is set in V4L2 devices (0, /dev/video0), and device is none",
        ),
        ({"device": "clip.avi", "focus": 3}, "focus is set in V4L2 devices (0, /dev/video0), and device is none"),
        ({"device": "v4l2src ! appsink", "controls": [["gain", 3]]}, "controls is set in V4L2 devices"),
        ({"device": 0, "transport": "udp"}, "transport belongs to an address rtsp://..., and device is none"),
        ({"device": "http://cam/1", "transport": "tcp"}, "transport belongs to an address rtsp://..., and device is none"),
        ({"device": 0, "fourcc": "MJPEG"}, "^[ -~]{4}$"),
        ({"device": 0, "controls": [["gain", 3.5]]}, "a control is [name, integer], for example [gain, 10]"),
        ({"device": 0, "controls": {"gain": 3}}, "a list of controls, each [name, integer], for example [[gain, 10]]"),
        ({"device": 0, "exposure_us": "manual"}, "'auto'"),
    ],
)
def test_settings_of_another_kind_of_device_are_refused(keys: dict[str, Any], text: str) -> None:
    assert text in refused(kind="opencv", **keys)


def test_what_changes_a_webcam_s_pixels_is_in_the_key_of_a_calibration() -> None:
    keys = {"fourcc": "MJPG", "exposure_us": 5000.0, "white_balance_k": "auto", "focus": 3}
    controls = [["gain", 3], ["hflip", True]]
    config = section(kind="opencv", device="/dev/v4l/by-id/x", controls=controls, fps=30, max_repeats=None, **keys)
    assert config.pixel_settings == keys | {"controls": [["gain", 3], ["hflip", 1]]}
    assert section(kind="opencv", device="rtsps://cam/1", transport="udp").pixel_settings == {}


def test_bits_of_files_are_in_the_key_of_a_calibration_and_what_becomes_of_files_is_not() -> None:
    plain = section(kind="watched_folder", path="in", taken="delete", settle_s=1, late_after_s=None, at_start="take")
    assert plain.pixel_settings == {}
    assert section(kind="watched_folder", path="in", bits=12).pixel_settings == {"bits": 12}


def test_every_kind_is_a_source_section() -> None:
    (union, _) = get_args(SourceConfig)
    assert all(issubclass(kind, SourceSection) for kind in get_args(union))
