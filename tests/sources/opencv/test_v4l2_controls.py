"""Exposure, white balance, focus and other controls of a V4L2 device: set in order, read back, refused in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import pytest
from support.v4l2_device import Webcam
from support.waits import until

from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.sources.open import check_source, device_findings
from edge.sources.opencv import device as opencv_device
from edge.sources.opencv import reader as opencv_reader
from edge.sources.opencv import v4l2_controls as v4l2
from edge.sources.opencv.source import OpencvSource
from edge.sources.opencv.v4l2_controls import apply_controls, control_name, opened_node
from tests.sources.opencv.test_source import FakeCapture

NODE = "/dev/null"
"""A device node that every user may open; what it answers is the webcam's."""


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> Webcam:
    webcam = Webcam()
    monkeypatch.setattr(v4l2, "ioctl", webcam.ioctl)
    return webcam


def config(**keys: Any) -> OpencvConfig:
    return OpencvConfig(kind="opencv", device=NODE, **keys)


def applied(**keys: Any) -> None:
    with opened_node(Path(NODE)) as node:
        apply_controls(config(**keys), node)


def test_names_are_those_of_v4l2_ctl() -> None:
    for kernel, name in (
        (b"Exposure, Auto\0\0", "exposure_auto"),
        (b"White Balance Temperature, Auto", "white_balance_temperature_auto"),
        (b"Exposure Time, Absolute\0junk", "exposure_time_absolute"),
        (b"Zoom, Absolute (x10)", "zoom_absolute_x10"),
    ):
        assert control_name(kernel) == name


def test_the_kernel_s_own_answer_of_a_node_without_controls() -> None:
    """The real call: its numbers are those of the kernel's headers."""
    with opened_node(Path(NODE)) as node:
        assert node.controls() == {}
        with pytest.raises(OSError, match="Inappropriate ioctl"):
            node.card()
    numbers = (v4l2.QUERY_CAPABILITY, v4l2.GET, v4l2.SET, v4l2.QUERY, v4l2.QUERY_MENU)
    assert [hex(number) for number in numbers] == ["0x80685600", "0xc008561b", "0xc008561c", "0xc0445624", "0xc02c5625"]


def test_controls_are_listed_without_those_that_take_no_number(webcam: Webcam) -> None:
    with opened_node(Path(NODE)) as node:
        assert node.card() == "HD Webcam"
        found = {info.name: info for info in node.controls().values()}
    assert list(found) == [
        *("brightness", "white_balance_automatic", "gain", "white_balance_temperature", "auto_exposure"),
        *("exposure_time_absolute", "focus_absolute", "focus_automatic_continuous", "temperature"),
    ]
    assert found["auto_exposure"].choices == (1, 3)
    assert (found["brightness"].low, found["gain"].step, found["temperature"].read_only) == (-64, 2, True)


def test_what_is_automatic_is_switched_off_before_the_value_is_written(webcam: Webcam) -> None:
    applied(exposure_us=5000, white_balance_k=5000, focus=20, controls=(("gain", 10), ("brightness", -3)))
    assert webcam.written == [
        ("Auto Exposure", 1),
        ("Exposure Time, Absolute", 50),
        ("White Balance, Automatic", 0),
        ("White Balance Temperature", 5000),
        ("Focus, Automatic Continuous", 0),
        ("Focus, Absolute", 20),
        ("Gain", 10),
        ("Brightness", -3),
    ]


def test_automatic_is_what_the_device_calls_so(webcam: Webcam) -> None:
    applied(exposure_us="auto", white_balance_k="auto", focus="auto")
    assert webcam.written == [
        *(("Auto Exposure", 3), ("White Balance, Automatic", 1), ("Focus, Automatic Continuous", 1)),
    ]
    webcam.by_name("Auto Exposure").holes = (3,)
    webcam.written.clear()
    applied(exposure_us="auto")
    assert webcam.written == [("Auto Exposure", 0)]


def refusal(**keys: Any) -> str:
    with pytest.raises(UserError) as caught:
        applied(**keys)
    return str(caught.value)


def test_values_that_the_device_does_not_take_are_refused_with_its_limits(webcam: Webcam) -> None:
    assert (
        refusal(exposure_us=900_000)
        == "source.exposure_us: wrong value\n  received: 900000 µs\n  expected: 100 to 500000 µs"
    )
    assert refusal(white_balance_k=1000) == (
        "source.white_balance_k: wrong value for white_balance_temperature\n"
        "  received: 1000\n  expected: an integer from 2800 to 6500"
    )
    assert refusal(focus=7) == (
        "source.focus: wrong value for focus_absolute\n  received: 7\n  expected: an integer from 0 to 250 in steps of 5"
    )
    assert refusal(controls=(("brightness", 1), ("auto_exposure", 2))) == (
        "source.controls[1]: auto_exposure: wrong value for auto_exposure\n  received: 2\n  expected: one of 1, 3"
    )
    assert refusal(controls=(("temperature", 2),)) == (
        "source.controls[0]: temperature: temperature is read-only\n  received: 2"
    )
    assert webcam.written == [], "all are checked before the first is written"


