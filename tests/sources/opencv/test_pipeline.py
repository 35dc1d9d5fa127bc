"""GStreamer pipelines: only those of cameras, in words where OpenCV has no GStreamer, and no password shown."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from support.waits import until

from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import Payload
from edge.sources.open import check_source, device_findings
from edge.sources.opencv import pipeline as opencv_pipeline
from edge.sources.opencv import reader as opencv_reader
from edge.sources.opencv.pipeline import has_gstreamer, shown_pipeline, source_elements
from edge.sources.opencv.source import OpencvSource

CSI = (
    "nvarguscamerasrc sensor-id=0 ! video/x-raw(memory:NVMM),width=1920,height=1080,framerate=30/1 ! nvvidconv ! "
    "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink sync=false"
)


def config(device: str) -> OpencvConfig:
    return OpencvConfig(kind="opencv", device=device)


def refusal(device: str, folder: Path) -> str:
    told = []
    for refusing in (lambda: check_source(config(device), folder), lambda: OpencvSource(config(device), folder).open()):
        with pytest.raises(UserError) as caught:
            refusing()
        told.append(str(caught.value))
    assert told[0] == told[1]
    return told[0]


def test_a_pipeline_is_live_and_no_file(tmp_path: Path) -> None:
    assert config(CSI).paced
    assert not OpencvSource(config(CSI), tmp_path).simulated


@pytest.mark.skipif(has_gstreamer(), reason="this OpenCV has GStreamer")
def test_without_gstreamer_a_pipeline_is_refused_in_words(tmp_path: Path) -> None:
    place = cv2.__file__.rpartition("/")[0]
    assert refusal(CSI, tmp_path) == (
        "source.device: this OpenCV has no GStreamer\n"
        f"  received: a pipeline, and OpenCV {cv2.__version__} from {place}\n"
        "  expected: an OpenCV built with GStreamer; the packages of PyPI are not\n"
        "  fix: on a Jetson: a venv with --system-site-packages, which finds JetPack's OpenCV, and no opencv-python in it"
    )
    ((found),) = list(device_findings(config(CSI)))
    assert (found.level, found.what) == ("fail", "device")


@pytest.mark.parametrize(
    ("device", "element"),
    [
        ("filesrc location=/data/clip.mp4 ! decodebin ! appsink", "filesrc"),
        ("videotestsrc ! appsink", "videotestsrc"),
        ("uridecodebin uri=file:///data/clip.mp4 ! appsink", "uridecodebin"),
        ("playbin3 uri=file:///x ! appsink", "playbin3"),
        ("nvurisrcbin uri=file:///x ! appsink", "nvurisrcbin"),
        ("v4l2src ! comp. filesrc location=x ! decodebin ! compositor name=comp ! appsink", "filesrc"),
        ("( multifilesrc location=%d.jpg ) ! jpegdec ! appsink", "multifilesrc"),
        ("souphttpsrc location=http://x/clip.mp4 ! decodebin ! appsink", "souphttpsrc"),
        ("decodebin ! appsink", "decodebin"),
    ],
)
def test_a_pipeline_that_may_be_fed_by_a_file_is_refused(device: str, element: str, tmp_path: Path) -> None:
    told = refusal(device, tmp_path)
    assert told.startswith(f"source.device: {element} is no live source of a pipeline\n")
    assert told.endswith("fix: a file is kind: recorded; its records then say simulated")


def test_a_pipeline_without_an_end_is_refused(tmp_path: Path) -> None:
    assert refusal("v4l2src device=/dev/video0 ! videoconvert ! autovideosink", tmp_path) == (
        "source.device: a pipeline ends in appsink\n"
        "  received: v4l2src ! ... ! autovideosink\n"
        "  fix: add '! videoconvert ! video/x-raw,format=BGR ! appsink sync=false'"
    )


def test_sources_are_found_in_every_branch_and_a_password_is_not_shown() -> None:
    assert source_elements(CSI) == ["nvarguscamerasrc"]
    rtsp = "rtspsrc location=rtsp://admin:S3CRET@cam/1 user-pw='S3CRET ! x' ! decodebin ! appsink"
    assert source_elements(rtsp) == ["rtspsrc"]
    assert shown_pipeline(rtsp) == "rtspsrc ! ... ! appsink"
    assert "S3CRET" not in OpencvSource(config(rtsp)).status().detail


def test_where_opencv_has_gstreamer_the_pipeline_is_opened_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for OpenCV's capture: no GStreamer ever ran here."""
    opened: list[tuple[str, int]] = []

    class Capture:
        def __init__(self, pipeline: str, api: int) -> None:
            opened.append((pipeline, api))
            self.left = 2

        def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
            return True

        def get(self, prop: int) -> float:
            return -1.0 if prop == cv2.CAP_PROP_FRAME_COUNT else 0.0

        def read(self, _buffer: object) -> tuple[bool, object]:
            self.left -= 1
            return self.left >= 0, np.random.default_rng(self.left + 10).integers(0, 255, (32, 48, 3), np.uint8)

        def release(self) -> None:
            pass

    monkeypatch.setattr(opencv_pipeline, "has_gstreamer", lambda: True)
    monkeypatch.setattr(opencv_reader.cv2, "VideoCapture", Capture)
    monkeypatch.setenv("CAM", "0")
    source = OpencvSource(config(CSI.replace("sensor-id=0", "sensor-id=${CAM}")), first_wait_s=10)
    source.open()
    frames: list[Payload] = []

    def both() -> bool:
        item = source.read(0.01)
        frames.extend([item] if isinstance(item, Payload) else [])
        return len(frames) == 2

    until(both)
    source.close()
    assert opened == [(CSI, cv2.CAP_GSTREAMER)]
    assert {(f.meta.width, f.meta.height, f.meta.pixel_format) for f in frames} == {(48, 32, "BGR8")}
