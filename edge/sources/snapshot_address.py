"""A camera's snapshot address is a live source: its present picture is asked for at an interval.

Frames are counted from 0. A picture may be as old as the question, so its time is that of the question, or earlier by the
age that the camera's server tells. What a camera shows between two questions nobody can count.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog

from edge.config.address import redacted, with_secrets
from edge.config.sources import SnapshotConfig
from edge.errors import UserError
from edge.frames import FrameMeta, Payload, Skip, SourceState
from edge.sources.ahead import HELD_S, Ahead, Wait
from edge.sources.doubts import Doubts
from edge.sources.http_picture import Answered, HttpPicture, NoAnswerError, checked_url
from edge.sources.protocol import DeviceFinding, SourceStatus
from edge.storage.pictures import PictureError, Pixels, decode_with_bits, decoded_format, silence_opencv

log = structlog.get_logger()

LONGEST_S: Final = 30.0
"""Longest wait between two questions that fail, in s; the wait doubles up to this. After a refused password it is this at
once: cameras lock users out."""
_CLOSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class _Shot:
    """One answer: its pixels, or why they are no picture of this moment."""

    pixels: Pixels | None
    pixel_format: str
    doubt: str | None
    received_ns: int
    received_mono_ns: int


class SnapshotSource:
    """The source asks in a thread of its own, which holds one picture ready."""

    simulated = False

    def __init__(self, config: SnapshotConfig, folder: Path, *, first_wait_s: float = 0.5) -> None:
        self._config = config
        self._ca_file = None if config.ca_file is None else (folder / config.ca_file.expanduser()).absolute()
        self.name = redacted(config.address)
        self._first_wait_s = first_wait_s
        self._wait_s = first_wait_s
        self._due_s = 0.0
        self._http: HttpPicture | None = None
        self._doubts = Doubts(config.max_repeats, config.blank_level)
        self._ahead: Ahead[_Shot] | None = None
        self._frames = 0
        self._counters = dict.fromkeys(("frames", "bad_payload", "timeouts", "reconnects", "held_calls"), 0)
        self._state: SourceState = "opening"
        self._detail = self.name

    def open(self) -> None:
        silence_opencv()
        self._http = self.asked()
        self._due_s = time.monotonic()
        self._ahead = Ahead(self._fetch, "snapshot")
        self._ahead.start()

    def asked(self) -> HttpPicture:
        """Return the way to the picture, with user and password.

        Raises:
            UserError: a secret that has no value here, or as ``HttpPicture``.
        """
        address = with_secrets(self._config.address, key="source.address")
        return HttpPicture(address, timeout_s=self._config.timeout_s, ca_file=self._ca_file)

    def read(self, timeout_s: float) -> Payload | Skip | None:
        assert self._ahead is not None
        shot = self._ahead.take(timeout_s)
        if shot is None:
            if self._ahead.held_s() > HELD_S + self._config.interval_s + LONGEST_S and self._state != "lost":
                self._counters["held_calls"] += 1
                self._enter("lost", f"{self.name}: a question does not come back")
            return None
        frame_id, self._frames = self._frames, self._frames + 1
        if shot.doubt is not None or shot.pixels is None:
            self._counters["bad_payload"] += 1
            self._enter("silent", f"{self.name}: {shot.doubt}")
            return Skip("bad_payload", 1, frame_id, frame_id, shot.received_ns, "counted")
        self._counters["frames"] += 1
        self._enter("streaming", self.name)
        height, width = shot.pixels.shape[:2]
        meta = FrameMeta(
            frame_id=frame_id,
            frame_id_source="counted",
            width=width,
            height=height,
            pixel_format=shot.pixel_format,
            received_ns=shot.received_ns,
            received_mono_ns=shot.received_mono_ns,
        )
        little: Any = shot.pixels.astype(shot.pixels.dtype.newbyteorder("<"), copy=False)
        return Payload(meta, little.reshape(-1).view(np.uint8))

    def close(self) -> None:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and not ahead.stop(_CLOSE_S):
            log.warning("snapshot_still_asked", address=self.name)
        self._state = "ended"

    def status(self) -> SourceStatus:
        return SourceStatus(self._state, self._detail, self._frames, dict(self._counters))

    def _fetch(self, wait: Wait) -> _Shot | None:
        """Ask when it is time. Runs in the thread of ``Ahead``."""
        assert self._http is not None
        if wait.sleep(self._due_s - time.monotonic()):
            return None
        try:
            answered = self._http.get()
        except NoAnswerError as error:
            self._failed(error)
            return None
        self._wait_s = self._first_wait_s
        interval_s = self._config.interval_s
        self._due_s += interval_s * max(1, math.ceil((time.monotonic() - self._due_s) / interval_s))
        return self._shot(answered)

    def _failed(self, error: NoAnswerError) -> None:
        streaming = self._state in ("streaming", "silent")
        self._counters["reconnects"] += streaming
        self._counters["timeouts"] += streaming
        wait_s = LONGEST_S if error.refused else self._wait_s
        self._enter("lost" if streaming else "backoff", f"{self.name}: {error}; asked again in {wait_s:g} s")
        self._due_s = time.monotonic() + wait_s
        self._wait_s = min(LONGEST_S, 2 * self._wait_s)

    def _shot(self, answered: Answered) -> _Shot:
        pixels, pixel_format, doubt = None, "", None
        try:
            if answered.short_by > 0:
                raise PictureError(f"cut off: {answered.short_by} bytes are missing")
            picture = decode_with_bits(answered.data)
            pixels, pixel_format = picture.pixels, decoded_format(picture.pixels, picture.bits) or ""
            doubt = self._doubts.about(picture.pixels)
        except PictureError as error:
            doubt = str(error)
        return _Shot(pixels, pixel_format, doubt, answered.asked_ns, answered.asked_mono_ns)

    def _enter(self, state: SourceState, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            log.info("source_state", state=state, detail=detail)
        self._state, self._detail = state, detail


def check_snapshot(config: SnapshotConfig, folder: Path) -> None:
    """Refuse an address that is none, or a certificate that is none, without asking the camera.

    A ``${NAME}`` is not looked up: a service has an environment of its own.
    """
    checked_url(config.address.replace("${", "x").replace("}", "x"))
    if config.ca_file is not None:
        HttpPicture("http://x/", timeout_s=1.0, ca_file=(folder / config.ca_file.expanduser()).absolute())


def examine_snapshot(config: SnapshotConfig, folder: Path) -> DeviceFinding:
    """Ask the camera once, with this user's password, and say what came."""
    source = SnapshotSource(config, folder)
    try:
        began_s = time.monotonic()
        picture = decode_with_bits(source.asked().get().data)
    except (UserError, PictureError) as error:
        return DeviceFinding("fail", "camera", str(error).replace("\n  ", "; "))
    except NoAnswerError as error:
        fix = "correct user and password" if error.refused else "look after the camera and its network"
        return DeviceFinding("fail" if error.refused else "warn", "camera", f"{source.name}: {error}", fix)
    height, width = picture.pixels.shape[:2]
    took_ms = 1000 * (time.monotonic() - began_s)
    text = f"{source.name}: {width}x{height} in {took_ms:.0f} ms"
    if took_ms > 1000 * config.interval_s:
        return DeviceFinding("warn", "camera", f"{text}, longer than source.interval_s", "a longer interval")
    return DeviceFinding("ok", "camera", text)
