"""A V4L2 device or a network stream is read through OpenCV.

OpenCV's ``read`` blocks for as long as the device pleases, so it has a thread of its own, which hands over one frame at
a time and waits until it is taken: what is lost before is lost in the device, and devices behind OpenCV have no ids to
tell. The ring stays the only place where we drop pixels.
"""

from __future__ import annotations

import queue
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from edge.config.address import redacted, with_secrets
from edge.config.sources import OpencvConfig
from edge.errors import UserError
from edge.frames import FrameMeta, Payload, Skip, SourceState
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
LIVE_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srtp", "udp", "srt", "http", "https")
_ADDRESS: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


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
        self._name = f"/dev/video{device}" if isinstance(device, int) else device if file else redacted(device)
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
        check_address(self._config)
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


def video_file(config: OpencvConfig, folder: Path) -> Path | None:
    """Return the file that ``device`` names, absolute; None for a V4L2 device or an address (``scheme:...``)."""
    device = config.device
    if isinstance(device, int) or device.startswith("/dev/") or _ADDRESS.match(device):
        return None
    return (folder / Path(device).expanduser()).absolute()


def check_address(config: OpencvConfig) -> None:
    """Refuse an address that is no camera's: a list of what is live, for FFmpeg opens files under many schemes.

    Raises:
        UserError: another scheme.
    """
    device = config.device
    if isinstance(device, int) or not _ADDRESS.match(device):
        return
    scheme = device.partition(":")[0].lower()
    if scheme not in LIVE_SCHEMES:
        raise UserError(
            f"source.device: {scheme}: is no scheme of a live stream",
            received=redacted(device),
            expected=f"{', '.join(LIVE_SCHEMES)}; or a V4L2 device, or the path of a video file",
            fix="name a file by its path, or use kind: recorded; its records then say simulated",
        )


def check_file(path: Path) -> None:
    """Raise ``UserError`` if no such video file can be played."""
    if not path.exists() or path.is_dir():
        raise UserError(
            "source.device: a folder, not a video file" if path.is_dir() else "source.device: no such file",
            received=path,
            expected="a V4L2 device (0, /dev/video0), an address (rtsp://...) or a video file",
            fix="correct the path; a relative one lies beside the config file",
            passes=not path.exists(),
        )
