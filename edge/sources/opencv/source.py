"""A V4L2 device or a network stream is read through OpenCV.

OpenCV's ``read`` blocks for as long as the device pleases, so it has a thread of its own, which hands over one frame at
a time and waits until it is taken: what is lost before is lost in the device, and devices behind OpenCV have no ids to
tell. The ring stays the only place where we drop pixels.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from edge.config.address import with_secrets
from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import FrameMeta, Payload, Skip, SourceState
from edge.sources.opencv.device import check_device, check_file, device_name, video_file
from edge.sources.opencv.reader import Arrived, Reader
from edge.sources.pace import Pace
from edge.sources.protocol import SourceStatus
from edge.storage.pictures import silence_opencv

log = structlog.get_logger()

FIRST_WAIT_S: Final = 0.5
"""First wait in s between two attempts to connect."""
STREAM_SILENT_S: Final = 2.0
"""Time in s without a frame, longer than its pace allows, after which a connected device is ``silent``: a timeout, and so
on."""
HUNG_S: Final = 20.0
"""Time in s after which a call won't return, and is left behind: OpenCV's own limits are 5 s (network) and 10 s (V4L2)."""
_CLOSE_S: Final = 1.0


class OpencvSource:
    """Frames of ``config.device``, counted from 0 over reconnections; BGR8 where OpenCV decodes them.

    A device that is absent or goes away is tried again, after 0.5 s at first and 30 s at most. A picture that repeats the
    one before, or is blank, is no picture of this moment, and one that its decoder calls damaged is none at all: it is
    counted as a ``bad_payload`` loss, and a device that sends nothing else for 10 s is opened anew. How many frames a
    device lost by itself can't be known.

    A video file, relative to ``folder``, may stand in for a device: it plays as fast as it is read, once, and its records
    say ``simulated``.
    """

    def __init__(
        self,
        config: OpencvConfig,
        folder: Path = Path(),
        *,
        first_wait_s: float = FIRST_WAIT_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        file = video_file(config, folder)
        self._is_file = self.simulated = file is not None
        device = config.device if file is None else str(file)
        self._device = device
        self._config = config.model_copy(update={"device": device})
        self._name = device_name(device) if file is None else str(file)
        self._first_wait_s = first_wait_s
        self._now = now
        self._reader: Reader | None = None
        self._held: Arrived | None = None
        self._frames = 0
        self._counters = dict.fromkeys(("frames", "bad_payload", "timeouts", "hung_calls"), 0)
        self._reconnects = 0
        self._heard_s = 0.0
        self._pace = Pace()
        self._state: SourceState = "opening"
        self._detail = self._name

    def open(self) -> None:
        silence_opencv()
        check_device(self._config)
        if isinstance(self._device, str) and not self._is_file:
            self._config = self._config.model_copy(update={"device": with_secrets(self._device)})
        reader = self._new_reader()
        if self._is_file:
            check_file(Path(self._name))
            video = reader.connected()
            if video is None:
                raise UserError(f"source.device: {self._name} is not a video that can be read")
            video.close()
        self._heard_s = self._now()
        self._pace.start(1.0 / self._config.fps if self._config.fps else 0.0)
        self._reader = reader
        reader.start()

    def read(self, timeout_s: float) -> Payload | Skip | None:
        reader = self._reader
        assert reader is not None
        if self._held is not None:
            reader.free.put(self._held.picture)
            self._held = None
        try:
            item = reader.ready.get(timeout=timeout_s)
        except queue.Empty:
            self._watch(reader)
            return None
        if item is None:
            reader.ready.put(None)
            self._enter("ended", f"{self._name}: the file's end")
            raise EOFError
        self._held = item
        frame_id, self._frames = self._frames, self._frames + 1
        if item.doubt is not None:
            self._counters["bad_payload"] += 1
            self._enter("silent", f"{self._name}: {item.doubt}")
            return Skip("bad_payload", 1, frame_id, frame_id, item.received_ns, "counted")
        self._counters["frames"] += 1
        self._heard_s = self._now()
        self._pace.heard(self._heard_s)
        if self._state == "silent":
            self._enter("streaming", self._name)
        assert item.picture is not None
        height, width = item.picture.shape[:2]
        meta = FrameMeta(
            frame_id=frame_id,
            frame_id_source="counted",
            width=width,
            height=height,
            pixel_format=item.pixel_format,
            received_ns=item.received_ns,
            received_mono_ns=item.received_mono_ns,
        )
        return Payload(meta, item.picture.reshape(-1).view(np.uint8))

    def close(self) -> None:
        reader, self._reader, self._held = self._reader, None, None
        if reader is not None:
            self._reconnects += reader.reconnects
            reader.stop()
            if not reader.join(_CLOSE_S):  # it ends by itself when OpenCV gives up, at the latest
                log.warning("opencv_still_reading", device=self._name)
        self._state = "ended"

    def status(self) -> SourceStatus:
        reader = self._reader
        reconnects = self._reconnects + (reader.reconnects if reader is not None else 0)
        return SourceStatus(self._state, self._detail, self._frames, {**self._counters, "reconnects": reconnects})

    def _watch(self, reader: Reader) -> None:
        """Look after a silence: a device that is connected should send, and every call into OpenCV should end."""
        now = self._now()
        limit_s = self._pace.limit_s(STREAM_SILENT_S)
        if self._state in ("streaming", "silent") and now - self._heard_s > limit_s:
            self._heard_s = now
            self._counters["timeouts"] += 1
            self._enter("silent", f"{self._name}: no frame for {limit_s:.3g} s")
        if reader.died or reader.called_for_s() > HUNG_S:
            self._counters["hung_calls"] += 1
            what = "the thread that reads has ended" if reader.died else "OpenCV does not come back from a call"
            self._enter("lost", f"{self._name}: {what}")
            reader.stop()
            self._reconnects += reader.reconnects + 1
            self._reader = self._new_reader()
            self._reader.start()

    def _new_reader(self) -> Reader:
        return Reader(
            self._config,
            self._name,
            self._enter,
            is_file=self._is_file,
            first_wait_s=self._first_wait_s,
            now=self._now,
        )

    def _enter(self, state: SourceState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            log.info("source_state", state=state, detail=detail)
        self._state, self._detail = state, detail