def test_a_control_that_the_device_has_not_is_refused_with_those_it_has(webcam: Webcam) -> None:
    told = refusal(controls=(("zoom_absolute", 1),))
    assert told == (
        "source.controls[0]: zoom_absolute: this device has no such control\n"
        "  expected: auto_exposure, brightness, exposure_time_absolute, focus_absolute, focus_automatic_continuous, gain, "
        "temperature, white_balance_automatic, white_balance_temperature"
    )
    webcam.controls.clear()
    assert refusal(focus="auto") == ("source.focus: this device has no such control\n  expected: it has none at all")


def test_a_device_that_keeps_another_value_or_refuses_is_told(webcam: Webcam) -> None:
    webcam.sticky.add("Gain")
    assert refusal(controls=(("gain", 10),)) == (
        "source.controls[0]: gain: the device kept another value of gain\n  received: 10\n  expected: 0"
    )
    webcam.busy.add("Gain")
    assert refusal(controls=(("gain", 10),)) == (
        "source.controls[0]: gain: the device refused it: Device or resource busy\n  received: 10"
    )


class Formatted(FakeCapture):
    """A capture that sends YUYV whatever it is asked for."""

    def get(self, prop: int) -> float:
        return float(cv2.VideoWriter.fourcc(*"YUYV")) if prop == cv2.CAP_PROP_FOURCC else 0.0


def test_controls_are_written_at_each_connection(webcam: Webcam, monkeypatch: pytest.MonkeyPatch) -> None:
    captures = iter([FakeCapture(1), FakeCapture(1), FakeCapture(-1)])
    monkeypatch.setattr(opencv_reader, "_capture", lambda _config: next(captures))
    source = OpencvSource(config(controls=(("gain", 10),)), first_wait_s=0.01)
    source.open()
    until(lambda: (source.read(0.01), source.status().announced == 2)[1])
    source.close()
    assert webcam.written == [("Gain", 10)] * 2


def test_a_device_that_is_there_and_lacks_a_control_ends_the_start(webcam: Webcam, tmp_path: Path) -> None:
    wrong = config(controls=(("zoom_absolute", 1),))
    check_source(wrong, tmp_path)  # which asks no device
    with pytest.raises(UserError, match="this device has no such control"):
        OpencvSource(wrong).open()


def test_a_device_that_refuses_later_is_waited_for_and_says_why(webcam: Webcam, monkeypatch: pytest.MonkeyPatch) -> None:
    webcam.busy.add("Gain")
    captures: list[FakeCapture] = []

    def capture(_config: object) -> FakeCapture:
        captures.append(FakeCapture(1))
        return captures[-1]

    monkeypatch.setattr(opencv_reader, "_capture", capture)
    source = OpencvSource(config(controls=(("gain", 10),)), first_wait_s=0.01)
    source.open()
    until(lambda: (source.read(0.01), source.status().state == "backoff")[1])
    detail = source.status().detail
    source.close()
    assert detail.startswith(
        "/dev/null: source.controls[0]: gain: the device refused it: Device or resource busy; received: 10, tried again in "
    )
    assert all(capture.released for capture in captures)


def test_a_device_that_sends_another_format_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv_reader, "_capture", lambda _config: Formatted(1))
    source = OpencvSource(config(fourcc="MJPG"), first_wait_s=0.01)
    source.open()
    until(lambda: (source.read(0.01), source.status().state == "backoff")[1])
    detail = source.status().detail
    source.close()
    told = "source.fourcc: the device sends another format; received: MJPG; expected: YUYV"
    assert detail.startswith(f"/dev/null: {told}, tried again in ")


def test_the_format_is_asked_for_before_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Asked(FakeCapture):
        def __init__(self, path: str, api: int) -> None:
            assert (path, api) == (NODE, cv2.CAP_V4L2)
            super().__init__(1)

        def set(self, prop: int, _value: float) -> bool:
            asked.append(prop)
            return True

    monkeypatch.setattr(opencv_reader.cv2, "VideoCapture", Asked)
    opencv_reader._capture(config(fourcc="MJPG", width=640, height=480, fps=30.0))
    assert asked == [cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FPS]


def test_doctor_lists_controls_and_names_the_path_that_lasts(
    webcam: Webcam, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def findings(**keys: Any) -> list[tuple[str, str, str | None]]:
        return [(found.level, found.text, found.fix) for found in device_findings(config(**keys))]

    by_id = tmp_path / "by-id"
    monkeypatch.setattr(opencv_device, "BY_ID", by_id)
    (device, controls) = findings()
    assert device == ("ok", NODE, None)
    assert controls[1].startswith("brightness 0, white_balance_automatic 1, gain 0, ")
    assert findings(controls=(("zoom", 1),))[1][0] == "fail"
    by_id.mkdir()
    (by_id / "usb-HD_Webcam-video-index0").symlink_to(NODE)
    assert findings()[-1] == (
        *("warn", "/dev/null may be another camera after a boot"),
        f"device: {by_id}/usb-HD_Webcam-video-index0",
    )
    webcam.capabilities = 0x04A0_0000  # metadata
    assert findings()[1][:2] == ("fail", "/dev/null gives no frames: it is a camera's second node")
