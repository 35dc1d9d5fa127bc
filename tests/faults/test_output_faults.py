"""Outputs that raise, block, have nobody who listens or somebody who froze: inspection goes on, and nothing is missing."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from structlog.testing import capture_logs
from support.doors import FLOOD, Keys
from support.lines import loaded, make_line, records, run
from support.sums import sum_rule_of
from support.waits import PATIENCE_S

from edge.client import Received, Refused, Subscriber
from edge.line.line import Line
from edge.line.run import run_line
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink
from edge.service.health_server import Metrics
from edge.storage.key_list import revoke

CURVE = "outputs.zmq.curve={server_key: server.key_secret, clients: clients}"
STEADY = ["source.fps=200", "source.frames=400", "ring.slots=32"]


class Idle(Sink):
    """An output that does nothing."""

    name = "sink"

    def write(self, record: Any, kept: Any) -> None:
        pass


class Raising(Idle):
    """Fails at everything that it is asked to do."""

    name = "raising"

    def write(self, record: Any, kept: Any) -> None:
        raise RuntimeError("no such table")

    def state(self, state: Any) -> None:
        raise RuntimeError("no such table")

    def tick(self, heartbeat: Any) -> None:
        raise RuntimeError("no such table")

    def close(self) -> None:
        raise RuntimeError("no such table")


class Blocking(Idle):
    """Never returns from its first record, until it is let go."""

    name = "blocking"

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def write(self, record: Any, kept: Any) -> None:
        self.let_go.wait(60)


def test_an_output_that_raises_loses_its_own_records_alone(tmp_path: Path) -> None:
    output = Queued(Raising(), 1000, "drop")
    line = make_line(loaded(tmp_path, "source.frames=300"), more_outputs=[output])
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert (output.status().lost, output.status().fault) == (300, "RuntimeError: no such table")
    assert {r["verdict"] for r in found} == {"pass"}
    sum_rule_of(line, found)


def test_an_output_that_blocks_for_ever_loses_its_own_records_alone(tmp_path: Path) -> None:
    """Its queue fills, that is a fault, and the line ends in time all the same."""
    sink = Blocking()
    output = Queued(sink, 50, "drop")
    line = make_line(loaded(tmp_path, *STEADY), more_outputs=[output])
    try:
        assert run(line) == 0
        found = records(tmp_path / "log")
        kept = output.status().accepted
        assert kept in (50, 51)  # in the queue, and the one in the blocked call
        assert output.status().lost == len(found) - kept
        assert {f.code: f.text for f in line.faults} == {"output_blocking": "queue full"}
        assert {r["verdict"] for r in found if r["kind"] == "inspection"} == {"pass"}
        sum_rule_of(line, found)
    finally:
        sink.let_go.set()
        output._thread.join(PATIENCE_S)


@pytest.fixture
def soon_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.line.state.OUTPUT_HOLD_S", 0.1)


class Passing(Idle):
    """Fails at the records 50 to 149, and says each state that it hears of."""

    name = "passing"

    def __init__(self) -> None:
        self.states: list[set[str]] = []

    def write(self, record: Any, kept: Any) -> None:
        if 50 <= record.seq < 150:
            raise OSError(28, "No space left on device")

    def state(self, state: Any) -> None:
        self.states.append({fault.code for fault in state.faults})


@pytest.mark.usefixtures("soon_over")
def test_a_fault_and_its_end_are_told_once_in_state_log_and_metrics(tmp_path: Path) -> None:
    sink = Passing()
    line = make_line(loaded(tmp_path, *STEADY), more_outputs=[Queued(sink, 1000, "drop")])
    metrics = Metrics(line.tally, line.ring, line.snapshot)
    seen: list[set[str]] = []

    def turn(_line: Any, _health: Any) -> None:
        (family,) = (m for m in metrics.collect() if m.name == "edge_fault")
        codes = {sample.labels["code"] for sample in family.samples}
        if not seen or seen[-1] != codes:
            seen.append(codes)

    stop = threading.Event()
    with capture_logs() as logs:
        line.start(stop)
        assert run_line(line, stop, turn) == 0
    assert seen == [set(), {"output_passing"}, set()]
    assert [codes for codes, _ in itertools.groupby(sink.states)] == [set(), {"output_passing"}, set()]
    told = [(e["event"], e["log_level"], e["code"]) for e in logs if e["event"].startswith("fault")]
    assert told == [("fault", "warning", "output_passing"), ("fault_over", "info", "output_passing")]
    sum_rule_of(line, records(tmp_path / "log"))


class Hiccup(Passing):
    """Fails once, in its 50th record, and works again at once."""

    def __init__(self) -> None:
        super().__init__()
        self._failed = False

    def write(self, record: Any, kept: Any) -> None:
        if record.seq == 49 and not self._failed:
            self._failed = True
            raise OSError(5, "Input/output error")

    def recover(self) -> None:
        pass


@pytest.mark.usefixtures("soon_over")
def test_a_fault_that_is_over_before_anyone_looks_is_told_in_state_log_and_metrics(tmp_path: Path) -> None:
    sink = Hiccup()
    output = Queued(sink, 1000, "drop")
    line = make_line(loaded(tmp_path, *STEADY), more_outputs=[output])
    metrics = Metrics(line.tally, line.ring, line.snapshot)
    with capture_logs() as logs:
        assert run(line) == 0
    assert (output.status().lost, output.status().fault) == (0, None)
    assert [codes for codes, _ in itertools.groupby(sink.states)] == [set(), {"output_passing"}, set()]
    told = [(e["event"], e.get("code")) for e in logs if "fault" in e["event"] or "output" in e["event"]]
    assert told == [("fault", "output_passing"), ("fault_over", "output_passing")]
    (family,) = (m for m in metrics.collect() if m.name == "edge_output_events")
    counted = {s.labels["output"]: s.value for s in family.samples if s.labels["event"] == "failures"}
    assert counted == {"jsonl": 0, "passing": 1}
    sum_rule_of(line, records(tmp_path / "log"))


def test_without_a_subscriber_records_are_published_to_nobody(tmp_path: Path) -> None:
    line = make_line(loaded(tmp_path, "source.frames=300", "outputs.zmq={}"))
    assert run(line) == 0
    status = line.output_statuses()["zmq"]
    assert (status.accepted, status.lost, status.fault) == (300, 0, None)
    sum_rule_of(line, records(tmp_path / "log"))


LISTENER = """\
import sys
from edge.client import Subscriber
with Subscriber(sys.argv[1]) as line:
    for event in line:
        print(type(event).__name__, flush=True)
