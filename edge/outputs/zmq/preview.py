"""Small JPEG pictures go to people who look on, over an endpoint of their own; they are encoded only while someone
subscribes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TypeAlias

import cv2
import numpy as np
import zmq
from numpy.typing import NDArray

from edge.config.outputs import ZmqConfig
from edge.frames import Frame, Judged, Record, RunIdentity
from edge.outputs.protocol import Run
from edge.outputs.sink import Sink
from edge.outputs.zmq.door import Door, keys_of
from edge.wire.encode import topic
from edge.wire.keys import DoorKeys

PREVIEW_HWM = 2
SIDE_PX = 960
"""Most px of a preview's longer side."""
PERIOD_S = 0.2
QUALITY = 80
FAILS_A_SECOND = 2.0
"""Pictures of fails and invalids a second that come besides the others. By time alone 95 % of them would never be seen at
100 parts a second."""
Shrunk: TypeAlias = tuple[NDArray[np.uint8], tuple[int, int]]
"""A small picture, and the width and height of its frame in px."""
_AT_WORK = 2  # pictures copied and not yet sent


class PreviewSink(Sink):
    """The sink publishes ``[preview/1/CAMERA/, record, JPEG]``, at most five a second and two more of what is no pass. The
    record's boxes are in frame pixels.
    """

    name = "preview"
    idle_s = 0.1
    subscribers = 0

    def __init__(self, endpoint: str, identity: RunIdentity, keys: DoorKeys | None = None) -> None:
        self._topic = topic("preview", identity.camera)
        self._door = Door(endpoint, PREVIEW_HWM, "outputs.zmq.preview", keys)
        self._next_at = 0.0
        self._fails = FAILS_A_SECOND  # how many may come at once; more by the second
        self._counted_at = 0.0
        self._taken = 0  # counted by the judge's thread
        self._done = 0  # counted by this output's
        self.endpoint: str | None = None
        """Where the socket is bound, once it is."""

    @classmethod
    def of(cls, config: ZmqConfig, run: Run) -> PreviewSink | None:
        """Make the previews of a live line; None if the config names no endpoint for them."""
        return None if config.preview is None else cls(config.preview, run.identity, keys_of(config))

    @property
    def detail(self) -> Mapping[str, object]:
        return {"endpoint": self.endpoint}

    def open(self) -> None:
        self._door.open()
        self.endpoint = self._door.endpoint

    def keep(self, record: Record, frame: Frame, _judged: Judged | None) -> Shrunk | None:
        """Copy every n-th pixel in 8 bits: at most 0.4 ms of the judge's time for 5 megapixels, where an area resize takes
        3 ms.
        """
        if self.subscribers <= 0 or not self._has_slot(record.verdict == "pass"):
            return None
        self._taken += 1
        height, width = frame.pixels.shape[:2]
        step = -(-max(height, width) // SIDE_PX)
        size = (max(width // step, 1), max(height // step, 1))
        small = cv2.resize(frame.pixels, size, interpolation=cv2.INTER_NEAREST)
        grey = cv2.convertScaleAbs(small, alpha=2.0 ** (8 - frame.bits)).astype(np.uint8, copy=False)
        return grey, (width, height)

    def _has_slot(self, passed: bool) -> bool:
        """Take the next slot in time, or for what is no pass one of its own, if there is one."""
        now = time.monotonic()
        if self._taken - self._done >= _AT_WORK + (not passed):
            return False
        if now >= self._next_at:
            self._next_at = now + PERIOD_S
            return True
        self._fails = min(FAILS_A_SECOND, self._fails + FAILS_A_SECOND * (now - self._counted_at))
        self._counted_at = now
        if passed or self._fails < 1:
            return False
        self._fails -= 1
        return True

    def discard(self, _kept: object) -> None:
        self._done += 1

    def write(self, record: Record, kept: Shrunk | None) -> None:
        if kept is None:
            return
        small, size = kept
        bgr = np.ascontiguousarray(small[:, :, ::-1]) if small.ndim == 3 else small
        jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
        self._door.socket.send_multipart((self._topic, record.line, with_frame_size(jpeg.tobytes(), size)), zmq.NOBLOCK)
        self._done += 1  # of one that failed by ``discard``, once it is given up

    def idle(self) -> None:
        """Look at who came and went, and who may no longer look on."""
        if self._door.refresh():
            self.subscribers = 0
        for came, prefix in self._door.changes():
            if self._topic.startswith(prefix):
                self.subscribers += 1 if came else -1

    def recover(self) -> None:
        """Begin anew in the same place."""
        self.subscribers = 0
        self._door.shut()
        self.open()

    def close(self) -> None:
        self.subscribers = 0
        self._door.close()


def with_frame_size(jpeg: bytes, size: tuple[int, int]) -> bytes:
    """Return the JPEG with a comment behind its first marker, ``frame=WxH``: the record's boxes are in pixels of that
    frame, whose size a shrunk picture alone doesn't tell.
    """
    text = b"frame=%dx%d" % size
    return jpeg[:2] + b"\xff\xfe" + (len(text) + 2).to_bytes(2, "big") + text + jpeg[2:]
