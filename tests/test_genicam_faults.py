"""The genicam source under faults, injected by a producer of our own that forwards to the simulated camera.

Each test first shows what the library's documented loop makes of the same fault.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gentl_proxy
import pytest
from graphs import write_identity_bundle
from lines import make_line
from prometheus_client import generate_latest
from structlog.testing import capture_logs

from edge.config import GenicamSource as Config
from edge.configfile import load_config
from edge.errors import UserError
from edge.frames import Payload, Skip
from edge.health import Metrics
from edge.line import run_line
from edge.sources import genicam, genicam_link
from edge.sources.camera_clock import Sample
from edge.sources.genicam import GenicamSource

pytest.importorskip("genicam", reason="the extra 'camera' is not installed")
if gentl_proxy.compiler() is None:
    pytest.skip("no C compiler to build the fault-injecting GenTL producer", allow_module_level=True)

FEATURES = (("PixelFormat", "Mono8"), ("Width", 100), ("Height", 100), ("AcquisitionFrameRate", 200.0))


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> gentl_proxy.Proxy:
    return gentl_proxy.Proxy(gentl_proxy.build(tmp_path_factory.mktemp("gentl")))


@pytest.fixture
def proxy(built: gentl_proxy.Proxy) -> Iterator[gentl_proxy.Proxy]:
    built.reset()
    yield built
    built.reset()


@pytest.fixture
def hasty(monkeypatch) -> None:
    """The same waits, a tenth as long."""
    monkeypatch.setattr(genicam, "SILENT_S", 0.1)
    monkeypatch.setattr(genicam, "BACKOFF_S", (0.05, 0.2))


@contextlib.contextmanager
def opened(proxy: gentl_proxy.Proxy, **keys: Any) -> Iterator[GenicamSource]:
    config = {"kind": "genicam", "producer": proxy.path, "serial": "1", "buffers": 3, "features": FEATURES, **keys}
    source = GenicamSource(Config(**config), "cam1")
    try:
        source.open()
        yield source
    finally:
        source.close()


@contextlib.contextmanager
def library_loop(proxy: gentl_proxy.Proxy) -> Iterator[Callable[[], int | None]]:
    """The library's own loop: each call gives a frame id or None, as ``try_fetch`` does."""
    from harvesters.core import Harvester

    harvester = Harvester()
    harvester.add_file(proxy.path)
    harvester.update()
    acquirer = harvester.create({"serial_number": "1"})
    acquirer.remote_device.node_map.AcquisitionFrameRate.value = 200.0

    def fetch() -> int | None:
        buffer = acquirer.try_fetch(timeout=0.2)
        if buffer is None:
            return None
        with buffer:
            return int(buffer.module.frame_id)

    try:
        acquirer.start()
        yield fetch
    finally:
        with contextlib.suppress(Exception):
            acquirer.stop()
        with contextlib.suppress(Exception):
            acquirer.destroy()
        harvester.reset()


def drain(source: GenicamSource, until: Callable[[], bool], limit_s: float = 10.0) -> list[Payload | Skip]:
    items = []
    give_up = time.monotonic() + limit_s
    while not until():
        assert time.monotonic() < give_up, source.status()
        item = source.read(0.02)
        if item is not None:
            items.append(item)
    return items


def take(source: GenicamSource, count: int) -> list[Payload | Skip]:
    items: list[Payload | Skip] = []
    while len(items) < count:
        items.extend(drain(source, iter((False, True)).__next__))
    return items


def brief(items: list[Payload | Skip]) -> list[Any]:
    return [i.meta.frame_id if isinstance(i, Payload) else (i.reason, i.frame_id_first, i.frame_id_last) for i in items]