"""


def test_a_stopped_subscriber_costs_no_frame_and_no_memory(tmp_path: Path) -> None:
    frozen_memory(tmp_path, seconds=5.0)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_stopped_subscriber_costs_no_memory_in_60_s(tmp_path: Path) -> None:
    frozen_memory(tmp_path, seconds=60.0)


def frozen_memory(folder: Path, seconds: float) -> None:
    """A subscriber hears some records and is stopped (SIGSTOP) for ``seconds``; no frame is lost and memory is flat."""
    listener = None
    with publishing(folder, "source.fps=200") as (line, endpoint):
        try:
            listener = subprocess.Popen([sys.executable, "-c", LISTENER, endpoint], stdout=subprocess.PIPE, text=True)
            assert listener.stdout is not None
            assert [listener.stdout.readline() for _ in range(5)]
            os.kill(listener.pid, signal.SIGSTOP)
            time.sleep(seconds / 5)
            before, began = _resident_kb(), line.tally.inspections
            time.sleep(seconds * 4 / 5)
            grown, inspected = _resident_kb() - before, line.tally.inspections - began
        finally:
            if listener is not None:
                listener.kill()
                listener.communicate()
    assert grown < 4096, "a stopped subscriber's queue is bounded: 50 messages and the kernel's buffer"
    assert inspected > 100 * seconds * 4 / 5


@contextmanager
def publishing(folder: Path, *overrides: str) -> Iterator[tuple[Line, str]]:
    """A line without end that publishes, and where. At its end no record failed to be published and none is missing."""
    config = loaded(folder, "source.frames=null", "source.fps=50", "ring.slots=64", "outputs.zmq={}", *overrides)
    line = make_line(config)
    stop = threading.Event()
    thread = threading.Thread(target=lambda: run(line, stop), daemon=True)
    thread.start()
    try:
        _wait(lambda: line.tally.inspections > 10)
        yield line, str(line.output_statuses()["zmq"].detail["endpoint"])
        status = line.output_statuses()["zmq"]
        assert (status.lost, status.fault) == (0, None)
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert line.output_statuses()["zmq"].lost == 0
    sum_rule_of(line, records(folder / "log"))


def test_a_flood_of_subscriptions_costs_no_frame(tmp_path: Path) -> None:
    with capture_logs() as logs, publishing(tmp_path) as (line, endpoint):
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, endpoint])
        try:
            _wait(lambda: any(entry["event"] == "subscription_flood" for entry in logs))
        finally:
            flood.kill()
            flood.wait()
        with Subscriber(endpoint, "cam1") as listener:
            _hears(listener, "inspection")
        began = line.tally.inspections
        _wait(lambda: line.tally.inspections > began + 20)


def test_a_hundred_subscribers_cost_no_frame(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with publishing(tmp_path) as (line, endpoint):
            listeners = [context.socket(zmq.SUB) for _ in range(100)]
            for listener in listeners:
                listener.subscribe(b"inspection/")
                listener.connect(endpoint)
            _wait(lambda: line.output_statuses()["zmq"].subscribers == 100)
            assert all(listener.poll(int(PATIENCE_S * 1000)) for listener in listeners)
            began = line.tally.inspections
            _wait(lambda: line.tally.inspections > began + 50)
    finally:
        context.destroy(0)


def test_wrong_keys_hear_nothing_and_cost_no_frame(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    unknown = "the daemon doesn't know this key; `edge keys allow` puts it on the list"
    no_handshake = "no handshake: one side has keys and the other none, or the server key is another daemon's"
    with publishing(tmp_path, CURVE) as (_line, endpoint), Subscriber(endpoint, "cam1", keys=keys.of("plc")) as plc:
        _hears(plc, "inspection")
        for client, reason in (
            (keys.of("stranger"), unknown),
            (keys.of("plc", server="hmi"), no_handshake),
            (None, no_handshake),
        ):
            with Subscriber(endpoint, "cam1", keys=client) as listener:
                assert _hears(listener) == reason
        _hears(plc, "inspection")


def test_a_revoked_key_is_cut_off_and_costs_no_frame(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    with (
        publishing(tmp_path, CURVE) as (line, endpoint),
        Subscriber(endpoint, "cam1", keys=keys.of("plc")) as plc,
        Subscriber(endpoint, "cam1", keys=keys.of("hmi")) as hmi,
    ):
        for listener in (plc, hmi):
            _hears(listener, "inspection")
        revoke(keys.clients, "plc")
        assert _hears(plc, "refused") == "the daemon doesn't know this key; `edge keys allow` puts it on the list"
        _hears(hmi, "inspection", first=line.tally.inspections)  # all sessions are ended, and who may comes back


def _hears(listener: Subscriber, wanted: str | None = None, *, first: int = 0) -> str:
    """Waits for a kind of message, from record ``first`` on, or for "refused"; None: for whatever comes.

    Gives the kind, or the reason why we are not let in.
    """
    end = time.monotonic() + PATIENCE_S
    while (left := end - time.monotonic()) > 0:
        event = listener.receive(left)
        if isinstance(event, Received) and wanted in (None, event.kind) and event.message.get("seq", first) >= first:
            return event.kind
        if isinstance(event, Refused) and wanted in (None, "refused"):
            return event.text
    raise AssertionError("it never came about")


def test_a_clock_that_is_stepped_by_an_hour_changes_no_verdict_and_no_latency(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forth and back, under a deadline; only the UTC stamps show it."""
    real, hour = time.time_ns, 3_600_000_000_000
    step = [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + step[0])

    def steps(index: int) -> None:
        step[0] = {100: hour, 200: -hour, 300: 0}.get(index, step[0])

    line = make_line(loaded(tmp_path, "source.frames=400", "deadline_ms=5000"), before=steps)
    assert run(line) == 0
    found = records(tmp_path / "log")
    stamps = [r["received_ns"] for r in found]
    assert max(stamps) - min(stamps) > 1.9 * hour
    assert {(r["verdict"], r["reason"]) for r in found} == {("pass", None)}
    assert all(0 <= r["latency_ms"][stage] < 5000 for r in found for stage in r["latency_ms"])
    sum_rule_of(line, found)


def _wait(condition: Any, timeout_s: float = PATIENCE_S) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
