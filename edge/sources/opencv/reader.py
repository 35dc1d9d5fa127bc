"""A thread reads from OpenCV, which blocks for as long as a device pleases, and doubts what no camera would send."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.opencv_source import is_pipeline, is_v4l2
from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import SourceState
from edge.sources.arrival import BlockingCall, Moment
from edge.sources.doubts import Doubts
from edge.sources.opencv.v4l2_controls import apply_controls, has_controls, node_of, opened_node
from edge.storage.pictures import decode_jpeg
from edge.storage.video import Damaged, PlainVideo, Read, Shot, Video, VideoError, fourcc, open_video

LONGEST_WAIT_S: Final = 30.0
"""Longest wait in s between attempts to connect; waits double up to this."""
REOPEN_S: Final = 10.0
"""A device that has sent nothing believable for longer is opened anew."""
_FFMPEG_OPTIONS: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_OLDEST_NS: Final = 600_000_000_000
"""A driver's stamp that is older is of another clock."""


Enter: TypeAlias = Callable[[SourceState, str], None]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One picture, (H, W) or (H, W, 3), and its stamps. ``doubt``: why it is no picture of this moment, or damaged.

    ``pixel_format``: the PFNC name of its samples. ``picture`` is None of a damaged one.
    """

    picture: NDArray[Any] | None
    pixel_format: str
    received_ns: int
    received_mono_ns: int
    doubt: str | None


class Reader:
    """A reader connects, reads until the device fails, waits, and begins again, in a thread of its own until ``stop``.

    One picture at a time waits in ``ready`` (None: a file's end); the next is read when its memory comes back to ``free``.
    """

    def __init__(
        self,
        config: OpencvConfig,
        name: str,
        enter: Enter,
        *,
        is_file: bool,
        first_wait_s: float,
        now: Callable[[], float],
    ) -> None:
        self._config = config
        self._name = name
        self._enter_state = enter
        self._is_file = is_file
        self._first_wait_s = first_wait_s
        self._now = now
        self._doubts = Doubts(None, None) if is_file else Doubts(config.max_repeats, config.blank_level)
        self._queue = BlockingCall()
        self._believed = 0
        self._called_s: float | None = None
        self._wake = threading.Event()
        self.reconnects = 0
        self.ready: queue.Queue[Arrived | None] = queue.Queue()
        self.free: queue.Queue[Any] = queue.Queue()
        for _ in range(2):  # one is read by the caller while the other is filled
            self.free.put(None)
        self._thread = threading.Thread(target=self.run, name="opencv-reader", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the call in progress, and report nothing from now on."""
        self._wake.set()
        self.free.put(None)  # a reader that waits for memory looks at the event

    def join(self, timeout_s: float) -> bool:
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def died(self) -> bool:
        """Return True if the thread is gone, and not because the file is at its end."""
        return not self._thread.is_alive() and self.ready.empty()

    def called_for_s(self) -> float:
        """Return how long, in s, the call in progress has been taking; 0 if there is none."""
        since = self._called_s
        return 0.0 if since is None else self._now() - since

    def run(self) -> None:
        wait_s = self._first_wait_s
        while not self._wake.is_set():
            self._believed, error, why = 0, "", "no stream"
            try:
                capture = self.connected()
                if capture is not None:
                    self._pump(capture)
            except (VideoError, UserError) as refused:
                why = str(refused).replace("\n  ", "; ")
            except Exception as raised:  # noqa: BLE001  (a driver's, or no memory: the next connection may do better)
                error = f"{type(raised).__name__}: {raised}"
            if self._wake.is_set():
                return
            if self._believed:
                wait_s = self._first_wait_s
                self.reconnects += not self._is_file
            if error or (self._believed and not self._is_file):
                self._enter("lost", f"{self._name}: {error or 'the stream ended'} after {self._believed} frames")
            if self._is_file:
                self.ready.put(None)
                return
            self._enter("backoff", f"{self._name}: {why}, tried again in {wait_s:g} s")
            self._wake.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def connected(self) -> Video | None:
        """An open device, stream or file, or None. Raises VideoError where an address is that of a clip."""
        try:
            video: Video | None = self._called(lambda: opened_device(self._config, is_file=self._is_file))
        except (cv2.error, VideoError):
            return None
        if video is not None and video.finite and not self._is_file:
            video.close()
            raise VideoError("it has an end: a clip, and no camera; use kind: recorded")
        return video

    def _pump(self, video: Video) -> None:
        """Hand over pictures until the device fails, or sends nothing to believe."""
        believed_s = self._now()
        try:
            while (arrived := self._next(video)) is not None:
                self.ready.put(arrived)
                if arrived.doubt is None:
                    if self._believed == 0:
                        self._enter("streaming", self._name)
                    self._believed, believed_s = self._believed + 1, self._now()
                elif self._now() - believed_s > REOPEN_S:
                    return
        finally:
            video.close()

    def _next(self, video: Video) -> Arrived | None:
        """The next picture, in memory that comes back to ``free`` when it was read, or here if there is none."""
        buffer = self.free.get()
        arrived = None
        try:
            if self._wake.is_set():
                return None
            began = self._queue.looking()
            shot = self._called(lambda: video.read(buffer))
            if shot is not None:
                arrived = self._arrived(shot, *self._came(video, began))
        except cv2.error:
            pass
        finally:
            if arrived is None:
                self.free.put(buffer)
        return arrived

    def _came(self, video: Video, began: Moment) -> tuple[int, int]:
        """UTC and monotonic time at which a frame came: by the driver's stamp, or by how long the call waited."""
        stamp_ns = video.stamp_ns() if isinstance(video, V4l2Video) else None
        if stamp_ns is not None:
            now_ns, now_mono_ns = time.time_ns(), time.monotonic_ns()
            if 0 <= now_mono_ns - stamp_ns < _OLDEST_NS:
                return now_ns - (now_mono_ns - stamp_ns), stamp_ns
        return self._queue.came(began)

    def _arrived(self, shot: Read, received_ns: int, received_mono_ns: int) -> Arrived:
        if isinstance(shot, Damaged):
            return Arrived(None, "", received_ns, received_mono_ns, f"damaged: {shot.why}")
        picture: NDArray[Any] = np.ascontiguousarray(shot.pixels)
        return Arrived(picture, shot.format, received_ns, received_mono_ns, self._doubts.about(picture))

    def _called(self, call: Callable[[], Any]) -> Any:
        self._called_s = self._now()
        try:
            return call()
        finally:
            self._called_s = None

    def _enter(self, state: SourceState, detail: str) -> None:
        if not self._wake.is_set():
            self._enter_state(state, detail)


def opened_device(config: OpencvConfig, *, is_file: bool) -> Video | None:
    """What the config names, open, or None. Blocks, for a network stream up to ``video.TIMEOUT_MS``.

    Raises:
        VideoError: no stream.
        UserError: a V4L2 device that doesn't take the config's controls or pixel format.
    """
    device = config.device
    if is_pipeline(device):
        capture = cv2.VideoCapture(str(device), cv2.CAP_GSTREAMER)
        return PlainVideo(capture) if _is_open(capture) else None
    if is_file or not is_v4l2(device):
        with rtsp_transport(config.transport):
            return open_video(str(device), live=not is_file)
    capture = _capture(config)
    if not _is_open(capture):
        return None
    try:
        _set_up(config, capture)
    except BaseException:
        capture.release()
        raise
    return V4l2Video(capture)


def _is_open(capture: cv2.VideoCapture) -> bool:
    if capture.isOpened():
        return True
    capture.release()
    return False


@contextmanager
def rtsp_transport(transport: str | None) -> Iterator[None]:
    """Have streams that are opened inside ask for this transport: OpenCV and PyAV both read it from the environment."""
    before = os.environ.get(_FFMPEG_OPTIONS)
    if transport is None:
        yield
        return
    others = [pair for pair in (before or "").split("|") if pair and not pair.startswith("rtsp_transport;")]
    os.environ[_FFMPEG_OPTIONS] = "|".join([*others, f"rtsp_transport;{transport}"])
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FFMPEG_OPTIONS]
        else:
            os.environ[_FFMPEG_OPTIONS] = before