def check_against(proxy: gentl_proxy.Proxy, items: list[Payload | Skip], announced: int) -> None:
    """Every buffer of the ledger is in exactly one item, in order; between them only gaps; and the sum rule holds."""
    rows = iter(proxy.ledger())
    count = 0
    following: int | None = None
    for item in items:
        first, last = (item.frame_id_first, item.frame_id_last) if isinstance(item, Skip) else (item.meta.frame_id,) * 2
        count += last - first + 1
        if isinstance(item, Skip) and item.reason == "frame_id_gap":
            assert first == following
        else:
            row = next(rows)
            assert (first, last) == (row.frame_id, row.frame_id)
            assert row.complete == isinstance(item, Payload)
            assert first in (following, 1), "the next id, or the first of a new stream"
        following = last + 1
    assert next(rows, None) is None
    assert announced == count


def test_incomplete_frames_are_counted_by_their_ids(proxy):
    with library_loop(proxy) as fetch:
        assert [fetch(), fetch()] == [1, 2]
        proxy.set(incomplete=3)
        assert [fetch() for _ in range(4)] == [None, None, None, 6], "the library gives them back unseen"
    proxy.reset()
    with opened(proxy) as source:
        items = take(source, 2)
        proxy.set(incomplete=2)
        items += take(source, 4)
        status = source.status()
        assert brief(items) == [1, 2, ("incomplete", 3, 3), ("incomplete", 4, 4), 5, 6]
        assert status.counters["incomplete"] == 2
        assert status.counters["frame_id_gap"] == 0, "in one skip, not also in a gap"
        check_against(proxy, items, status.announced)


def test_endless_incomplete_frames_neither_block_nor_starve_the_stream(proxy):
    """The library's fetch(timeout=...) never returns here; there are 3 buffers, so 30 show that each was queued again."""
    proxy.set(incomplete=30)
    with opened(proxy) as source:
        items = take(source, 31)
        assert brief(items) == [("incomplete", n, n) for n in range(1, 31)] + [31]


def test_frames_lost_in_transport_are_a_gap_before_the_next_frame(proxy):
    with library_loop(proxy) as fetch:
        assert fetch() == 1
        proxy.set(drop=3)
        assert fetch() == 5, "the library says nothing"
    proxy.reset()
    with opened(proxy) as source:
        items = take(source, 2)
        proxy.set(drop=3)
        items += take(source, 3)
        proxy.set(drop=1, incomplete=1)
        items += take(source, 3)
        expected = [1, 2, ("frame_id_gap", 3, 5), 6, 7, ("frame_id_gap", 8, 8), ("incomplete", 9, 9), 10]
        assert brief(items) == expected
        check_against(proxy, items, source.status().announced)


def test_ids_of_16_bits_wrap_without_a_loss(proxy):
    """GigE Vision 1.x: after 65535 comes 1. Published ids go on rising."""
    proxy.set(first_id=65533)
    with opened(proxy) as source:
        items = take(source, 2)
        proxy.set(drop=2)
        items += take(source, 4)
        status = source.status()
    assert [row.frame_id for row in proxy.ledger()[:2]] == [65533, 65534]
    assert [row.frame_id for row in proxy.ledger()[2:5]] == [2, 3, 4]
    assert brief(items) == [65533, 65534, ("frame_id_gap", 65535, 65536), 65537, 65538, 65539]
    assert status.announced == 7


def test_a_camera_without_ids_is_counted_and_claims_no_gap(proxy):
    proxy.set(no_ids=1)
    with opened(proxy) as source:
        items = take(source, 2)
        proxy.set(drop=2)
        items += take(source, 2)
    assert [(i.meta.frame_id, i.meta.frame_id_source) for i in items] == [(n, "counted") for n in range(4)]


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ({"pixel_format": 0x80120001}, "pixel format unknown (0x80120001)"),
        ({"pixel_format": 0x01010037}, "pixel format Mono1p (0x01010037)"),
        ({"size_filled": 9_999}, "9999 bytes, 10000 needed for Mono8 100x100"),
    ],
)
def test_a_picture_that_cannot_be_read_is_named_and_the_stream_goes_on(proxy, fault, problem):
    with opened(proxy) as source:
        items = take(source, 1)
        proxy.set(**fault)
        items += take(source, 6)
        proxy.set(**dict.fromkeys(fault, 0))
        items += take(source, 1)
        assert brief(items) == [1, *[("bad_payload", n, n) for n in range(2, 8)], 8]
        assert source._accounts._named == {problem}


