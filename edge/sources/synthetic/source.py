"""Generated parts serve as a source that behaves like a camera: device ids from 1, its own pace, losses for a late
reader.
"""

from __future__ import annotations

import time

import numpy as np

from edge.config.sources import SyntheticConfig
from edge.frames import FrameMeta, Payload, Skip, SourceState
from edge.sources.clock import SYSTEM_CLOCK, Clock
from edge.sources.protocol import SourceStatus
from edge.sources.synthetic.parts import make_scene
from edge.sources.synthetic.plate import Scene

WAITING: int = 32
"""Number of frames that may be due and not yet read, as many as a GenICam source has buffers; beyond, the oldest are
lost."""


class SyntheticSource:
    """The source gives frame k (from 0) of the config the id k + 1; it is ``synthetic_part(config, k)``.

    With ``fps``, frames are due at their times from the first ``read`` on; what a late reader missed comes as a
    ``frame_id_gap`` skip. Without, frames come as fast as they are read, and none is lost. ``camera_ns`` is the device's
    clock: 0 at the first frame.
    """

    simulated = True

    def __init__(self, config: SyntheticConfig, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.total = config.frames
        self._config = config
        self._clock = clock
        self._scene: Scene | None = None
        self._pixels = np.empty((config.height, config.width), np.uint8)
        self._data = self._pixels.reshape(-1)
        self._began_s: float | None = None
        self._next = 0
        self._lost = 0
        self._state: SourceState = "opening"

    def open(self) -> None:
        if self._scene is None:
            self._scene = make_scene(self._config.preset, self._config.seed, self._config.height, self._config.width)
        self._began_s = None
        self._state = "streaming"

    def read(self, timeout_s: float) -> Payload | Skip | None:
        fps, index = self._config.fps, self._next
        if index == self.total:
            self._state = "ended"
            raise EOFError
        if fps is not None:
            if self._began_s is None:
                self._began_s = self._clock.now() - index / fps
            if not self._clock.wait_until(self._began_s + index / fps, timeout_s):
                return None
            missed = self._missed(fps)
            if missed:
                return self._gap(missed)
        assert self._scene is not None
        self._scene.render(index, self._config.defect_rate, self._pixels)
        self._next = index + 1
        meta = FrameMeta(
            frame_id=index + 1,
            frame_id_source="device",
            width=self._config.width,
            height=self._config.height,
            pixel_format="Mono8",
            received_ns=time.time_ns(),
            received_mono_ns=time.monotonic_ns(),
            camera_ns=None if fps is None else round(index * 1e9 / fps),
            timestamp_source="host" if fps is None else "camera",
        )
        return Payload(meta, self._data)

    def close(self) -> None:
        self._state = "ended"

    def status(self) -> SourceStatus:
        detail = f"synthetic {self._config.preset}, seed {self._config.seed}"
        return SourceStatus(self._state, detail, self._next, {"frame_id_gap": self._lost})

    def _missed(self, fps: float) -> int:
        """Return the frames that are due beyond the ``WAITING`` newest ones."""
        assert self._began_s is not None
        due = int((self._clock.now() - self._began_s) * fps + 1e-6) + 1
        if self.total is not None:
            due = min(due, self.total)
        return max(0, due - self._next - WAITING)

    def _gap(self, missed: int) -> Skip:
        first, last = self._next + 1, self._next + missed
        self._next += missed
        self._lost += missed
        return Skip("frame_id_gap", missed, first, last, time.time_ns())
