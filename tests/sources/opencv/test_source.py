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
from support.waits import PATIENCE_S

from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.preprocess.pixel_formats import decode_payload
from edge.sources.open import check_source, open_source
from edge.sources.opencv import reader as opencv_reader
from edge.sources.opencv import source as opencv
from edge.sources.opencv.source import OpencvSource


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
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end, source.status()
        item = source.read(0.02)
        if isinstance(item, Payload):
            payloads.append(Payload(item.meta, item.data.copy()))
    return payloads


def textured(level: int) -> np.ndarray[Any, Any]:
    """A picture that is not blank; its first byte is ``level``."""
    picture = np.full((32, 48, 3), level, np.uint8)
    picture[16:] += 100
    return picture


BLACK = np.zeros((32, 48, 3), np.uint8)


class FakeCapture:
    """Stands for a device that fails after ``left`` frames (-1: refused at once), then hangs until ``hold``.

    Pictures are noise around their number of frames left; ``pictures`` replaces them, one after the other.
    """

    def __init__(
        self, left: int, hold: threading.Event | None = None, pictures: list[np.ndarray[Any, Any]] | None = None
    ) -> None:
        self.left, self.hold, self.released = len(pictures) if pictures is not None else left, hold, False
        self._pictures = pictures

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's name)
        return self.left >= 0

    def read(self, _buffer: Any) -> tuple[bool, Any]:
        if self.left == 0 and self.hold is not None:
            self.hold.wait(PATIENCE_S)
        if self.left <= 0:
            return False, None
        self.left -= 1
        if self._pictures is not None:
            return True, self._pictures[-1 - self.left].copy()
        return True, textured(self.left)

    def get(self, _prop: int) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


def faked(monkeypatch: pytest.MonkeyPatch, captures: list[FakeCapture], **keys: Any) -> OpencvSource:
    waiting = iter(captures)
    monkeypatch.setattr(opencv_reader, "_capture", lambda _config: next(waiting))
    return OpencvSource(OpencvConfig(kind="opencv", device=0, **keys), first_wait_s=0.01)


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
        assert (meta.frame_id, meta.frame_id_source, meta.pixel_format) == (k, "counted", "RGB8")
        red, green, blue = decode_payload(meta, payload.data).pixels.mean((0, 1))
        assert red == pytest.approx(40 * k, abs=4)
        assert max(green, blue) < 4


def test_a_file_that_is_no_video_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    path.write_text("no video")
    source = OpencvSource(OpencvConfig(kind="opencv", device=str(path)))
    with pytest.raises(UserError) as caught:
        source.open()
    source.close()
    assert str(caught.value) == f"source.device: {path} is not a video that can be read"


def refusal(source: OpencvSource) -> str:
    with pytest.raises(UserError) as caught:
        source.open()
    source.close()
    return str(caught.value)


def test_a_relative_video_file_lies_beside_the_config(tmp_path: Path) -> None:
    video(tmp_path / "clip.avi", 2)
    source = open_source(OpencvConfig(kind="opencv", device="clip.avi"), "cam1", tmp_path)
    assert isinstance(source, OpencvSource)
    source.open()
    assert [p.meta.frame_id for p in until(source, lambda: source.status().announced == 2)] == [0, 1]
    source.close()


def test_a_video_file_that_is_not_there_is_no_camera_to_wait_for(tmp_path: Path) -> None:
    source = open_source(OpencvConfig(kind="opencv", device="clip.avi"), "cam1", tmp_path)
    assert isinstance(source, OpencvSource)
    assert source.simulated
    assert refusal(source) == (
        "source.device: no such file\n"
        f"  received: {tmp_path}/clip.avi\n"
        "  expected: a V4L2 device (0, /dev/video0), an address (rtsp://...) or a video file\n"
        "  fix: correct the path; a relative one lies beside the config file"
    )


def test_a_folder_is_no_video_file(tmp_path: Path) -> None:
    source = OpencvSource(OpencvConfig(kind="opencv", device=str(tmp_path)))
    assert refusal(source).splitlines()[0] == "source.device: a folder, not a video file"


@pytest.mark.parametrize("device", [0, "/dev/video0", "/dev/v4l/by-id/usb-cam", "rtsp://10.0.0.7/a", "udp:10.0.0.7:9000"])
def test_devices_and_addresses_are_no_files(device: int | str, tmp_path: Path) -> None:
    config = OpencvConfig(kind="opencv", device=device)
    assert not OpencvSource(config, tmp_path).simulated
    check_source(config, tmp_path)