def test_a_producer_that_cannot_tell_what_waits_is_polled_all_the_same(proxy):
    proxy.set(no_counter=1)
    with opened(proxy) as source:
        assert brief(take(source, 20)) == list(range(1, 21))


def test_camera_stamps_count_only_where_the_clock_can_be_followed(proxy):
    """The proxy stamps frames 1 s in the past; the simulated camera has no latch, so one is put in its place."""
    proxy.set(camera_clock=1_000_000_000)
    with opened(proxy) as source:
        (before,) = take(source, 1)
        source._link._clock._latch = ("TimestampLatch", "TimestampLatchValue", None)
        source._link._clock._take = lambda *_names: Sample(*(time.monotonic_ns(),) * 3)
        source._link._clock.sample()
        after = take(source, 3)[-1]
    assert (before.meta.timestamp_source, before.meta.camera_ns) == ("host", None)
    assert after.meta.timestamp_source == "camera"
    assert 0.5e9 < after.meta.received_ns - after.meta.camera_ns < 1.5e9


def test_a_stalled_stream_is_silent_and_not_lost(proxy, hasty):
    """The camera answers, so the connection stays; what the camera dropped meanwhile is a gap at its place."""
    with library_loop(proxy) as fetch:
        assert fetch() == 1
        proxy.set(stall=1)
        assert fetch() is None, "the same None as for an incomplete frame, an idle trigger or a pulled cable"
    proxy.reset()
    with opened(proxy) as source:
        items = take(source, 2)
        proxy.set(stall=1)
        items += drain(source, lambda: source.status().state == "silent")
        proxy.set(stall=0)
        items += take(source, 10)
        status = source.status()
        assert status.state == "streaming"
        assert status.counters["timeouts"] >= 1
        assert status.counters.get("reconnects", 0) == 0
        check_against(proxy, items, status.announced)


def test_a_stream_that_stays_silent_is_stopped_and_started(proxy, hasty, monkeypatch):
    """Ids begin anew; the camera stays open. The pause doubles, for a slow camera is silent too."""
    monkeypatch.setattr(genicam, "RESTART_S", (0.15, 10.0))
    with opened(proxy) as source:
        items = take(source, 3)
        proxy.set(stall=1)
        items += drain(source, lambda: source.status().counters.get("stream_restarts", 0) == 2)
        assert source._restart_pause == 0.6
        proxy.set(stall=0)
        items += take(source, 3)
        status = source.status()
        assert brief(items) == [1, 2, 3, 1, 2, 3]
        assert (status.state, status.announced, status.counters.get("reconnects", 0)) == ("streaming", 6, 0)
        check_against(proxy, items, status.announced)


def test_parts_lost_in_a_gap_are_named_where_parts_step_by_one(proxy, monkeypatch):
    step = 1
    monkeypatch.setattr(genicam_link, "chunks_of", lambda buffer, *_: (100 + step * buffer.frame_id, ()))
    with opened(proxy, part_id="ChunkNrBounces") as source:
        take(source, 1)
        proxy.set(drop=2)
        gap, after = take(source, 2)
        assert (gap.part_id_first, gap.part_id_last, after.meta.part_id) == (102, 103, 104)
        proxy.set(drop=2, incomplete=1)
        gap, incomplete = take(source, 2)
        assert (incomplete.reason, incomplete.part_id_first) == ("incomplete", None), "its chunks did not come"
        assert (gap.part_id_first, gap.part_id_last) == (None, None), "not known before the next good frame"
        proxy.set(drop=1)
        gap, after = take(source, 2)
        assert (gap.part_id_first, gap.part_id_last, after.meta.part_id) == (108, 108, 109)
        proxy.set(drop=2)
        step = 2
        gap = take(source, 1)[0]
        assert (gap.part_id_first, gap.part_id_last) == (None, None), "an encoder, say: nothing is guessed"


