"""The camera's clock is put on the host's time line: latch both at once, now and then, and fit a line.

A latch is taken as the middle between the host's time before and after it. Of several the one with the shortest round
trip is kept; a line through the kept ones gives offset and drift. A camera in step by PTP needs none of that, if what it
is in step with knows the time.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from genicam import genapi

from edge.frames import TimestampSource
from edge.sources.genicam.features import BINDING_ERRORS

LATCH_EVERY_S: Final = 5.0
"""Time in s between latches: register access holds the interpreter lock, so it is rare, and between frames."""
_NEAR_NS: Final = 5_000_000_000
"""A PTP stamp comes from a clock that knows the time, if it lies this near to the frame's arrival."""
TAI_MINUS_UTC_NS: Final = 37_000_000_000
"""PTP counts TAI, which has had no leap seconds; this has held since 2017, and will until one is announced."""
_TRIES: Final = 3
_KEPT: Final = 12
_MOST_DRIFT: Final = 500e-6
"""A quartz is off by 100 ppm at most; a line that is steeper was fitted through noise."""
_LEAST_SPAN_NS: Final = 2_000_000_000
_STEP_NS: Final = 5_000_000
"""Distance in ns from the line at which a sample is no noise: the clock was set."""
_SYNCED: Final = ("Slave", "Master")
_LATCHES: Final = (
    ("TimestampLatch", "TimestampLatchValue", None),
    ("GevTimestampControlLatch", "GevTimestampValue", "GevTimestampTickFrequency"),  # SFNC before 2.0, in ticks
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample has camera time in ns, and the host's monotonic time in ns before and after it was latched."""

    camera_ns: int
    before_ns: int
    after_ns: int

    @property
    def round_trip_ns(self) -> int:
        return self.after_ns - self.before_ns

    @property
    def host_ns(self) -> int:
        return (self.before_ns + self.after_ns) // 2


class ClockFit:
    """A fit turns camera time into the host's monotonic time, through the last samples."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_KEPT)
        self._base: Sample | None = None
        self._slope = 1.0
        self._offset_ns = 0.0

    @property
    def uncertainty_ns(self) -> int:
        """Return half the shortest round trip in ns: no latch can be placed better."""
        return min((s.round_trip_ns for s in self._samples), default=0) // 2

    def add(self, sample: Sample) -> None:
        """Add a sample. A clock that ran backwards or jumped was set, and what was learnt before is dropped."""
        expected = self.host_ns(sample.camera_ns)
        if expected is not None:
            since = sample.camera_ns - self._samples[-1].camera_ns
            if since <= 0 or abs(sample.host_ns - expected) > _STEP_NS + _MOST_DRIFT * since:
                self._samples.clear()
        self._samples.append(sample)
        base = self._base = self._samples[0]
        camera = np.array([s.camera_ns - base.camera_ns for s in self._samples], np.float64)
        host = np.array([s.host_ns - base.host_ns for s in self._samples], np.float64)
        weights = 1.0 / np.array([max(s.round_trip_ns, 1000) for s in self._samples], np.float64)
        self._slope = 1.0
        if camera[-1] >= _LEAST_SPAN_NS:
            slope = float(np.polyfit(camera, host, 1, w=weights)[0])
            self._slope = slope if abs(slope - 1.0) <= _MOST_DRIFT else 1.0
        self._offset_ns = float(np.average(host - self._slope * camera, weights=weights))

    def host_ns(self, camera_ns: int) -> int | None:
        """Return ``time.monotonic_ns()`` at that camera time; None before the first sample."""
        if self._base is None:
            return None
        since = camera_ns - self._base.camera_ns
        return self._base.host_ns + since + round((self._slope - 1.0) * since + self._offset_ns)


class CameraClock:
    """A camera clock belongs to one connection. No method raises; all read registers but ``utc``, which only computes."""

    def __init__(self, node_map: Any) -> None:
        self._node_map = node_map
        self._latch = next((names for names in _LATCHES if self._node(names[0]) is not None), None)
        self._fit = ClockFit()
        self._ptp = False
        self.next_s = 0.0
        """``time.monotonic()`` from which another sample is due."""

    @property
    def uncertainty_ns(self) -> int | None:
        """Return the uncertainty of mapped stamps in ns; None if there is no latch."""
        return None if self._latch is None else self._fit.uncertainty_ns

    def sample(self) -> None:
        """Ask whether PTP is in step, and latch the clock a few times and keep the best."""
        self.next_s = time.monotonic() + LATCH_EVERY_S
        self._ptp = self._in_step()
        if self._latch is None:
            return
        samples = []
        try:
            for _ in range(_TRIES):
                samples.append(self._take(*self._latch))  # noqa: PERF401  (those before an error count)
        except BINDING_ERRORS:
            pass
        if samples:
            self._fit.add(min(samples, key=lambda s: s.round_trip_ns))

    def utc(self, camera_ns: int, received_ns: int, received_mono_ns: int) -> tuple[int | None, TimestampSource]:
        """Return UTC in ns for a camera stamp and what it goes by, from the arrival's UTC and monotonic time.

        In step by PTP, the stamp is taken as TAI or UTC, whichever lies nearer to the arrival. A stamp that lies near
        neither comes from a clock that nobody set (for example a master that counts from its start) or from a frame that
        was held up for long: it goes by the latched clock. If that is of no help either, it is None, and the source
        ``host``.
        """
        if self._ptp:
            for utc in (camera_ns, camera_ns - TAI_MINUS_UTC_NS):
                if abs(received_ns - utc) < _NEAR_NS:
                    return utc, "ptp"
        host_ns = self._fit.host_ns(camera_ns)
        return (None, "host") if host_ns is None else (received_ns - (received_mono_ns - host_ns), "camera")

    def _take(self, command: str, value: str, rate: str | None) -> Sample:
        before = time.monotonic_ns()
        self._node_map.get_node(command).execute()
        after = time.monotonic_ns()
        ticks = int(self._node_map.get_node(value).get_value(ignore_cache=True))
        return Sample(ticks if rate is None else ticks * 1_000_000_000 // self._node(rate).value, before, after)

    def _in_step(self) -> bool:
        status = self._node("PtpStatus", "GevIEEE1588Status")
        try:
            latch = self._node("PtpDataSetLatch", "GevIEEE1588DataSetLatch")
            if latch is not None:
                latch.execute()
            return status is not None and status.get_value(ignore_cache=True) in _SYNCED
        except BINDING_ERRORS:
            return False

    def _node(self, *names: str) -> Any:
        """Return the first of these nodes that the camera has and lets be used, or None."""
        for name in names:
            try:
                node = self._node_map.get_node(name)
                if node.get_access_mode() not in (genapi.EAccessMode.NI, genapi.EAccessMode.NA):
                    return node
            except BINDING_ERRORS:
                continue
        return None
