"""The genicam source under faults, injected by a producer of our own that forwards to the simulated camera.

Each test first shows what the loop of the camera library's own examples makes of the same fault, where it can be made to
show it. What arrived is compared with the producer's ledger, at any speed of the machine.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest
from structlog.testing import capture_logs
from support import gentl_proxy
from support.daemons import Manager, daemon
from support.gentl_proxy import FEATURES, drain, opened, take
from support.graphs import write_identity_bundle
from support.lines import make_line

from edge.config.load import load_config
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.line.run import run_line
from edge.outputs.protocol import OutputStatus
from edge.service.health_server import Metrics
from edge.sources.genicam import accounts as genicam_accounts
from edge.sources.genicam import buffer as genicam_buffer
from edge.sources.genicam import link as genicam_link
from edge.sources.genicam import source as genicam
from edge.sources.genicam.camera_clock import Sample
from edge.sources.genicam.camera_info import CameraChoice
from edge.sources.genicam.cameras import read_camera
from edge.sources.genicam.source import GenicamSource

gentl = pytest.importorskip("genicam.gentl", reason="the extra 'camera' is not installed")

SOON_S = 20.0
"""Long enough for a frame on any machine."""
Items = list[Payload | Skip]


@contextlib.contextmanager
def library(proxy: gentl_proxy.Proxy) -> Iterator[Any]:
    """The library's own way: its image acquirer, running with the same features."""
    from harvesters.core import Harvester

    harvester = Harvester()
    harvester.add_file(proxy.path)
    harvester.update()
    try:
        acquirer = harvester.create({"serial_number": "1"})
        try:
            for name, value in FEATURES:
                acquirer.remote_device.node_map.get_node(name).value = value
            acquirer.start()
            yield acquirer
        finally:
            with contextlib.suppress(Exception):
                acquirer.stop()
            with contextlib.suppress(Exception):
                acquirer.destroy()
    finally:
        harvester.reset()
        proxy.reset()


def frame_id(buffer: Any) -> int:
    return int(buffer.module.frame_id)


def pixels(buffer: Any) -> Any:
    return buffer.payload.components[0].data.copy()


def fetch(acquirer: Any, what: Callable[[Any], Any] = frame_id, timeout_s: float = SOON_S) -> Any:
    """The loop of the library's examples: something of the next buffer, or None."""
    buffer = acquirer.try_fetch(timeout=timeout_s)
    if buffer is None:
        return None
    with buffer:
        return what(buffer)


def ids(items: Items) -> list[int]:
    """Of the frames that came whole."""
    return [item.meta.frame_id for item in items if isinstance(item, Payload)]


def count(items: Items, reason: str) -> int:
    return sum(item.count for item in items if isinstance(item, Skip) and item.reason == reason)


def until_lost(source: GenicamSource, reason: str, number: int) -> Items:
    """Read until so many frames were lost for this reason, and one more came."""
    items = drain(source, lambda: source.status().counters[reason] >= number, SOON_S)
    return items + until_frames(source, 1)


def until_frames(source: GenicamSource, number: int) -> Items:
    """Read until so many frames came whole."""
    wanted = source.status().counters["frames"] + number
    return drain(source, lambda: source.status().counters["frames"] >= wanted, SOON_S)


def check_against(proxy: gentl_proxy.Proxy, source: GenicamSource, items: Items, *, wraps: bool = False) -> None:
    """Every buffer of the ledger is in exactly one item, in order; between them only gaps; and the sum rule holds.

    What is lined up already is read first. ``wraps``: the camera's ids go from 65535 to 1.
    """
    items = items + drain(source, lambda: not source._accounts.waiting)
    rows = iter(proxy.ledger())
    total = 0
    following: int | None = None
    for item in items:
        first, last = (item.frame_id_first, item.frame_id_last) if isinstance(item, Skip) else (item.meta.frame_id,) * 2
        total += last - first + 1
        if isinstance(item, Skip) and item.reason == "frame_id_gap":
            assert first == following
        else:
            row = next(rows)
            sent = (first - 1) % 65535 + 1 if wraps else first
            assert (first, sent) == (last, row.frame_id)
            assert row.complete == (isinstance(item, Payload) or item.reason == "bad_payload")
            assert first == following or following is None or first == 1, "the next id, or the first of a new stream"
        following = last + 1
    assert next(rows, None) is None
    status = source.status()
    assert status.announced == total
    for reason in ("frame_id_gap", "incomplete", "bad_payload"):
        assert status.counters[reason] == count(items, reason)


