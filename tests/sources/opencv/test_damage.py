"""A live stream's damaged frames are losses, what has an end is no camera, and what waited is as old as it is."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.http_camera import http_camera
from support.videos import mjpeg, scene, zeroed_jpegs
from support.waits import PATIENCE_S

from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.sources import arrival
from edge.sources.arrival import BlockingCall
from edge.sources.open import check_source
from edge.sources.opencv import reader as opencv_reader
from edge.sources.opencv.source import OpencvSource


def jpeg(index: int) -> bytes:
    return cv2.imencode(".jpg", scene(index)[..., ::-1])[1].tobytes()


def damaged(index: int) -> bytes:
    data = jpeg(index)
    scan = data.index(b"\xff\xda")
    return data[: scan + (len(data) - scan) // 2] + b"\xff\xd9"


def stream(handler: BaseHTTPRequestHandler) -> None:
    """Motion JPEG, each fifth frame damaged inside."""
    handler.send_response(200)
    handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
    handler.end_headers()
    for index in range(400):
        data = damaged(index) if index % 5 == 4 else jpeg(index)
        handler.wfile.write(
            b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + data + b"\r\n"
        )
        time.sleep(0.01)


def test_damaged_frames_of_a_live_camera_are_losses_in_their_places() -> None:
    with http_camera(stream) as address:
        source = OpencvSource(OpencvConfig(kind="opencv", device=f"{address}/video"), first_wait_s=0.05)
        source.open()
        kinds: list[str] = []
        end = time.monotonic() + PATIENCE_S
        while len(kinds) < 20:
            assert time.monotonic() < end, source.status()
            item = source.read(0.1)
            if isinstance(item, Payload):
                kinds.append("frame")
                assert (item.meta.width, item.meta.height, item.meta.pixel_format) == (160, 96, "RGB8")
            elif item is not None:
                kinds.append(item.reason)
                assert isinstance(item, Skip)
        status = source.status()
        source.close()
    first = kinds.index("bad_payload")
    assert [kind == "bad_payload" for kind in kinds[first:]] == [n % 5 == 0 for n in range(20 - first)]
    assert not source.simulated
    assert status.counters["bad_payload"] == kinds.count("bad_payload")


def test_a_clip_behind_an_address_is_no_camera(tmp_path: Path) -> None:
    clip = mjpeg(tmp_path / "clip.avi", 6).read_bytes()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(clip)))
        handler.end_headers()
        handler.wfile.write(clip)

    with http_camera(send) as address:
        source = OpencvSource(OpencvConfig(kind="opencv", device=f"{address}/video"), first_wait_s=10)
        source.open()
        end = time.monotonic() + PATIENCE_S
        while source.status().state == "opening" and time.monotonic() < end:
            assert source.read(0.05) is None
        status = source.status()
        source.close()
    assert status.announced == 0
    assert "it has an end: a clip, and no camera; use kind: recorded" in status.detail


@pytest.mark.parametrize(
    "device",
    ["file:///data/clip.avi", "file:clip.avi", "concat:a.ts|b.ts", "cache:file:clip.avi", "data:video/mp4;base64,AA"],
)
def test_an_address_that_is_no_live_stream_is_refused(device: str) -> None:
    config = OpencvConfig(kind="opencv", device=device)
    for refusing in (lambda: check_source(config, Path()), lambda: OpencvSource(config).open()):
        with pytest.raises(UserError) as caught:
            refusing()
        assert str(caught.value).startswith(f"source.device: {device.partition(':')[0]}: is no scheme of a live stream\n")
        assert "fix: name a file by its path, or use kind: recorded; its records then say simulated" in str(caught.value)


def test_addresses_of_live_streams_are_taken_and_files_wait_for_the_line() -> None:
    for scheme in ("rtsp", "rtsps", "rtmp", "rtp", "udp", "srt", "http", "https", "RTSP"):
        config = OpencvConfig(kind="opencv", device=f"{scheme}://10.0.0.7/1")
        check_source(config, Path())
        assert config.paced
    assert not OpencvConfig(kind="opencv", device="clip.avi").paced
    assert OpencvConfig(kind="opencv", device=0).paced


def test_damaged_frames_of_a_file_in_place_of_a_camera_are_losses(tmp_path: Path) -> None:
    path = zeroed_jpegs(mjpeg(tmp_path / "good.avi", 5), tmp_path / "bad.avi", 2)
    source = OpencvSource(OpencvConfig(kind="opencv", device=str(path)))
    source.open()
    items = [source.read(5.0) for _ in range(5)]
    source.close()
    assert [item.reason if isinstance(item, Skip) else "frame" for item in items] == [
        "frame",
        "frame",
        "bad_payload",
        "frame",
        "frame",
    ]


class MotionJpegDevice:
    """Stands for a V4L2 device that sends Motion JPEG, and gives it undecoded when asked to."""

    def __init__(self, *packets: bytes, stamp_ms: float = 0.0) -> None:
        self.packets, self.decodes, self.stamp_ms = list(packets), True, stamp_ms

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return True

    def get(self, prop: int) -> float:
        if prop == cv2.CAP_PROP_FOURCC:
            return float(cv2.VideoWriter.fourcc(*"MJPG"))
        return self.stamp_ms if prop == cv2.CAP_PROP_POS_MSEC else 0.0

    def set(self, prop: int, value: float) -> bool:
        self.decodes = not (prop == cv2.CAP_PROP_CONVERT_RGB and value == 0)
        return True

    def read(self, _buffer: Any) -> tuple[bool, Any]:
        if not self.packets:
            return False, None
        data = np.frombuffer(self.packets.pop(0), np.uint8)
        return True, cv2.imdecode(data, cv2.IMREAD_COLOR) if self.decodes else data.reshape(1, -1)

    def release(self) -> None:
        pass


def first_items(monkeypatch: pytest.MonkeyPatch, device: MotionJpegDevice, count: int) -> list[Payload | Skip]:
    monkeypatch.setattr(opencv_reader, "_capture", lambda _config: device)
    source = OpencvSource(OpencvConfig(kind="opencv", device=0), first_wait_s=10)
    source.open()
    items = []
    for _ in range(count):
        item = source.read(5.0)
        assert item is not None
        items.append(item)
    source.close()
    return items


def test_a_webcam_that_sends_motion_jpeg_has_its_damage_told(monkeypatch: pytest.MonkeyPatch) -> None:
    items = first_items(monkeypatch, MotionJpegDevice(jpeg(0), damaged(1), jpeg(2)), 3)
    assert [item.reason if isinstance(item, Skip) else item.meta.pixel_format for item in items] == [
        *("RGB8", "bad_payload", "RGB8")
    ]


def test_a_webcam_s_frame_came_at_the_driver_s_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp_ns = time.monotonic_ns() - 1_500_000_000
    (frame,) = first_items(monkeypatch, MotionJpegDevice(jpeg(0), stamp_ms=stamp_ns / 1e6), 1)
    assert isinstance(frame, Payload)
    assert abs(frame.meta.received_mono_ns - stamp_ns) < 1_000
    assert abs(time.time_ns() - 1_500_000_000 - frame.meta.received_ns) < 20_000_000_000


def test_a_call_that_did_not_have_to_wait_gives_what_may_be_as_old_as_the_last_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0]
    monkeypatch.setattr(arrival, "_now", lambda: (10**18 + now[0], now[0], now[0]))
    calls = BlockingCall()

    def call(ms: int) -> int:
        began = calls.looking()
        now[0] += ms * 10**6
        return calls.came(began)[1] // 10**6

    assert [call(40) for _ in range(10)] == list(range(40, 440, 40))
    now[0] += 1500 * 10**6  # the thread is held up: the camera goes on filling the queue
    assert [call(5) for _ in range(4)] == [400] * 4
    assert call(40) == 400 + 1500 + 20 + 40