class V4l2Video:
    """A V4L2 device. Where it sends Motion JPEG, its pictures are decoded here, so that damage in one shows."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self.fps: float | None = None
        self.promised: int | None = None
        self.counted = self.finite = False
        self._capture = capture
        self.codec = fourcc(capture)
        self._packets = self.codec in ("MJPG", "JPEG") and capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)

    def read(self, buffer: Any = None) -> Read | None:
        ok, picture = self._capture.read(None if self._packets else buffer)
        if not ok or picture is None or not picture.size:
            return None
        if not (self._packets and picture.shape[0] == 1):
            return Shot(picture, 8, "BGR8", None)
        try:
            pixels = decode_jpeg(picture.tobytes())
        except ValueError as error:
            return Damaged(f"JPEG: {error}")
        return Shot(pixels, 8, "Mono8" if pixels.ndim == 2 else "RGB8", None)

    def stamp_ns(self) -> int | None:
        """The driver's monotonic time of the last frame, in ns; None if it gives none."""
        stamp_ms = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return int(stamp_ms * 1e6) if stamp_ms > 0 else None

    def close(self) -> None:
        self._capture.release()


def _capture(config: OpencvConfig) -> cv2.VideoCapture:
    """An opened V4L2 device, or one that says it isn't."""
    capture = cv2.VideoCapture(str(node_of(config.device)), cv2.CAP_V4L2)
    code = None if config.fourcc is None else cv2.VideoWriter.fourcc(*config.fourcc)
    for prop, value in (
        (cv2.CAP_PROP_FOURCC, code),  # first: which sizes and rates there are depends on it
        (cv2.CAP_PROP_FRAME_WIDTH, config.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
        (cv2.CAP_PROP_FPS, config.fps),
    ):
        if value is not None:
            capture.set(prop, value)
    return capture


def _set_up(config: OpencvConfig, capture: cv2.VideoCapture) -> None:
    if config.fourcc is not None and (kept := fourcc(capture)) != config.fourcc.strip():
        raise UserError("source.fourcc: the device sends another format", received=config.fourcc, expected=kept)
    if has_controls(config):
        try:
            with opened_node(node_of(config.device)) as node:
                apply_controls(config, node)
        except OSError as error:
            raise VideoError(f"its controls cannot be reached: {error.strerror}") from None