def test_incomplete_frames_are_counted_by_their_ids(proxy):
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(incomplete=3)
        assert [fetch(acquirer) for _ in range(3)] == [None] * 3, "the library gives them back unseen"
        assert fetch(acquirer) >= 5
    with opened(proxy) as source:
        items = until_frames(source, 2)
        proxy.set(incomplete=2)
        items += until_lost(source, "incomplete", 2)
        assert [item.count for item in items if isinstance(item, Skip) and item.reason == "incomplete"] == [1, 1]
        check_against(proxy, source, items)


def test_a_buffer_goes_back_as_it_is(proxy):
    """The binding would zero it first, 10 MB of it, with the interpreter lock held: no other thread runs meanwhile."""
    with library(proxy) as acquirer:
        proxy.set(blanked=0)
        assert [fetch(acquirer) is not None for _ in range(4)] == [True] * 4
        assert proxy.get("blanked") == 4, "the library's own way"
    with opened(proxy) as source:
        assert proxy.get("blanked") == 3, "as they were announced"
        until_frames(source, 8)
        assert proxy.get("blanked") == 3


def test_a_buffer_is_blanked_where_the_producer_does_not_tell_what_it_filled(proxy):
    """Else rows of the part before would stand in a frame that came short, and could pass."""
    with opened(proxy) as source:
        until_frames(source, 2)
        proxy.set(size_filled=-1, blanked=0)
        until_frames(source, 4)
        assert proxy.get("blanked") >= 3


def test_endless_incomplete_frames_neither_block_nor_starve_the_stream(proxy):
    """There are 3 buffers, so 30 show that each was queued again."""
    with library(proxy) as acquirer:
        proxy.set(incomplete=1_000_000)
        fetched = []
        thread = threading.Thread(target=lambda: fetched.append(acquirer.fetch(timeout=0.4).module.frame_id))
        thread.start()
        thread.join(0.8)
        assert thread.is_alive(), "a fetch that is to take 0.4 s goes on as long as there are incomplete frames"
        lost = proxy.get("delivered")
        proxy.set(incomplete=0)
        thread.join(SOON_S)
        assert fetched[0] > lost
    proxy.set(incomplete=30)
    with opened(proxy) as source:
        items = until_lost(source, "incomplete", 30)
        assert count(items, "incomplete") == 30
        check_against(proxy, source, items)


def test_frames_lost_in_transport_are_a_gap_before_the_next_frame(proxy):
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(drop=3)
        assert fetch(acquirer) >= 5, "the library says nothing"
    with opened(proxy) as source:
        items = until_frames(source, 2)
        proxy.set(drop=3)
        items += until_lost(source, "frame_id_gap", 3)
        proxy.set(drop=1, incomplete=1)
        items += until_lost(source, "incomplete", 1)
        (incomplete,) = [n for n, item in enumerate(items) if isinstance(item, Skip) and item.reason == "incomplete"]
        assert items[incomplete - 1].reason == "frame_id_gap"
        assert items[incomplete - 1].frame_id_last == items[incomplete].frame_id_first - 1
        check_against(proxy, source, items)


def test_ids_of_16_bits_wrap_without_a_loss(proxy):
    """GigE Vision 1.x: after 65535 comes 1. Published ids go on rising."""
    proxy.set(first_id=65533)
    with library(proxy) as acquirer:
        proxy.set(first_id=65533)
        seen = [fetch(acquirer) for _ in range(4)]
        assert seen[0] == 65533
        assert min(later - earlier for earlier, later in pairwise(seen)) < -65000, "minus so many frames were lost"
    proxy.set(first_id=65533)
    with opened(proxy) as source:
        items = until_frames(source, 2)
        proxy.set(drop=2)
        items += until_lost(source, "frame_id_gap", 2)
        items += until_frames(source, 2)
        assert ids(items)[0] == 65533
        assert ids(items) == sorted(set(ids(items)))
        assert ids(items)[-1] > 65535 > proxy.ledger()[-1].frame_id
        check_against(proxy, source, items, wraps=True)


