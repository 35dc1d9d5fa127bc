"""A V4L2 device or a network stream through OpenCV.

OpenCV's ``read`` blocks for as long as the device pleases, so it has a thread of its own, which hands over one frame at
a time and waits until it is taken: what is lost before is lost in the device, and devices behind OpenCV have no ids to
tell. The ring stays the only place where we drop pixels.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from edge import config
from edge.errors import UserError
from edge.frames import FrameMeta, Payload, Skip, SourceState
from edge.pictures import silence_opencv
from edge.sources import SourceStatus

log = structlog.get_logger()

FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 30.0
"""Waits between attempts to connect double from the first to the longest."""
SILENT_S: Final = 2.0
"""Connected, but without a frame for longer: ``silent``."""
_TIMEOUT_MS: Final = 5000
_CLOSE_S: Final = 1.0


class OpencvSource:
    """Frames of ``config.device``, counted from 0 over reconnections; BGR8 as OpenCV gives them.

    A device that is absent or goes away is tried again, after 0.5 s at first and 30 s at most. A video file may stand in
    for a device: it plays as fast as it is read, once, and its records say ``simulated``.
    """

    def __init__(
        self,
        config: config.OpencvSource,
        *,
        first_wait_s: float = FIRST_WAIT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        device = config.device
        self._name = _without_password(device) if isinstance(device, str) else f"/dev/video{device}"
        self._first_wait_s = first_wait_s
        self._now = now
        self._is_file = isinstance(device, str) and Path(device).is_file()
        self.simulated = self._is_file
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._ready: queue.Queue[tuple[NDArray[np.uint8], int, int] | None] = queue.Queue()  # None: a file's end
        self._free: queue.Queue[Any] = queue.Queue()
        self._held: Any = None
        self._frames = 0
        self._timeouts = 0
        self._reconnects = 0
        self._heard_s = 0.0
        self._state: SourceState = "opening"
        self._detail = self._name

    def open(self) -> None:
        silence_opencv()
        if self._is_file:
            capture = self._connected()
            if capture is None:
                raise UserError(f"source.device: {self._name} is not a video that OpenCV reads")
            capture.release()
        self._stop = threading.Event()
        self._ready, self._free, self._held = queue.Queue(), queue.Queue(), None
        for _ in range(2):  # one is read by the caller while the other is filled
            self._free.put(None)
        self._heard_s = self._now()
        self._thread = threading.Thread(
            target=self._run, args=(self._stop, self._ready, self._free), name="opencv-reader", daemon=True
        )
        self._thread.start()

    def read(self, timeout_s: float) -> Payload | Skip | None:
        if self._held is not None:
            self._free.put(self._held)
            self._held = None
        try:
            item = self._ready.get(timeout=timeout_s)
        except queue.Empty:
            if self._state == "streaming" and self._now() - self._heard_s > SILENT_S:
                self._timeouts += 1
                self._enter("silent", f"{self._name}: no frame for {SILENT_S:g} s")
            return None
        if item is None:
            self._ready.put(None)
            self._enter("ended", f"{self._name}: the file's end")
            raise EOFError
        self._heard_s = self._now()
        if self._state == "silent":
            self._enter("streaming", self._name)
        self._held, received_ns, received_mono_ns = item
        height, width = self._held.shape[:2]
        meta = FrameMeta(self._frames, "counted", width, height, "BGR8", received_ns, received_mono_ns)
        self._frames += 1
        return Payload(meta, self._held.reshape(-1))

    def close(self) -> None:
        self._stop.set()
        self._free.put(None)  # a reader that waits for a buffer looks at the stop event
        if self._thread is not None:
            self._thread.join(_CLOSE_S)
            if self._thread.is_alive():  # it ends by itself when OpenCV gives up, at the latest
                log.warning("opencv_still_reading", device=self._name)
            self._thread = None
        self._state = "ended"

    def status(self) -> SourceStatus:
        counters = {"timeouts": self._timeouts, "reconnects": self._reconnects}
        return SourceStatus(self._state, self._detail, self._frames, counters)

    def _run(self, stop: threading.Event, ready: queue.Queue[Any], free: queue.Queue[Any]) -> None:
        """The reader thread: connect, read until it fails, wait, again."""
        attempt, wait_s = 0, self._first_wait_s
        while not stop.is_set():
            attempt += 1
            capture = self._connected()
            frames = self._pump(capture, stop, ready, free) if capture is not None else 0
            if stop.is_set():
                return
            if self._is_file:
                ready.put(None)
                return
            if frames:
                attempt, wait_s = 0, self._first_wait_s
                self._reconnects += 1
                self._enter("lost", f"{self._name}: the stream ended after {frames} frames")
            self._enter("backoff", f"{self._name}: no stream, tried again in {wait_s:g} s", attempt=attempt)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _connected(self) -> cv2.VideoCapture | None:
        try:
            capture = _capture(self._config)
        except cv2.error:
            return None
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _pump(
        self, capture: cv2.VideoCapture, stop: threading.Event, ready: queue.Queue[Any], free: queue.Queue[Any]
    ) -> int:
        """Hand over frames until the stream fails; how many."""
        frames = 0
        try:
            while True:
                buffer = free.get()
                if stop.is_set():
                    return frames
                try:
                    ok, picture = capture.read(buffer)
                except cv2.error:
                    ok, picture = False, None
                if not ok or picture is None:
                    free.put(buffer)
                    return frames
                ready.put((np.ascontiguousarray(picture), time.time_ns(), time.monotonic_ns()))
                if frames == 0:
                    self._enter("streaming", self._name)
                frames += 1
        finally:
            capture.release()

    def _enter(self, state: SourceState, detail: str, **facts: object) -> None:
        if (state, detail) != (self._state, self._detail):
            log.info("source_state", state=state, detail=detail, **facts)
        self._state, self._detail = state, detail


def _capture(config: config.OpencvSource) -> cv2.VideoCapture:
    """An opened capture, or one that says it isn't. Blocks, for a network stream up to ``_TIMEOUT_MS``."""
    device = config.device
    if isinstance(device, str) and not device.startswith("/dev/"):
        # V4L2 refuses to open with these two; its own limit for a frame is 10 s
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _TIMEOUT_MS]
        return cv2.VideoCapture(device, cv2.CAP_FFMPEG, limits)
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2)
    for prop, value in (
        (cv2.CAP_PROP_FRAME_WIDTH, config.width),
        (cv2.CAP_PROP_FRAME_HEIGHT, config.height),
        (cv2.CAP_PROP_FPS, config.fps),
    ):
        if value is not None:
            capture.set(prop, value)
    return capture


def _without_password(address: str) -> str:
    """For logs: ``rtsp://user:secret@host`` becomes ``rtsp://user:***@host``."""
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1:***@", address)