def test_an_absent_device_is_no_error_and_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [*(FakeCapture(-1) for _ in range(3)), FakeCapture(3, hold)])
    assert not source.simulated
    source.open()
    got = until(source, lambda: source.status().announced >= 3)
    hold.set()
    source.close()
    assert [p.meta.frame_id for p in got] == [0, 1, 2]


class Failing(FakeCapture):
    """Raises after ``left`` frames."""

    def __init__(self, left: int, error: BaseException) -> None:
        super().__init__(left)
        self.error = error

    def read(self, buffer: Any) -> tuple[bool, Any]:
        if self.left == 0:
            raise self.error
        return super().read(buffer)


@pytest.mark.parametrize("frames", [0, 2])
@pytest.mark.parametrize("error", [MemoryError("one bad moment"), RuntimeError("driver"), cv2.error("device")])
def test_whatever_a_read_raises_costs_one_connection(
    frames: int, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    captures = [*(Failing(frames, error) for _ in range(4)), FakeCapture(0, hold, [textured(9)])]
    source = faked(monkeypatch, captures)
    source.open()
    got = until(source, lambda: source.status().announced == 4 * frames + 1)
    hold.set()
    source.close()
    assert [p.meta.frame_id for p in got] == list(range(4 * frames + 1))
    assert all(capture.released for capture in captures[:4])
    assert source.status().counters["reconnects"] == (4 if frames else 0)


def test_what_a_read_raised_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    hold = threading.Event()
    source = faked(monkeypatch, [Failing(2, MemoryError("one bad moment")), FakeCapture(1, hold)])
    enter = source._enter
    monkeypatch.setattr(source, "_enter", lambda state, detail: (told.append((state, detail)), enter(state, detail)))
    source.open()
    until(source, lambda: source.status().announced == 3)
    hold.set()
    source.close()
    assert told[:3] == [
        ("streaming", "/dev/video0"),
        ("lost", "/dev/video0: MemoryError: one bad moment after 2 frames"),
        ("backoff", "/dev/video0: no stream, tried again in 0.01 s"),
    ]


def test_what_opening_a_device_raises_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    captures = iter([MemoryError("one bad moment"), FakeCapture(1, hold)])

    def opened(_config: Any) -> FakeCapture:
        capture = next(captures)
        if isinstance(capture, Exception):
            raise capture
        return capture

    monkeypatch.setattr(opencv_reader, "_capture", opened)
    source = OpencvSource(OpencvConfig(kind="opencv", device=0), first_wait_s=0.01)
    source.open()
    until(source, lambda: source.status().announced == 1)
    hold.set()
    source.close()


def test_an_empty_picture_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    captures = [FakeCapture(0, None, [textured(1), np.empty((0, 0, 3), np.uint8)]), FakeCapture(1, hold)]
    source = faked(monkeypatch, captures)
    source.open()
    assert len(until(source, lambda: source.status().announced == 2)) == 2
    assert source.status().counters["reconnects"] == 1
    hold.set()
    source.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_reader_whose_thread_ended_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [Failing(1, SystemExit()), FakeCapture(2, hold)])
    source.open()
    assert len(until(source, lambda: source.status().announced == 3)) == 3
    counters = source.status().counters
    assert (counters["hung_calls"], counters["reconnects"]) == (1, 1)
    hold.set()
    source.close()


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
    reader = source._new_reader()
    reader._wake = Stop()
    reader.run()
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_a_device_that_hangs_is_silent_and_read_still_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(1, hold), FakeCapture(2, hold), FakeCapture(0, hold)])
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
    now[0] += 2.5
    assert source.read(0.01) is None
    assert source.status().counters["timeouts"] == 2
    hold.set()
    assert len(until(source, lambda: source.status().announced == 2)) == 1
    source.close()


@pytest.mark.parametrize(("fps", "paused_s"), [(0.5, 5.9), (1.0, 2.9), (None, 1.9), (60.0, 1.9)])
def test_a_slow_device_is_silent_after_three_of_its_intervals(
    monkeypatch: pytest.MonkeyPatch, fps: float | None, paused_s: float
) -> None:
    """By its frame rate in the config, two seconds at least."""
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(1, hold), FakeCapture(1, hold)], fps=fps)
    now = [100.0]
    source._now = lambda: now[0]
    source.open()
    until(source, lambda: (source.status().announced, source.status().state) == (1, "streaming"))
    now[0] += paused_s
    assert source.read(0.01) is None
    assert source.status().state == "streaming"
    now[0] += 0.2
    assert source.read(0.01) is None
    assert source.status().state == "silent"
    assert source.status().detail == f"/dev/video0: no frame for {paused_s + 0.1:.3g} s"
    hold.set()
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
    until_s = time.monotonic() + PATIENCE_S
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
    assert source.status().detail == "rtsp://10.0.0.7:554/..."