def test_a_camera_without_ids_is_counted_and_claims_no_gap(proxy):
    with library(proxy) as acquirer:
        proxy.set(no_ids=1)
        with pytest.raises(gentl.NotAvailableException):
            fetch(acquirer)
    proxy.set(no_ids=1)
    with opened(proxy) as source:
        items = until_frames(source, 2)
        proxy.set(drop=2)
        items += drain(source, lambda: proxy.get("drop") == 0)
        items += until_frames(source, 2)
    assert {i.meta.frame_id_source for i in items} == {"counted"}
    assert ids(items) == list(range(len(items)))


def keyed(acquirer: Any) -> None:
    """An unknown format kills the loop, and each buffer that it dies with is never queued again."""
    for _ in range(3):
        with pytest.raises(KeyError):
            fetch(acquirer)
    assert fetch(acquirer, timeout_s=0.2) is None, "no buffer is left"


def componentless(acquirer: Any) -> None:
    assert fetch(acquirer, lambda buffer: buffer.payload.components) == [None]


def overlong(acquirer: Any) -> None:
    assert fetch(acquirer, lambda buffer: pixels(buffer).size) == 10_000, "more than came"


@pytest.mark.parametrize(
    ("fault", "naive", "problem"),
    [
        ({"pixel_format": 0x80120001}, keyed, "pixel format unknown (0x80120001)"),
        ({"pixel_format": 0x01010037}, componentless, "pixel format Mono1p (0x01010037)"),
        ({"size_filled": 9_999}, overlong, "9999 bytes, 10000 needed for Mono8 100x100"),
    ],
    ids=["vendor's own", "unsupported", "short"],
)
def test_a_picture_that_cannot_be_read_is_named_and_the_stream_goes_on(proxy, monkeypatch, fault, naive, problem):
    """One after the other it is a problem of the source, until frames can be used again."""
    monkeypatch.setattr(genicam_accounts, "PROBLEM_S", 0.0)
    with library(proxy) as acquirer:
        proxy.set(**fault)
        naive(acquirer)
    with opened(proxy) as source:
        items = until_frames(source, 1)
        assert source.status().problem is None
        proxy.set(**fault)
        items += drain(source, lambda: source.status().counters["bad_payload"] >= 6, SOON_S)
        assert source.status().problem == f"no frame can be used: {problem}"
        assert source.status().state == "streaming"
        proxy.set(**dict.fromkeys(fault, 0))
        items += until_frames(source, 1)
        assert source.status().problem is None
        assert source._accounts._named == {problem}
        check_against(proxy, source, items)


@pytest.mark.parametrize(
    ("told", "problem"),
    [
        ({"size_filled": 5_000}, "5000 bytes, 10000 needed for Mono8 100x100"),
        ({"lines": 50}, "50 of 100 lines"),
        ({"lines": -1}, "0 of 100 lines"),
    ],
    ids=["bytes", "lines", "no line"],
)
def test_a_buffer_that_is_called_whole_but_was_not_filled_never_shows_an_earlier_part(proxy, monkeypatch, told, problem):
    """Half of the picture is an earlier one's, for buffers go back as they are; so its chunks may be, too."""
    read = []
    monkeypatch.setattr(genicam_buffer, "chunks_of", lambda buffer, *_: (read.append(buffer.frame_id) or 100, ()))
    with library(proxy) as acquirer:
        proxy.set(stale=5_000, **told)
        assert set(fetch(acquirer, pixels)[5_000:].tolist()) == {0x55}, "handed out as the picture"
    with opened(proxy, part_id="ChunkNrBounces") as source:
        items = until_frames(source, 1)
        proxy.set(stale=5_000, **told)
        items += drain(source, lambda: source.status().counters["bad_payload"] >= 5, SOON_S)
        assert source.status().problem == f"no frame can be used: {problem}"
        assert read == ids(items)
        proxy.set(stale=0, **dict.fromkeys(told, 0))
        good = take(source, 1)[-1]
        while not isinstance(good, Payload):
            items.append(good)
            good = take(source, 1)[-1]
        assert 0x55 not in good.data
        check_against(proxy, source, [*items, good])


