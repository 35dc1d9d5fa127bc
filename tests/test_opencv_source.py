"""A device behind OpenCV: frames in order, absence waited for, and ``read`` back in time whatever the device does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.config import OpencvSource as OpencvConfig
from edge.errors import UserError
from edge.frames import Payload
from edge.pixels import decode
from edge.sources import open_source, opencv
from edge.sources.opencv import OpencvSource


def video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 48))
    for k in range(frames):
        rgb = np.zeros((48, 64, 3), np.uint8)
        rgb[..., 0] = 40 * k  # red rises from frame to frame
        writer.write(rgb[..., ::-1])
    writer.release()
    return path


def until(source: OpencvSource, reached: Callable[[], bool]) -> list[Payload]:
    """Read until ``reached``; the payloads, with pixels of their own."""
    payloads = []
    end = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < end, source.status()
        item = source.read(0.02)
        if isinstance(item, Payload):
            payloads.append(Payload(item.meta, item.data.copy()))
    return payloads


class FakeCapture:
    """Stands for a device. ``script``: number of frames until the device fails, one entry per connection; -1: refused."""

    def __init__(self, left: int, hold: threading.Event | None = None) -> None:
        self.left, self.hold, self.released = left, hold, False

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return self.left >= 0

    def read(self, _buffer: Any) -> tuple[bool, Any]:
        if self.left == 0 and self.hold is not None:
            self.hold.wait(10)
        if self.left <= 0:
            return False, None
        self.left -= 1
        return True, np.full((4, 6, 3), self.left, np.uint8)

    def release(self) -> None:
        self.released = True


def faked(monkeypatch: pytest.MonkeyPatch, captures: list[FakeCapture]) -> OpencvSource:
    waiting = iter(captures)
    monkeypatch.setattr(opencv, "_capture", lambda _config: next(waiting))
    return OpencvSource(OpencvConfig(kind="opencv", device=0), first_wait_s=0.01)


def test_a_video_file_stands_in_for_a_device_and_ends(tmp_path: Path) -> None:
    path = video(tmp_path / "clip.avi", 5)
    source = open_source(OpencvConfig(kind="opencv", device=str(path)), "cam1", tmp_path)
    assert isinstance(source, OpencvSource)
    assert source.simulated
    source.open()
    payloads = []
    for _ in range(5):
        item = source.read(5.0)
        assert isinstance(item, Payload)
        payloads.append(Payload(item.meta, item.data.copy()))
    for _ in range(2):
        with pytest.raises(EOFError):
            source.read(5.0)
    assert source.status().announced == 5
    source.close()
    source.close()
    assert source.status().state == "ended"
    for k, payload in enumerate(payloads):
        meta = payload.meta
        assert (meta.frame_id, meta.frame_id_source, meta.pixel_format) == (k, "counted", "BGR8")
        red, green, blue = decode(meta, payload.data).pixels.mean((0, 1))
        assert red == pytest.approx(40 * k, abs=4)
        assert max(green, blue) < 4


def test_a_file_that_is_no_video_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_text("no video")
    source = OpencvSource(OpencvConfig(kind="opencv", device=str(path)))
    with pytest.raises(UserError) as caught:
        source.open()
    source.close()
    assert str(caught.value) == f"source.device: {path} is not a video that OpenCV reads"


def test_an_absent_device_is_no_error_and_is_waited_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "later.avi"
    source = OpencvSource(OpencvConfig(kind="opencv", device=str(path)), first_wait_s=0.01)
    assert not source.simulated
    source.open()
    assert until(source, lambda: source.status().state == "backoff") == []
    assert source.status().detail.startswith(f"{path}: no stream, tried again in 0.0")
    video(tmp_path / "made.avi", 3).rename(path)
    got = until(source, lambda: source.status().announced >= 3)
    source.close()
    assert [p.meta.frame_id for p in got] == [0, 1, 2]
    assert capfd.readouterr().err == ""


def test_a_device_number_that_is_absent_is_waited_for(capfd: pytest.CaptureFixture[str]) -> None:
    source = OpencvSource(OpencvConfig(kind="opencv", device=977, width=640, height=480, fps=30.0), first_wait_s=0.01)
    source.open()
    assert until(source, lambda: source.status().state == "backoff") == []
    assert source.status().detail.startswith("/dev/video977: no stream, tried again in 0.0")
    source.close()
    assert capfd.readouterr().err == ""


def test_ids_go_on_over_a_reconnection(monkeypatch: pytest.MonkeyPatch) -> None:
    captures = [FakeCapture(-1), FakeCapture(2), FakeCapture(-1), FakeCapture(3), FakeCapture(0, threading.Event())]
    source = faked(monkeypatch, captures)
    source.open()
    got = until(source, lambda: source.status().announced == 5)
    until(source, lambda: captures[3].released)
    assert [p.meta.frame_id for p in got] == [0, 1, 2, 3, 4]
    assert [int(p.data[0]) for p in got] == [1, 0, 2, 1, 0]
    assert source.status().counters["reconnects"] == 2
    assert captures[4].hold is not None
    captures[4].hold.set()
    source.close()
    assert all(c.released for c in captures[:4])


def test_waits_between_attempts_double_up_to_30_s(monkeypatch: pytest.MonkeyPatch) -> None:
    source = faked(monkeypatch, [FakeCapture(-1) for _ in range(9)])
    waits: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            if len(waits) == 9:
                self.set()
            return self.is_set()

    source._first_wait_s = opencv.FIRST_WAIT_S
    source._run(Stop(), source._ready, source._free)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_device_that_hangs_is_silent_and_read_still_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(1, hold), FakeCapture(1, hold), FakeCapture(0, hold)])
    now = [100.0]
    source._now = lambda: now[0]
    source.open()
    assert len(until(source, lambda: source.status().announced == 1)) == 1
    assert source.read(0.01) is None
    assert source.status().state == "streaming"
    now[0] += 2.5
    assert source.read(0.01) is None
    assert source.status().state == "silent"
    assert source.status().counters["timeouts"] == 1
    assert source.read(0.01) is None
    assert source.status().counters["timeouts"] == 1
    hold.set()
    assert len(until(source, lambda: source.status().announced == 2)) == 1
    source.close()


def test_frames_wait_in_the_device_until_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring is the only place to drop: the reader holds one frame ready and fills no third buffer."""
    hold = threading.Event()
    capture = FakeCapture(100, hold)
    source = faked(monkeypatch, [capture])
    source.open()
    first = source.read(5.0)
    assert isinstance(first, Payload)
    before = first.data.copy()
    until_s = time.monotonic() + 10
    while capture.left > 98 and time.monotonic() < until_s:
        time.sleep(0.001)
    time.sleep(0.02)
    assert capture.left == 98
    np.testing.assert_array_equal(first.data, before)
    assert source.read(5.0) is not None
    hold.set()
    source.close()


def test_a_password_stays_out_of_state_and_log() -> None:
    source = OpencvSource(OpencvConfig(kind="opencv", device="rtsp://admin:s3cret@10.0.0.7:554/stream1"))
    assert source.status().detail == "rtsp://admin:***@10.0.0.7:554/stream1"
