"""A thread reads from OpenCV, which blocks for as long as a device pleases, and doubts what no camera would send."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.sources import OpencvConfig
from edge.frames import SourceState

LONGEST_WAIT_S: Final = 30.0
"""Longest wait in s between attempts to connect; waits double up to this."""
REOPEN_S: Final = 10.0
"""Time in s after which a device that has sent nothing believable is opened anew."""
_TIMEOUT_MS: Final = 5000
_GRID: Final = 8
"""Pictures are compared on each eighth pixel of each eighth row first: 0.1 ms at 1920x1080."""

Enter: TypeAlias = Callable[[SourceState, str], None]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One picture came as OpenCV gave it, (H, W, 3) BGR, with its stamps. ``doubt`` says why it is no picture of this
    moment.
    """

    picture: NDArray[np.uint8]
    received_ns: int
    received_mono_ns: int
    doubt: str | None


class Doubts:
    """Devices that have lost their camera send the last picture again, or a blank one; doubts catch these."""

    def __init__(self, max_repeats: int | None, blank_level: int | None) -> None:
        self._max_repeats = max_repeats
        self._blank_level = blank_level
        self._last: NDArray[np.uint8] | None = None
        self._grid: NDArray[np.uint8] | None = None
        self._repeats = 0

    def about(self, picture: NDArray[np.uint8]) -> str | None:
        """Return None for a picture to believe. The one before must be unchanged in memory, or be this very array."""
        if self._max_repeats is not None:
            self._repeats = self._repeats + 1 if self._same(picture) else 0
            if self._repeats > self._max_repeats:
                return "the device repeats its last picture"
        if self._blank_level is not None and self._is_blank(picture, self._blank_level):
            return "the device sends blank pictures"
        return None

    def _same(self, picture: NDArray[np.uint8]) -> bool:
        last, before = self._last, self._grid
        grid = self._grid = picture[::_GRID, ::_GRID].copy()
        self._last = picture
        if before is None or not np.array_equal(before, grid):
            return False
        return last is picture or np.array_equal(last, picture)  # type: ignore[arg-type]

    def _is_blank(self, picture: NDArray[np.uint8], level: int) -> bool:
        return all(
            (pixels.max(axis=(0, 1)) - pixels.min(axis=(0, 1)) <= level).all()
            for pixels in (picture[::_GRID, ::_GRID], picture)
        )


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
            self._believed, error = 0, ""
            try:
                capture = self.connected()
                if capture is not None:
                    self._pump(capture)
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
            self._enter("backoff", f"{self._name}: no stream, tried again in {wait_s:g} s")
            self._wake.wait(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def connected(self) -> cv2.VideoCapture | None:
        """Return an open capture, or None."""
        try:
            capture: cv2.VideoCapture = self._called(lambda: _capture(self._config))
        except cv2.error:
            return None
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _pump(self, capture: cv2.VideoCapture) -> None:
        """Hand over pictures until the device fails, or sends nothing to believe."""
        believed_s = self._now()
        try:
            while (arrived := self._next(capture)) is not None:
                self.ready.put(arrived)
                if arrived.doubt is None:
                    if self._believed == 0:
                        self._enter("streaming", self._name)
                    self._believed, believed_s = self._believed + 1, self._now()
                elif self._now() - believed_s > REOPEN_S:
                    return
        finally:
            capture.release()

    def _next(self, capture: cv2.VideoCapture) -> Arrived | None:
        """Return the next picture, in memory that comes back to ``free`` when it was read, or None."""
        buffer = self.free.get()
        arrived = None
        try:
            if self._wake.is_set():
                return None
            ok, picture = self._called(lambda: capture.read(buffer))
            if ok and picture is not None and picture.size:
                received_ns, received_mono_ns = time.time_ns(), time.monotonic_ns()
                picture = np.ascontiguousarray(picture)
                arrived = Arrived(picture, received_ns, received_mono_ns, self._doubts.about(picture))
        except cv2.error:
            pass
        finally:
            if arrived is None:
                self.free.put(buffer)
        return arrived

    def _called(self, call: Callable[[], Any]) -> Any:
        self._called_s = self._now()
        try:
            return call()
        finally:
            self._called_s = None

    def _enter(self, state: SourceState, detail: str) -> None:
        if not self._wake.is_set():
            self._enter_state(state, detail)


def _capture(config: OpencvConfig) -> cv2.VideoCapture:
    """Return an opened capture, or one that says it isn't. Blocks, for a network stream up to ``_TIMEOUT_MS``."""
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