def test_a_producer_that_cannot_tell_what_waits_is_polled_all_the_same(proxy):
    with library(proxy) as acquirer:
        proxy.set(no_counter=1)
        with pytest.raises(gentl.NotImplementedException):
            _ = acquirer.data_streams[0].module.num_awaiting_delivery
    proxy.set(no_counter=1)
    with opened(proxy) as source:
        check_against(proxy, source, until_frames(source, 20))


def test_camera_stamps_count_only_where_the_clock_can_be_followed(proxy):
    """The proxy stamps frames 1 s in the past; the simulated camera has no latch, so one is put in its place."""
    with library(proxy) as acquirer:
        proxy.set(camera_clock=1_000_000_000)
        hour_ns = 3600 * 10**9
        assert abs(fetch(acquirer, lambda buffer: buffer.timestamp_ns) - time.time_ns()) > hour_ns, "of which clock?"
    proxy.set(camera_clock=1_000_000_000)
    with opened(proxy) as source:
        (before,) = take(source, 1)
        source._link._clock._latch = ("TimestampLatch", "TimestampLatchValue", None)
        source._link._clock._take = lambda *_names: Sample(*(time.monotonic_ns(),) * 3)
        source._link._clock.sample()
        after = until_frames(source, 3)[-1]
    assert (before.meta.timestamp_source, before.meta.camera_ns) == ("host", None)
    assert after.meta.timestamp_source == "camera"
    assert 0.1e9 < after.meta.received_ns - after.meta.camera_ns < 1.9e9


def test_a_stalled_stream_is_silent_and_not_lost(proxy, hasty):
    """The camera answers, so the connection stays; what the camera dropped meanwhile is a gap at its place."""
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(stall=1)
        assert fetch(acquirer, timeout_s=0.2) is None, "as for an incomplete frame, an idle trigger or a pulled cable"
    with opened(proxy) as source:
        items = until_frames(source, 2)
        proxy.set(stall=1)
        items += drain(source, lambda: source.status().state == "silent")
        assert source.status().detail == "free-running, and no frame for more than 0.1 s"
        proxy.set(stall=0)
        items += until_frames(source, 10)
        status = source.status()
        assert status.state == "streaming"
        assert status.counters["timeouts"] >= 1
        assert status.counters["reconnects"] == 0
        check_against(proxy, source, items)


def test_a_slow_camera_is_not_silent(proxy, hasty):
    """Two frames a second is what its frame rate says, and what came so far, however impatient we are else."""
    with library(proxy) as acquirer:
        acquirer.remote_device.node_map.AcquisitionFrameRate.value = 2.0
        assert fetch(acquirer) == 1
        with pytest.raises(gentl.TimeoutException):
            acquirer.fetch(timeout=0.1)
    with opened(proxy, features=(*FEATURES[:3], ("AcquisitionFrameRate", 2.0))) as source:
        seen = set()
        while source.status().counters["frames"] < 2:
            source.read(0.02)
            seen.add(source.status().state)
        assert seen <= {"configured", "streaming"}
        assert source.status().counters["timeouts"] == 0


