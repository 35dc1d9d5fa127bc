"""Camera time on the host's time line: offset, drift, clocks that are set, PTP."""

from __future__ import annotations

from typing import Any

import pytest
from genicam import genapi

from edge.sources.genicam.camera_clock import TAI_MINUS_UTC_NS, CameraClock, ClockFit, Sample

S = 1_000_000_000


def sample(camera_ns: int, host_ns: int, round_trip_ns: int = 2000) -> Sample:
    return Sample(camera_ns, host_ns - round_trip_ns // 2, host_ns + round_trip_ns // 2)


def test_nothing_is_mapped_before_the_first_sample():
    assert ClockFit().host_ns(5) is None


def test_one_sample_gives_the_offset():
    fit = ClockFit()
    fit.add(sample(1000 * S, 50 * S))
    assert fit.host_ns(1001 * S) == 51 * S
    assert fit.uncertainty_ns == 1000


def test_drift_is_followed_to_the_microsecond():
    """A clock 80 ppm too slow, latched every 5 s for a minute, predicted 5 s ahead at 64-bit camera times."""
    fit, start = ClockFit(), 2**60

    def host(camera_ns: int) -> int:
        return 7 * S + round((camera_ns - start) * 1.00008)

    for i in range(13):
        fit.add(sample(start + 5 * i * S, host(start + 5 * i * S)))
    ahead = start + 65 * S
    assert abs(fit.host_ns(ahead) - host(ahead)) <= 1000


def test_a_slow_round_trip_weighs_little():
    fit = ClockFit()
    fit.add(sample(0, 10 * S, 2_000))
    fit.add(sample(S // 2, 10 * S + S // 2 + 400_000, 2_000_000))
    assert abs(fit.host_ns(S) - 11 * S) < 1000
    assert fit.uncertainty_ns == 1000


@pytest.mark.parametrize("camera_ns", [3, 900 * S], ids=["backwards", "forwards"])
def test_a_clock_that_was_set_is_learnt_anew(camera_ns):
    fit = ClockFit()
    for i in range(3):
        fit.add(sample((100 + i) * S, (20 + i) * S))
    fit.add(sample(camera_ns, 24 * S))
    assert fit.host_ns(camera_ns + S) == 25 * S


def test_a_line_through_noise_is_not_believed():
    """2 ms of jitter over 2 s would be 1000 ppm: the slope stays 1."""
    fit = ClockFit()
    fit.add(sample(0, 0))
    fit.add(sample(2 * S, 2 * S + 2_000_000))
    assert fit.host_ns(2 * S) - fit.host_ns(0) == 2 * S


class Node:
    def __init__(self, value: Any = None) -> None:
        self.value, self.executed = value, 0

    def get_access_mode(self) -> genapi.EAccessMode:
        return genapi.EAccessMode.RW

    def get_value(self, **_kwargs: bool) -> Any:
        return self.value() if callable(self.value) else self.value

    def execute(self) -> None:
        self.executed += 1


class Nodes(dict):
    def get_node(self, name: str) -> Node:
        try:
            return self[name]
        except KeyError:
            raise genapi.LogicalErrorException("Node not existing") from None


def mapped(nodes: Nodes, camera_ns: int, received_ns: int = 1_700_000_000 * S, mono_ns: int = 50 * S) -> tuple[Any, str]:
    clock = CameraClock(nodes)
    clock.sample()
    return clock.utc(camera_ns, received_ns, mono_ns)


def test_a_camera_without_latch_goes_by_the_host():
    assert mapped(Nodes(), 5) == (None, "host")


def test_the_latch_of_sfnc_2_counts_ns(monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 49 * S)
    nodes = Nodes(TimestampLatch=Node(), TimestampLatchValue=Node(1000 * S))
    utc, source = mapped(nodes, 1000 * S + 7)
    assert (utc, source) == (1_699_999_999 * S + 7, "camera")
    assert nodes["TimestampLatch"].executed == 3


def test_the_latch_of_gige_vision_1_counts_ticks(monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 49 * S)
    nodes = Nodes(
        GevTimestampControlLatch=Node(),
        GevTimestampValue=Node(125_000_000 * 8),
        GevTimestampTickFrequency=Node(125_000_000),
    )
    assert mapped(nodes, 8 * S) == (1_699_999_999 * S, "camera")


@pytest.mark.parametrize("ahead", [0, TAI_MINUS_UTC_NS], ids=["UTC", "TAI"])
def test_ptp_time_is_taken_as_it_is_less_the_leap_seconds_where_it_is_tai(ahead):
    nodes = Nodes(PtpStatus=Node("Slave"), PtpDataSetLatch=Node())
    received = 1_700_000_000 * S
    assert mapped(nodes, received - 3000 + ahead) == (received - 3000, "ptp")
    assert nodes["PtpDataSetLatch"].executed == 1
    assert mapped(nodes, received - 3600 * S) == (None, "host"), "an hour off is neither"


def test_a_ptp_camera_that_is_not_in_step_is_latched(monkeypatch):
    monkeypatch.setattr("time.monotonic_ns", lambda: 50 * S)
    nodes = Nodes(PtpStatus=Node("Listening"), TimestampLatch=Node(), TimestampLatchValue=Node(9 * S))
    assert mapped(nodes, 9 * S) == (1_700_000_000 * S, "camera")


@pytest.mark.parametrize("status", ["Master", "Slave"])
def test_ptp_time_that_nobody_set_goes_by_the_latch(monkeypatch, status):
    """A master that counts from its start, and those in step with it: hours off, and its latch is as good as any."""
    monkeypatch.setattr("time.monotonic_ns", lambda: 50 * S)
    nodes = Nodes(PtpStatus=Node(status), TimestampLatch=Node(), TimestampLatchValue=Node(9 * S))
    assert mapped(nodes, 8 * S) == (1_699_999_999 * S, "camera")
    assert mapped(nodes, 1_700_000_000 * S - 5) == (1_700_000_000 * S - 5, "ptp"), "one that was set, by then"


def test_a_frame_that_was_held_up_for_long_goes_by_the_latch(monkeypatch):
    """Six seconds in a buffer: PTP time is right, but could be told from TAI less its leap seconds by nothing."""
    monkeypatch.setattr("time.monotonic_ns", lambda: 50 * S)
    received = 1_700_000_000 * S
    nodes = Nodes(PtpStatus=Node("Slave"), TimestampLatch=Node(), TimestampLatchValue=Node(received))
    assert mapped(nodes, received - 6 * S) == (received - 6 * S, "camera")