def test_an_idle_trigger_is_not_a_fault(proxy, hasty):
    """Simulated: the camera has no trigger, so the stream is stalled and the mode is said to be On."""
    with opened(proxy) as source:
        take(source, 1)
        source._link.triggered = True
        proxy.set(stall=1)
        drain(source, lambda: source.status().state == "waiting_for_trigger")
        idle_until = time.monotonic() + 0.5
        assert drain(source, lambda: time.monotonic() > idle_until) == []
        assert source.status().state == "waiting_for_trigger"
        assert source.status().counters["timeouts"] == 0
        proxy.set(stall=0)
        take(source, 1)
        assert source.status().state == "streaming"


def test_io_errors_of_a_camera_that_answers_are_ridden_out(proxy):
    with library_loop(proxy) as fetch:
        assert fetch() == 1
        proxy.set(io_errors=1)
        with pytest.raises(Exception, match="-1010"):
            fetch()
    proxy.reset()
    with opened(proxy) as source:
        items = take(source, 1)
        proxy.set(io_errors=5)
        items += take(source, 10)
        status = source.status()
        assert status.counters["fetch_errors"] == 5
        assert status.counters.get("reconnects", 0) == 0
        check_against(proxy, items, status.announced)


def test_a_stream_that_fails_for_good_is_opened_anew(proxy, hasty):
    with opened(proxy) as source:
        items = take(source, 1)
        proxy.set(io_errors=genicam.FETCH_ERRORS)
        items += drain(source, lambda: source.status().counters.get("reconnects", 0) == 1)
        items += take(source, 2)
        assert brief(items)[-2:] == [1, 2]
        check_against(proxy, items, source.status().announced)


def test_the_bayer_pattern_of_a_camera_that_names_the_sensor_s_is_set_by_hand(proxy):
    """An odd OffsetX moves RG to GR; a camera that still says BayerRG8 is corrected, other formats are not."""
    with opened(proxy, bayer="GR") as source:
        items = take(source, 1)
        proxy.set(pixel_format=0x01080009)
        items += take(source, 5)
    assert [i.meta.pixel_format for i in items][::5] == ["Mono8", "BayerGR8"]
    proxy.reset()
    with opened(proxy) as source:
        proxy.set(pixel_format=0x01080009)
        assert take(source, 5)[-1].meta.pixel_format == "BayerRG8"


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
    with opened(proxy) as source:
        drain(source, lambda: source.status().state == "backoff")
        assert source.status().detail.startswith("the camera is in use by another program (")
        proxy.set(open_errors=0)
        assert brief(take(source, 2)) == [1, 2]
        assert source.status().counters.get("reconnects", 0) == 0


def test_twenty_losses_and_returns_and_every_frame_accounted_for(proxy, hasty, capsys):
    """Features are written again each time (else the size would be another); each buffer of the ledger is in one record."""
    with library_loop(proxy) as fetch:
        assert fetch() == 1
        proxy.set(lost=1)
        assert [fetch(), fetch()] == [None, None], "no error, for ever"
    proxy.reset()
    items: list[Payload | Skip] = []
    back_ms = []
    with opened(proxy, buffers=2) as source:
        for cycle in range(1, 21):
            items += take(source, 5)
            proxy.set(lost=1)
            items += drain(source, lambda: source.status().state == "backoff")
            proxy.set(lost=0)
            since = time.monotonic()
            items += drain(source, lambda n=cycle: source.status().counters.get("reconnects", 0) == n)
            items += take(source, 1)
            back_ms.append((time.monotonic() - since) * 1e3)
        status = source.status()
        check_against(proxy, items, status.announced)
    assert status.counters["reconnects"] == 20
    assert {(i.meta.width, i.meta.height) for i in items if isinstance(i, Payload)} == {(100, 100)}
    with capsys.disabled():
        print(f"\n20 losses: first good frame after {sorted(back_ms)[10]:.0f} ms (median), {max(back_ms):.0f} ms (worst)")