def test_a_stream_that_stays_silent_is_stopped_and_started(proxy, hasty, monkeypatch):
    """Ids begin anew; the camera stays open. The pause doubles, for a slow camera is silent too."""
    with library(proxy) as acquirer:
        proxy.set(stall=1)
        for _ in range(3):
            assert fetch(acquirer, timeout_s=0.1) is None
        assert proxy.get("streams") == 1, "it waits for ever"
    monkeypatch.setattr(genicam, "RESTART_S", (0.15, 10.0))
    with opened(proxy) as source:
        items = until_frames(source, 3)
        proxy.set(stall=1)
        items += drain(source, lambda: source.status().counters.get("stream_restarts", 0) == 2)
        assert source._restart_pause == 0.6
        proxy.set(stall=0)
        items += until_frames(source, 3)
        status = source.status()
        assert status.state == "streaming"
        assert status.counters["reconnects"] == 0
        assert ids(items).count(1) == proxy.get("streams") - 1 == 2, "nothing came from the second"
        check_against(proxy, source, items)


def test_lost_parts_are_named_where_parts_step_by_one(proxy, monkeypatch):
    """Of a gap between two frames, of frames that came torn, and of those before them; an encoder's are not guessed."""
    step = 1
    monkeypatch.setattr(genicam_buffer, "chunks_of", lambda buffer, *_: (100 + step * buffer.frame_id, ()))
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(drop=2, incomplete=1)
        assert fetch(acquirer) is None, "which part, and how many before it?"
    with opened(proxy, part_id="ChunkNrBounces") as source:
        items = until_frames(source, 1)
        proxy.set(drop=2)
        items += until_lost(source, "frame_id_gap", 2)
        items += until_frames(source, 4)
        proxy.set(drop=2, incomplete=1)
        items += until_lost(source, "incomplete", 1)
        proxy.set(pixel_format=0x80120001)
        items += drain(source, lambda: source.status().counters["bad_payload"] >= 2, SOON_S)
        proxy.set(pixel_format=0)
        items += until_frames(source, 1)
        for item in items:
            if isinstance(item, Skip):
                assert item.part_id_first == 100 + item.frame_id_first
                assert item.part_id_last == 100 + item.frame_id_last
            else:
                assert item.meta.part_id == 100 + item.meta.frame_id
        assert {item.reason for item in items if isinstance(item, Skip)} == {"frame_id_gap", "incomplete", "bad_payload"}
        step = 2
        items += until_frames(source, 4)
        told = len(items)
        proxy.set(drop=2, incomplete=1)
        items += until_lost(source, "incomplete", 2)
        skips = [item for item in items[told:] if isinstance(item, Skip)]
        assert {(skip.part_id_first, skip.part_id_last) for skip in skips} == {(None, None)}
        check_against(proxy, source, items)


def test_part_ids_that_stay_away_are_a_problem(proxy, monkeypatch):
    """The camera has the chunk, but sends none: every part would be judged, and none could be ejected."""
    monkeypatch.setattr(genicam_accounts, "PROBLEM_S", 0.0)
    features = (*FEATURES, ("ChunkModeActive", False))
    with opened(proxy, features=features, part_id="ChunkNrBounces") as source:
        items = until_frames(source, 5)
        assert {item.meta.part_id for item in items if isinstance(item, Payload)} == {None}
        assert source.status().problem == "no frame has a part id: ChunkNrBounces does not come with it"
        assert source.write(("ChunkModeActive", True))
        drain(source, lambda: source.status().problem is None, SOON_S)


def test_an_idle_trigger_is_not_a_fault(proxy, hasty):
    """Simulated: the camera has no trigger, so the stream is stalled and the mode is said to be On."""
    with library(proxy) as acquirer:
        proxy.set(stall=1)
        with pytest.raises(gentl.TimeoutException):
            acquirer.fetch(timeout=0.1)
    with opened(proxy) as source:
        until_frames(source, 1)
        source._link.triggered = True
        proxy.set(stall=1)
        drain(source, lambda: source.status().state == "waiting_for_trigger")
        idle_until = time.monotonic() + 0.5
        assert ids(drain(source, lambda: time.monotonic() > idle_until)) == []
        assert source.status().state == "waiting_for_trigger"
        assert source.status().counters["timeouts"] == 0
        proxy.set(stall=0)
        until_frames(source, 1)
        assert source.status().state == "streaming"


