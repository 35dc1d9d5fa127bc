"""The ``genicam`` source reads any GenTL camera, accounts for each frame by the camera's own ids, and comes back by itself.

All GenICam calls are made by ``open``, ``read`` and ``close``, in the one thread that calls them: the binding holds
Python's interpreter lock while it waits (https://github.com/genicam/harvesters/issues/508), so this loop asks without
waiting and sleeps when nothing is there.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final

import structlog

from edge.config.sources import Feature, GenicamConfig
from edge.errors import UserError
from edge.frames import Payload, Skip, SourceState
from edge.sources.genicam.accounts import Accounts
from edge.sources.genicam.camera_errors import FetchError, NotConnectedError
from edge.sources.genicam.cameras import library
from edge.sources.genicam.producers import means_simulated, producer_files
from edge.sources.pace import Pace
from edge.sources.protocol import SourceStatus

if TYPE_CHECKING:
    from edge.sources.genicam.buffer import RawFrame
    from edge.sources.genicam.link import Link

POLL_S: Final = 0.001
"""Pause in s when no buffer waits: it adds at most this to the latency, and leaves other threads 97 % of their speed."""
SILENT_S: Final = 1.0
"""Time in s without a frame after which the camera is asked whether it is there, and again after each such time. A
free-running one that says nothing for three times its own frame interval too is silent."""
BACKOFF_S: Final = (0.5, 30.0)
"""First and longest pause in s between two attempts to connect; it doubles each time."""
RESTART_S: Final = (10.0, 600.0)
"""Time in s after which the stream of a free-running camera that answers but sends nothing is stopped and started; again
after twice that, up to the second value, so that a camera with minutes between frames gets its chance."""
STEP_S: Final = 60.0
"""Longest step in s of opening or closing a camera that is still no hang: a producer searches six network interfaces for 6
s."""
FETCH_ERRORS: Final = 10
"""Number of stream errors in a row after which a camera that answers is opened anew."""

log = structlog.get_logger()


class GenicamSource:
    """The source is a camera, from absent to streaming and back. It keeps the protocol of ``edge.sources.Source``.

    A payload's data are a view of the producer's buffer, which is queued again by the next ``read``. A loss is returned
    before the frame that revealed it. A frame with a known id that came incomplete or unreadable is in one skip of its
    own reason and in no gap. Losses before the first frame of a stream can't be known (ids begin where they like).
    Frame ids rise through a stream (a 16-bit camera's wraps are undone) and begin anew at each connection.
    Three frames in a row that can't be used, or have no part id, are reported as the status's ``problem`` until 10 s after
    the last of them.

    ``camera_ns`` is the camera's stamp as UTC where its clock can be followed: ``timestamp_source`` ``ptp`` (in step
    with the network's) or ``camera`` (latched every 5 s and mapped). Elsewhere it is None, and the source ``host``.
    """

    def __init__(self, config: GenicamConfig, camera: str) -> None:
        self._config = config
        self._log = log.bind(camera=camera)
        self.simulated = means_simulated(config.producer)
        self._state: SourceState = "opening"
        self._detail = ""
        self._logged_failure = ""
        """Why the latest attempt to connect failed: the log has it once."""
        self._accounts = Accounts(config.part_id, self._log, None if self.simulated else config.max_repeats)
        self._counters = self._accounts.counters
        self._pace = Pace()
        self._link: Link | None = None
        self._streaming = False
        self._held: RawFrame | None = None
        self._busy_until_ns = 0
        self._attempt = 0
        self._next_attempt = 0.0
        self._last_frame = self._next_probe = self._next_restart = 0.0
        self._restart_pause = RESTART_S[0]
        self._errors = 0

    def open(self) -> None:
        """Connect for the first time.

        Raises:
            UserError: no camera library, no such producer, features that the camera refuses, several cameras and no serial.
        """
        self.close()
        genicam_link = library()
        self._enter("opening", "looking for the camera")
        self._attempt, self._next_attempt = 0, 0.0
        self._link = genicam_link.Link(
            self._config,
            producer_files(self._config.producer),
            simulated=self.simulated,
            step=self._begin_step,
            counters=self._counters,
        )
        try:
            self._connect(raising=True)
        finally:
            self._end_step()

    def read(self, timeout_s: float) -> Payload | Skip | None:
        """Read as the protocol says, except that an attempt to connect takes as long as library and camera need for it.

        It goes in steps of at most ``STEP_S`` (looking for devices on each network interface, a user set), shown in the
        status.
        """
        try:
            return self._read(timeout_s)
        finally:
            self._end_step()

    def _read(self, timeout_s: float) -> Payload | Skip | None:
        deadline = time.monotonic() + timeout_s
        self._release()
        while not self._accounts.waiting:
            now = time.monotonic()
            if not self._streaming and now >= self._next_attempt:
                self._connect(raising=False)
            elif not self._streaming:
                if not _sleep_until(min(self._next_attempt, deadline), deadline):
                    return None
            elif not self._poll():
                if now >= deadline:
                    return None
                self._watch(now)
                time.sleep(min(POLL_S, max(0.0, deadline - now)))
        return self._accounts.take()

    def write(self, *features: Feature) -> bool:
        """Write features while frames come, in the thread that reads; return False if the camera is not connected now.

        Raises:
            UserError: what the camera doesn't accept.
        """
        if self._link is None or not self._streaming:
            return False
        try:
            self._link.write(features)
        except NotConnectedError:
            return False  # lost, perhaps: that shows at the next poll
        finally:
            self._end_step()
        return True

    def close(self) -> None:
        """Give the camera back. Frames that still wait in the producer are not announced."""
        self._held = None
        self._streaming = False
        link, self._link = self._link, None
        if link is not None:
            link.close()
            self._accounts.start()
            self._enter("ended", "closed")

    def status(self) -> SourceStatus:
        accounts = self._accounts
        return SourceStatus(
            self._state,
            self._detail,
            accounts.announced,
            dict(self._counters),
            accounts.problem,
            busy_until_ns=self._busy_until_ns,
        )

    def _begin_step(self) -> None:
        self._busy_until_ns = time.monotonic_ns() + int(STEP_S * 1e9)

    def _end_step(self) -> None:
        self._busy_until_ns = min(self._busy_until_ns, time.monotonic_ns())

    def _connect(self, *, raising: bool) -> None:
        """Make one attempt; set the time of the next one if it fails."""
        assert self._link is not None
        self._attempt += 1
        opened = self._link.opened
        try:
            if self._state in ("lost", "backoff"):
                self._state, self._detail = "opening", "looking for the camera"
            self._link.connect()
            self._enter("configured", "features written")
            self._link.start()
        except NotConnectedError as error:
            self._back_off(error.code, str(error), list(error.present))
            return
        except UserError as error:
            if raising:
                raise
            self._back_off("config_refused", str(error), [])
            return
        finally:  # an opening that led to no frame costs memory all the same
            self._counters["reconnects"] += self._link.opened - opened if opened else 0
        self._begin_stream()

    def _begin_stream(self) -> None:
        assert self._link is not None
        self._accounts.start()
        self._streaming, self._errors, self._logged_failure = True, 0, ""
        hz = self._config.software_trigger_hz
        self._pace.start(max(1.0 / hz if hz else 0.0, self._link.expected_interval_s()))
        self._quiet_since(time.monotonic())
        info = self._link.info
        self._log.info(
            "camera_connected",
            serial=info.serial if info else None,
            device_user_id=(info.device_user_id or None) if info else None,
            model=info.model if info else None,
            attempt=self._attempt,
            reconnects=self._counters["reconnects"],
        )
        if self._link.triggered:
            self._enter("waiting_for_trigger", "TriggerMode is On")

    def _poll(self) -> bool:
        """Take one buffer if there is one; return True if something is pending now."""
        assert self._link is not None
        try:
            frame = self._link.fetch()
        except FetchError as error:
            self._errors += 1
            self._counters["fetch_errors"] += 1
            if self._errors >= FETCH_ERRORS or not self._link.alive():
                self._lose(f"the stream failed: {error}")
            return False
        if frame is None:
            return False
        self._errors = self._attempt = 0
        now = frame.received_mono_ns / 1e9
        self._pace.heard(now)
        self._quiet_since(now)
        if self._state != "streaming":
            self._enter("streaming", "frames arrive")
        self._held = frame
        self._accounts.put(frame)
        if not self._accounts.waiting:
            self._release()
        return self._accounts.waiting

    def _release(self) -> None:
        """Queue the held buffer again, unless its payload still waits to be read."""
        if self._held is None or self._accounts.waiting or self._link is None:
            return
        held, self._held = self._held, None
        try:
            self._link.release(held)
        except FetchError:
            self._counters["requeue_errors"] += 1  # of a lost camera; the loss itself shows at the next poll

    def _quiet_since(self, now: float) -> None:
        self._last_frame = now
        self._next_probe = now + SILENT_S
        self._restart_pause = RESTART_S[0]
        self._next_restart = now + RESTART_S[0]

    def _watch(self, now: float) -> None:
        """Ask a silent camera whether it is there: an idle trigger is not a fault, a pulled cable is."""
        if now < self._next_probe or not self._streaming:
            return
        assert self._link is not None
        self._next_probe = now + SILENT_S
        if not self._link.alive():
            self._lose("the camera does not answer")
        elif self._link.triggered:
            self._enter("waiting_for_trigger", "TriggerMode is On")
        elif now - self._last_frame >= (limit_s := self._pace.limit_s(SILENT_S)):
            self._counters["timeouts"] += 1
            self._enter("silent", f"free-running, and no frame for more than {limit_s:.3g} s")
            if now >= self._next_restart:
                self._restart()

    def _restart(self) -> None:
        """Stop and start the stream of a connected camera, which costs no memory as opening it anew does."""
        assert self._link is not None
        self._log.warning("stream_restarted", silent_s=round(time.monotonic() - self._last_frame, 1))
        self._counters["stream_restarts"] += 1
        self._restart_pause = min(2 * self._restart_pause, RESTART_S[1])
        self._next_restart = time.monotonic() + self._restart_pause
        self._accounts.start()
        try:
            self._link.stop()
            self._link.start()
        except NotConnectedError as error:
            self._lose(str(error))

    def _lose(self, why: str) -> None:
        """Stay ``lost`` until the first attempt to connect again: long enough for whoever looks every 0.1 s."""
        assert self._link is not None
        self._streaming, self._held = False, None
        self._enter("lost", why)
        self._log.warning("camera_lost", reason=why)
        self._link.disconnect()
        self._pause()

    def _back_off(self, code: str, text: str, present: list[str]) -> None:
        self._pause()
        if text != self._logged_failure:
            known: dict[str, Any] = {"present": present} if code == "camera_not_found" else {}
            self._log.warning(code, reason=text, serial=self._config.serial, **known)
        self._state, self._detail, self._logged_failure = "backoff", text, text

    def _pause(self) -> None:
        first, longest = BACKOFF_S
        pause = min(longest, first * 2 ** min(max(0, self._attempt - 1), 10)) * random.uniform(0.75, 1.0)  # noqa: S311  (no secret)
        self._next_attempt = time.monotonic() + pause

    def _enter(self, state: SourceState, detail: str) -> None:
        if state != self._state:
            self._log.info("source_state", state=state, detail=detail)
        self._state, self._detail = state, detail


def _sleep_until(moment: float, deadline: float) -> bool:
    """Sleep; return False if ``moment`` is the deadline."""
    time.sleep(max(0.0, moment - time.monotonic()))
    return moment < deadline
