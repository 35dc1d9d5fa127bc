"""Pictures in memory serve as a source that a benchmark replays, without a copy and without a file."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.frames import FrameMeta, Payload, Skip, SourceState
from edge.sources.clock import SYSTEM_CLOCK, Clock
from edge.sources.protocol import SourceStatus
from edge.storage.pictures import decoded_format


class MemorySource:
    """The source gives ``count`` frames that go round and round through ``pictures``; ids are counted from 0.

    Args:
        pictures: each C-contiguous (H, W) or (H, W, 3) RGB, uint8, or uint16 of 16 bits. They are not copied.
        count: frames until the end; None: endless.
        fps: frames per second, each at its time however late the reader is; None: as fast as they are taken.
    """

    simulated = True

    def __init__(
        self,
        pictures: Sequence[NDArray[np.uint8] | NDArray[np.uint16]],
        count: int | None,
        *,
        fps: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.total = count
        self._pictures = []
        for picture in pictures:
            pixel_format = decoded_format(picture, 8 * picture.itemsize)
            if pixel_format is None or not picture.flags.c_contiguous:
                raise ValueError(f"{picture.dtype} {picture.shape} is no picture that a source gives")
            data = picture.astype(picture.dtype.newbyteorder("<"), copy=False).reshape(-1).view(np.uint8)
            self._pictures.append((picture.shape[1], picture.shape[0], pixel_format, data))
        self._fps = fps
        self._clock = clock
        self._began_s = 0.0
        self._next = 0
        self._state: SourceState = "opening"

    def open(self) -> None:
        self._began_s = self._clock.now() - (self._next / self._fps if self._fps else 0.0)
        self._state = "streaming"

    def read(self, timeout_s: float) -> Payload | Skip | None:
        index = self._next
        if index == self.total:
            self._state = "ended"
            raise EOFError
        if self._fps is not None and not self._clock.wait_until(self._began_s + index / self._fps, timeout_s):
            return None
        width, height, pixel_format, data = self._pictures[index % len(self._pictures)]
        self._next = index + 1
        meta = FrameMeta(
            frame_id=index,
            frame_id_source="counted",
            width=width,
            height=height,
            pixel_format=pixel_format,
            received_ns=time.time_ns(),
            received_mono_ns=time.monotonic_ns(),
        )
        return Payload(meta, data)

    def close(self) -> None:
        self._state = "ended"

    def status(self) -> SourceStatus:
        return SourceStatus(self._state, f"{len(self._pictures)} pictures in memory", self._next)