def test_io_errors_of_a_camera_that_answers_are_ridden_out(proxy):
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(io_errors=1)
        with pytest.raises(gentl.IoException, match="-1010"):
            fetch(acquirer)
    with opened(proxy) as source:
        items = until_frames(source, 1)
        proxy.set(io_errors=5)
        items += drain(source, lambda: source.status().counters.get("fetch_errors") == 5)
        items += until_frames(source, 2)
        assert source.status().counters["reconnects"] == 0
        check_against(proxy, source, items)


def test_a_stream_that_fails_for_good_is_opened_anew(proxy, hasty):
    with library(proxy) as acquirer:
        proxy.set(io_errors=genicam.FETCH_ERRORS)
        for _ in range(genicam.FETCH_ERRORS):
            with pytest.raises(gentl.IoException):
                fetch(acquirer)
    with opened(proxy) as source:
        items = until_frames(source, 1)
        proxy.set(io_errors=genicam.FETCH_ERRORS)
        items += drain(source, lambda: source.status().counters["reconnects"] == 1)
        items += until_frames(source, 2)
        assert ids(items).count(1) == 2
        check_against(proxy, source, items)


def test_the_bayer_pattern_of_a_camera_that_names_the_sensor_s_is_set_by_hand(proxy):
    """An odd OffsetX moves RG to GR; a camera that still says BayerRG8 is corrected, other formats are not."""
    with library(proxy) as acquirer:
        proxy.set(pixel_format=0x01080009)
        assert fetch(acquirer, lambda buffer: buffer.payload.components[0].data_format) == "BayerRG8"

    def formats(**keys: Any) -> tuple[str, str]:
        with opened(proxy, **keys) as source:
            before = until_frames(source, 1)[-1]
            proxy.set(pixel_format=0x01080009)
            after = until_frames(source, 5)[-1]
        proxy.reset()
        return before.meta.pixel_format, after.meta.pixel_format

    assert formats(bayer="GR") == ("Mono8", "BayerGR8")
    assert formats() == ("Mono8", "BayerRG8")


def test_an_odd_offset_with_a_bayer_format_is_told_once(proxy, monkeypatch):
    """The simulated camera has neither: its answers are replaced."""
    values = {"PixelFormat": "BayerRG8", "OffsetX": 3, "OffsetY": 2, "TriggerMode": "Off"}
    monkeypatch.setattr(genicam_link, "value_of", lambda _map, name: values.get(name))
    with capture_logs() as logs, opened(proxy), opened(proxy, serial="2", bayer="GR"):
        pass
    told = [log for log in logs if log["event"] == "bayer_at_odd_offset"]
    assert [(log["pixel_format"], log["offset"]) for log in told] == [("BayerRG8", [3, 2])]


def test_a_camera_in_use_by_another_program_is_waited_for(proxy, hasty):
    proxy.set(open_errors=-1004)
    with pytest.raises(gentl.ResourceInUseException), library(proxy):
        pass
    proxy.set(open_errors=-1004)
    with opened(proxy) as source:
        drain(source, lambda: source.status().state == "backoff")
        assert source.status().detail.startswith("the camera is in use by another program (")
        proxy.set(open_errors=0)
        check_against(proxy, source, until_frames(source, 2))
        assert source.status().counters["reconnects"] == 0


def test_a_loss_is_lost_until_the_first_attempt_to_connect_again(proxy, hasty, monkeypatch):
    """Whoever looks ten times a second sees each state, and none but in this order."""
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(lost=1)
        assert fetch(acquirer, timeout_s=0.2) is None, "no word of it"
    monkeypatch.setattr(genicam, "BACKOFF_S", (1.0, 1.0))
    with opened(proxy) as source:
        until_frames(source, 1)
        proxy.set(lost=1)
        drain(source, lambda: source.status().state == "lost")
        assert source.status().detail == "the camera does not answer"
        assert source.read(0.02) is None
        assert source.status().state == "lost"
        drain(source, lambda: source.status().state != "lost")
        assert source.status().state == "backoff"
        assert source.status().detail == "no camera with serial 1; no camera is present"