def outcome(source: OpencvSource, count: int) -> list[Any]:
    """Frame ids, and of losses (reason, id)."""
    out: list[Any] = []
    end = time.monotonic() + PATIENCE_S
    while len(out) < count:
        assert time.monotonic() < end, source.status()
        item = source.read(0.02)
        if isinstance(item, Skip):
            assert (item.count, item.frame_id_last, item.frame_id_source) == (1, item.frame_id_first, "counted")
            out.append((item.reason, item.frame_id_first))
        elif item is not None:
            out.append(item.meta.frame_id)
    return out


def test_a_repeated_picture_is_a_loss_and_no_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict on the last part's picture would be the last part's verdict."""
    one, two = textured(1), textured(2)
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(0, hold, [one, two, two, two, one])])
    source.open()
    assert outcome(source, 5) == [0, 1, ("bad_payload", 2), ("bad_payload", 3), 4]
    status = source.status()
    assert (status.announced, status.counters["frames"], status.counters["bad_payload"]) == (5, 3, 2)
    assert status.state == "streaming"
    hold.set()
    source.close()


def test_one_pixel_s_noise_makes_a_new_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    one = textured(1)
    other = one.copy()
    other[3, 5, 1] += 1  # off the grid that is compared first
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(0, hold, [one, other, one])])
    source.open()
    assert outcome(source, 3) == [0, 1, 2]
    hold.set()
    source.close()


def test_repeats_are_believed_as_often_as_the_config_says(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(0, hold, [textured(1)] * 4)], max_repeats=2)
    source.open()
    assert outcome(source, 4) == [0, 1, 2, ("bad_payload", 3)]
    assert source.status().detail == "/dev/video0: the device repeats its last picture"
    hold.set()
    source.close()


def test_black_green_and_grey_pictures_are_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Green is what zeroed YUV looks like; a little noise of a codec is still blank, a spot of dirt is not."""
    green, grey, dirt = BLACK.copy(), np.full_like(BLACK, 128), np.full_like(BLACK, 255)
    green[..., 1] = 135
    grey[::2] += 2
    dirt[9, 9] = 200
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(0, hold, [textured(1), BLACK, green, grey, dirt])])
    source.open()
    assert outcome(source, 5) == [0, *(("bad_payload", n) for n in (1, 2, 3)), 4]
    hold.set()
    source.close()


def test_what_is_not_checked_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    source = faked(monkeypatch, [FakeCapture(0, hold, [BLACK] * 3)], max_repeats=None, blank_level=None)
    source.open()
    assert outcome(source, 3) == [0, 1, 2]
    hold.set()
    source.close()


def test_a_device_that_sends_nothing_to_believe_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    black = FakeCapture(0, hold, [textured(1), BLACK, BLACK, BLACK])
    source = faked(monkeypatch, [black, FakeCapture(0, hold, [textured(5)])])
    now = [100.0]
    source._now = lambda: now[0]
    source.open()
    assert outcome(source, 2) == [0, ("bad_payload", 1)]
    assert source.status().state == "silent"
    now[0] += 11.0
    got = outcome(source, 2)
    while isinstance(got[-1], tuple):  # what waited when the clock was put forward
        got += outcome(source, 1)
    assert source.status().counters["reconnects"] == 1
    assert black.released
    assert source.status().announced == source.status().counters["frames"] + source.status().counters["bad_payload"]
    hold.set()
    source.close()


def test_a_call_that_does_not_come_back_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    hold = threading.Event()
    stuck = FakeCapture(1, hold)
    source = faked(monkeypatch, [stuck, FakeCapture(2, threading.Event())])
    now = [100.0]
    source._now = lambda: now[0]
    source.open()
    assert outcome(source, 1) == [0]
    deadline = time.monotonic() + PATIENCE_S
    assert source._reader is not None
    while source._reader._called_s is None:
        assert time.monotonic() < deadline
        source.read(0.01)
    now[0] += 21.0
    assert source.read(0.01) is None
    assert outcome(source, 2) == [1, 2]
    counters = source.status().counters
    assert (counters["hung_calls"], counters["reconnects"]) == (1, 1)
    hold.set()
    source.close()
    while not stuck.released:
        assert time.monotonic() < deadline
        time.sleep(0.001)