def test_the_whole_line_survives_a_loss_and_leaves_with_5_at_the_next(proxy, hasty, tmp_path):
    """Faults of every kind on the way: each counter counts its own, the sum rule is checked live, every id has a record."""
    write_identity_bundle(tmp_path / "bundle")
    path = tmp_path / "cam1.yaml"
    path.write_text(
        "camera: cam1\nruntime_dir: run\nmodel: {bundle: bundle}\nregions: {threshold: {high: 2.0}}\n"
        f"source: {{kind: genicam, producer: {proxy.path}, serial: '1', buffers: 8, max_reconnects: 1,\n"
        "  features: [[PixelFormat, Mono8], [Width, 100], [Height, 100], [AcquisitionFrameRate, 200]]}\n"
        "outputs: {zmq: null, jsonl: {dir: log}}\n"
    )
    (tmp_path / "run").mkdir()
    line = make_line(load_config(path))
    steps = iter(
        [
            {"incomplete": 2, "drop": 3},
            {"size_filled": 9_999},
            {"size_filled": 0, "lost": 1},
            {"lost": 0},
            {"stall": 1},
            {"stall": 0},
            {"lost": 1},
        ]
    )
    turns = 0

    def each_turn(_line, _health):
        nonlocal turns
        turns += 1
        step = next(steps, {}) if turns % 4 == 0 else {}
        proxy.set(**step)

    line.start(threading.Event())
    assert run_line(line, threading.Event(), each_turn) == 5
    counters = line.source.status().counters
    assert (counters["incomplete"], counters["frame_id_gap"] >= 3, counters["bad_payload"] > 0) == (2, True, True)
    assert (counters["reconnects"], counters["timeouts"] >= 1) == (1, True)
    assert line.tally.sum_checks >= 3
    assert line.tally.sum_fault is None
    assert line.source.status().announced == line.tally.accounted > 100
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
        genicam.read_camera(proxy.path, "1")
    assert str(error.value).startswith("the camera cannot be read: the camera is in use by another program (")


HANGING = """
import os, socket, sys, threading, time
from edge.config import GenicamSource as Config
from edge.sources.genicam import GenicamSource
from edge.sources.genicam_link import Link
from edge.frames import Payload

notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ["NOTIFY_SOCKET"])

def feed():
    while True:
        notify.send(b"WATCHDOG=1")
        time.sleep(0.02)

source = GenicamSource(Config(kind="genicam", producer=sys.argv[1], serial="1", buffers=3), "cam1")
source.open()
threading.Thread(target=feed, daemon=True).start()
while True:
    source.read(0.1)
"""


def test_a_producer_that_hangs_silences_the_watchdog(built, tmp_path):
    """A call that never returns holds the interpreter lock: not even a thread that only feeds the watchdog can run."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        environment = {**os.environ, "NOTIFY_SOCKET": str(path), "GENTL_PROXY_HANG_AFTER": "10"}
        child = subprocess.Popen([sys.executable, "-c", HANGING, built.path], env=environment, stdout=subprocess.DEVNULL)
        try:
            notify.settimeout(10.0)
            assert notify.recv(64) == b"WATCHDOG=1"
            notify.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                for _ in range(200):
                    notify.recv(64)
                pytest.fail("the watchdog is still fed")
            assert child.poll() is None, "the process lives, and hangs"
        finally:
            child.kill()
            child.wait()