def test_twenty_losses_and_returns_and_every_frame_accounted_for(proxy, hasty, capsys):
    """Features are written again each time (else the size would be another); each buffer of the ledger is in one record."""
    with library(proxy) as acquirer:
        assert fetch(acquirer) == 1
        proxy.set(lost=1)
        assert [fetch(acquirer, timeout_s=0.2) for _ in range(2)] == [None, None], "no error, for ever"
    items: Items = []
    back_ms = []
    with opened(proxy, buffers=2) as source:
        for cycle in range(1, 21):
            items += until_frames(source, 4)
            proxy.set(lost=1)
            known_by = ("lost", "backoff") if cycle % 2 else ("backoff",)
            items += drain(source, lambda states=known_by: source.status().state in states)
            proxy.set(lost=0)
            since = time.monotonic()
            items += drain(source, lambda n=cycle: source.status().counters["reconnects"] == n)
            items += until_frames(source, 1)
            back_ms.append((time.monotonic() - since) * 1e3)
        assert source.status().counters["reconnects"] == 20
        assert ids(items).count(1) == 21
        check_against(proxy, source, items)
    assert {(i.meta.width, i.meta.height) for i in items if isinstance(i, Payload)} == {(100, 100)}
    with capsys.disabled():
        print(f"\n20 losses: first good frame after {sorted(back_ms)[10]:.0f} ms (median), {max(back_ms):.0f} ms (worst)")


class Ear:
    """An output that hears the states only."""

    name = "ear"
    log_lost = False

    def __init__(self) -> None:
        self.states: list[str] = []
        self.faults: set[str] = set()

    def start(self) -> None: ...

    def accept(self, record: Any, frame: Any, judged: Any) -> None: ...

    def skip(self, record: Any) -> None: ...

    def state(self, state: Any) -> None:
        if [state.source_state] != self.states[-1:]:
            self.states.append(state.source_state)
        self.faults.update(fault.code for fault in state.faults)

    def tick(self, heartbeat: Any) -> None: ...

    def status(self) -> OutputStatus:
        return OutputStatus(0, 0, None)

    def close(self, timeout_s: float) -> None: ...


def config_of(proxy: gentl_proxy.Proxy, folder: Path) -> Path:
    write_identity_bundle(folder / "bundle")
    (folder / "run").mkdir()
    path = folder / "cam1.yaml"
    path.write_text(
        "camera: cam1\nruntime_dir: run\nmodel: {bundle: bundle}\nregions: {threshold: {high: 2.0}}\n"
        f"source: {{kind: genicam, producer: {proxy.path}, serial: '1', buffers: 8, max_reconnects: 1,\n"
        "  features: [[PixelFormat, Mono8], [Width, 100], [Height, 100], [AcquisitionFrameRate, 100]]}\n"
        "outputs: {zmq: null, jsonl: {dir: log}}\n"
    )
    return path


def test_the_whole_line_survives_a_loss_and_leaves_with_5_at_the_next(proxy, hasty, monkeypatch, tmp_path):
    """Faults of every kind on the way: each counter counts its own, the sum rule is checked live, every id has a record.

    The state tells each of them while it lasts. What the library makes of each, the other tests show.
    """
    monkeypatch.setattr(genicam, "BACKOFF_S", (1.0, 1.0))
    monkeypatch.setattr(genicam_accounts, "PROBLEM_S", 0.5)
    ear = Ear()
    proxy.set(slow_update=300)
    line = make_line(load_config(config_of(proxy, tmp_path)), more_outputs=[ear])

    def counted(name: str, number: int) -> Callable[[], bool]:
        return lambda: line.source.status().counters[name] >= number

    steps: list[tuple[Callable[[], bool], dict[str, int]]] = [
        (counted("frames", 3), {"incomplete": 2, "drop": 3}),
        (counted("incomplete", 2), {"size_filled": 9_999}),
        (lambda: "source_problem" in ear.faults and not line.snapshot().ready, {"size_filled": 0}),
        (lambda: line.snapshot().ready, {"lost": 1}),
        (lambda: "lost" in ear.states, {"lost": 0}),
        (lambda: counted("reconnects", 1)() and line.snapshot().ready, {"stall": 1}),
        (lambda: "source_silent" in ear.faults, {"stall": 0}),
        (lambda: line.snapshot().ready and line.tally.sum_checks >= 3, {"lost": 1}),
    ]
    give_up = time.monotonic() + 4 * SOON_S

    def each_turn(_line: Any, _health: Any) -> None:
        assert time.monotonic() < give_up, (steps[:1], line.source.status(), ear.states)
        if steps and steps[0][0]():
            proxy.set(**steps.pop(0)[1])

    line.start(threading.Event())
    assert ear.states[0] == "opening"
    assert run_line(line, threading.Event(), each_turn) == 5
    counters = line.source.status().counters
    assert (counters["incomplete"], counters["frame_id_gap"] >= 3, counters["bad_payload"] >= 3) == (2, True, True)
    assert (counters["reconnects"], counters["timeouts"] >= 1) == (1, True)
    assert ear.states.count("lost") == 2
    assert line.tally.sum_fault is None
    assert line.source.status().announced == line.tally.accounted
    assert sum(1 for row in proxy.ledger() if row.complete) <= line.tally.accounted
    beat = line.heartbeat().counters
    for name in ("frame_id_gap", "incomplete", "bad_payload", "timeouts"):
        assert beat[f"source_{name}"] == counters[name]
    text = generate_latest(Metrics(line.tally, line.ring, line.snapshot)).decode()
    for name in ("frame_id_gap", "incomplete", "bad_payload", "timeouts", "reconnects"):
        assert f'edge_source_events_total{{camera="cam1",event="{name}"}} {float(counters[name])}' in text
    assert 'edge_skipped_frames_total{camera="cam1",reason="incomplete"} 2.0' in text


def test_a_camera_that_another_program_holds_cannot_be_described(proxy):
    proxy.set(open_errors=-1004)
    with pytest.raises(UserError) as error:
        read_camera(proxy.path, CameraChoice("serial", "1"))
    assert str(error.value).startswith("the camera cannot be read: the camera is in use by another program (")


NAIVE = """
import sys
from harvesters.core import Harvester
harvester = Harvester()
harvester.add_file(sys.argv[1])
harvester.update()
acquirer = harvester.create({"serial_number": "1"})
acquirer.remote_device.node_map.AcquisitionFrameRate.value = 100.0
acquirer.start()
while True:
    print("asks", flush=True)
    acquirer.try_fetch(timeout=0.1)
    print("answered", flush=True)
"""


def test_a_producer_that_hangs_silences_the_watchdog(built, tmp_path, monkeypatch):
    """A call that never returns holds the interpreter lock: nothing in the process runs any more, no signal handler either.

    Only systemd can end it, and does: WATCHDOG=1 stays away.
    """
    monkeypatch.setenv("GENTL_PROXY_HANG_AFTER", "100")
    out = (tmp_path / "naive").open("w+b")
    naive = subprocess.Popen([sys.executable, "-c", NAIVE, built.path], stdout=out, stderr=subprocess.DEVNULL)
    manager = Manager(tmp_path)
    source = (
        f"source={{kind: genicam, producer: {built.path}, serial: '1', buffers: 4, features: [[PixelFormat, Mono8],"
        " [Width, 100], [Height, 100], [AcquisitionFrameRate, 50]]}"
    )
    try:
        with daemon(tmp_path, source, manager=manager, watchdog_s=1.0) as process:
            manager.wait_for("READY=1", 3 * SOON_S)
            manager.wait_for("WATCHDOG=1", SOON_S)
            end = time.monotonic() + 3 * SOON_S
            while manager.listen(1.5):
                assert time.monotonic() < end, "the watchdog is still fed"
            process.send_signal(signal.SIGTERM)
            assert manager.listen(0.5) == []
            assert process.poll() is None, "the process lives, and hangs"
        said = out.seek(0) or out.read().decode().split()
        assert naive.poll() is None
        assert said[-1] == "asks", "a fetch that is to take 0.1 s takes for ever, and nobody hears of it"
        assert said.count("answered") > 1
    finally:
        naive.kill()
        naive.wait()
        manager.close()
        out.close()
