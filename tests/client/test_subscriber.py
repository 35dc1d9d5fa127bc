"""A listener notices what it missed: gaps, restarts, silence, simulation, a schema that it doesn't know."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import FRAME, IDENTITY, STATE, WIRE, record, skip
from support.waits import PATIENCE_S

from edge.client import (
    Decision,
    Event,
    Gap,
    Received,
    Refused,
    Restart,
    Resumed,
    Simulated,
    Stale,
    Subscriber,
    UnknownSchema,
    Unreadable,
)
from edge.client.events import Listener
from edge.config.outputs import ZmqConfig
from edge.errors import UserError
from edge.frames import Heartbeat, RunIdentity
from edge.outputs.queued import Queued
from edge.outputs.zmq.publisher import ZmqSink
from edge.wire.encode import Wire

RECORDS, STATES, HEARTBEATS = b"inspection/1/cam1/", b"state/1/cam1/", b"heartbeat/1/cam1/"
SECOND = Wire(replace(IDENTITY, instance_id="run2"))
BEAT = WIRE.heartbeat(Heartbeat(0), 1)


def heard(listener: Listener, *lines: bytes, topic: bytes = RECORDS, now: float = 0.0) -> list[Any]:
    """Events of some messages; of a message itself only its seq, state_seq or kind."""
    events = [event for line in lines for event in listener.hear(topic, line, now)]
    return [_short(event) for event in events]


def _short(event: Event) -> Any:
    if not isinstance(event, Received):
        return event
    return event.message.get("seq", event.message.get("state_seq", event.kind))


def test_a_message_comes_parsed_and_as_it_was() -> None:
    (event,) = Listener().hear(RECORDS, record(5).line, 0.0)
    assert event == Received("inspection", "cam1", orjson.loads(record(5).line), record(5).line)


def test_records_missed_are_a_gap_before_the_next_one() -> None:
    listener = Listener()
    lost = WIRE.skip(10, skip(), 1)
    assert heard(listener, record(5).line, record(6).line, record(9).line, lost.line) == [5, 6, Gap("cam1", 7, 8), 9, 10]


def test_whoever_comes_late_missed_nothing() -> None:
    assert heard(Listener(), record(1000).line) == [1000]


def test_repeats_are_dropped() -> None:
    listener = Listener()
    assert heard(listener, record(5).line, record(5).line, record(4).line, record(6).line) == [5, 6]
    state = WIRE.state(replace(STATE, state_seq=3), 1)
    later = WIRE.state(replace(STATE, state_seq=4), 1)
    assert heard(listener, state, state, later, state, topic=STATES) == [3, 4]


def test_a_restart_is_no_gap_but_what_the_new_run_said_before_is() -> None:
    listener = Listener()
    assert heard(listener, record(5).line, record(0, SECOND).line, record(1, SECOND).line) == [
        5,
        Restart("cam1", "run1", "run2"),
        0,
        1,
    ]
    third = Wire(replace(IDENTITY, instance_id="run3"))
    state = third.state(STATE, 1)
    assert heard(listener, state, topic=STATES) == [Restart("cam1", "run2", "run3"), 0]
    assert heard(listener, record(2, third).line) == [Gap("cam1", 0, 1), 2]


def test_simulated_is_told_once_per_run() -> None:
    replay = Wire(replace(IDENTITY, simulated=True))
    again = Wire(replace(IDENTITY, simulated=True, instance_id="run2"))
    assert heard(Listener(), record(0, replay).line, record(1, replay).line, record(0, again).line) == [
        Simulated("cam1"),
        0,
        1,
        Restart("cam1", "run1", "run2"),
        Simulated("cam1"),
        0,
    ]


def test_silence_is_told_once_and_so_is_its_end() -> None:
    listener = Listener()
    heard(listener, BEAT, topic=HEARTBEATS, now=10.0)
    assert listener.silence(12.0) == []
    assert listener.silence(12.5) == [Stale("cam1", 2.5)]
    assert listener.silence(20.0) == []
    assert heard(listener, record(0).line, now=21.0) == [0]  # a record is no heartbeat
    assert heard(listener, BEAT, topic=HEARTBEATS, now=22.0) == [Resumed("cam1", 12.0), "heartbeat"]
    assert listener.silence(23.0) == []
    assert listener.silence(24.5) == [Stale("cam1", 2.5)]


def test_a_daemon_never_heard_is_silent_too() -> None:
    listener = Listener(now=100.0)
    assert listener.silence(101.0) == []
    assert listener.silence(102.5) == [Stale(None, 2.5)]
    assert listener.silence(200.0) == []
    assert heard(listener, BEAT, topic=HEARTBEATS, now=203.0) == [Resumed("cam1", 103.0), "heartbeat"]


def test_an_unknown_schema_is_told_once_and_never_delivered() -> None:
    listener = Listener()
    other = record(0).line.replace(b'"schema":1', b'"schema":3')
    assert heard(listener, b"anything", b"anything", topic=b"inspection/2/cam1/") == [UnknownSchema("cam1", 2)]
    assert heard(listener, other, other) == [UnknownSchema("cam1", 3)]
    assert heard(listener, b"", topic=b"inspection/next/cam1/") == [UnknownSchema("cam1", "next")]


def test_what_is_unreadable_is_said_and_kinds_to_come_are_passed_over() -> None:
    listener = Listener()
    assert heard(listener, b"{", topic=RECORDS) == [
        Unreadable("inspection/1/cam1/", "no JSON: unexpected end of data: line 1 column 2 (char 1)")
    ]
    assert heard(listener, b'{"schema":1,"kind":"later"}') == []


def test_cameras_are_followed_apart_and_one_may_be_picked() -> None:
    other = Wire(replace(IDENTITY, camera="cam2", instance_id="x"))
    both, one = Listener(), Listener("cam1")
    for listener, expected in ((both, [5, 90, 6, 91]), (one, [5, 6])):
        found = heard(listener, record(5).line)
        found += heard(listener, record(90, other).line, topic=b"inspection/1/cam2/")
        found += heard(listener, record(6).line)
        found += heard(listener, record(91, other).line, topic=b"inspection/1/cam2/")
        assert found == expected


@given(
    st.binary(max_size=30) | st.sampled_from([RECORDS, STATES, HEARTBEATS]),
    st.binary(max_size=30) | st.sampled_from([record(0).line, BEAT, WIRE.state(STATE, 1), WIRE.header(1)]),
    st.none() | st.just("cam1"),
)
def test_no_message_upsets_a_listener(topic: bytes, body: bytes, camera: str | None) -> None:
    assert len(Listener(camera).hear(topic, body, 0.0)) <= 2


@contextmanager
def published(bind: str, folder: Path, identity: RunIdentity = IDENTITY) -> Iterator[tuple[Queued, ZmqSink]]:
    sink = ZmqSink(ZmqConfig(bind=bind), identity, folder)
    output = Queued(sink, 1000, "drop")
    output.start()
    try:
        yield output, sink
    finally:
        output.close(2.0)


def following(line: Subscriber, count: int) -> list[Any]:
    end = time.monotonic() + PATIENCE_S
    found: list[Any] = []
    while len(found) < count and time.monotonic() < end:
        event = line.receive(0.1)
        if event is not None:
            found.append(_short(event))
    return found


def test_a_subscriber_follows_a_daemon_through_a_restart(tmp_path: Path) -> None:
    bind = f"ipc://{tmp_path}/pub"
    with Subscriber(bind) as line:  # before there is anybody to hear
        with published(bind, tmp_path) as (output, _sink):
            output.state(STATE)
            assert following(line, 1) == [0]
            output.accept(record(0), FRAME, None)
            output.tick(Heartbeat(0))
            assert sorted(map(str, following(line, 2))) == ["0", "heartbeat"]
        again = replace(IDENTITY, instance_id="run2")
        with published(bind, tmp_path, again) as (output, _sink):
            output.state(STATE)
            assert following(line, 2) == [Restart("cam1", "run1", "run2"), 0]
            output.accept(record(0, Wire(again)), FRAME, None)
            assert following(line, 1) == [0]


def test_a_subscriber_says_when_nothing_comes() -> None:
    with Subscriber("tcp://127.0.0.1:9", stale_s=0.05) as line:
        began = time.monotonic()
        assert isinstance(next(iter(line)), Stale)
        assert line.receive(0.0) is None
        assert time.monotonic() - began < 30


def test_silence_shows_while_records_keep_coming(tmp_path: Path) -> None:
    with published("tcp://127.0.0.1:0", tmp_path) as (output, sink):
        assert sink.endpoint is not None
        with Subscriber(sink.endpoint, stale_s=0.05) as line:
            end, seq, found = time.monotonic() + PATIENCE_S, 0, None
            while not isinstance(found, Stale) or found.camera is None:
                assert time.monotonic() < end
                output.accept(record(seq), FRAME, None)
                seq += 1
                found = line.receive(0.01)


@pytest.mark.parametrize(
    ("endpoint", "received"),
    [
        ("cam1", None),
        ("http://127.0.0.1:80", None),
        ("tcp://", None),
        ("tcp://localhost", "no port"),
        ("tcp://localhost:99999", "port '99999'"),
        ("tcp://localhost:0", "port '0'"),
        ("tcp://a b:5", "Invalid argument"),
        ("ipc:///" + "x" * 110, "File name too long"),
    ],
)
def test_an_endpoint_that_is_none_is_named(endpoint: str, received: str | None) -> None:
    with pytest.raises(UserError) as caught:
        Subscriber(endpoint)
    shown = "" if received is None else f"  received: {received}\n"
    assert str(caught.value) == (
        f"{endpoint!r} is no endpoint to connect to\n{shown}"
        "  expected: tcp://HOST:PORT or ipc://PATH\n"
        "  fix: take the one that stands in endpoints.json in the daemon's runtime folder"
    )


def test_where_nobody_publishes_is_told_once(tmp_path: Path) -> None:
    with Subscriber(f"ipc://{tmp_path}/pub", stale_s=0.01) as line:
        found = [event for event in (line.receive(0.3) for _ in range(6)) if event is not None]
    assert sorted(map(type, found), key=str) == [Refused, Stale]
    assert Refused(f"{tmp_path}/pub: No such file or directory: no daemon publishes there") in found


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may become another user")
@pytest.mark.parametrize("closed", ["socket", "folder"])
def test_a_user_who_may_not_connect_is_told_why(tmp_path: Path, closed: str) -> None:
    """Libzmq tries for ever and says nothing: a gateway that runs as its own user heard nothing, and did not know why."""
    program = (
        "import os, sys; from edge.client import Refused, Subscriber\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "with Subscriber(sys.argv[1]) as line:\n"
        "    print(next(event.text for event in line if isinstance(event, Refused)))\n"
    )
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755 if closed == "socket" else 0o700)
        with published(f"ipc://{place}/pub", tmp_path):
            os.chmod(f"{place}/pub", 0o750)
            told = subprocess.run(
                [sys.executable, "-c", program, f"ipc://{place}/pub"],
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            ).stdout
    assert told == (
        f"{place}/pub: this user may not connect: permission denied; join the group that the socket belongs to\n"
    )


def test_whatever_comes_the_next_message_is_heard(tmp_path: Path) -> None:
    """Each of these ended the reading thread, or made a repeat of every record after it; silently, and for good."""
    with (
        published(f"ipc://{tmp_path}/pub", tmp_path) as (output, sink),
        Subscriber(str(sink.endpoint), "cam1", stale_s=60.0) as line,
    ):
        output.state(STATE)
        assert following(line, 1) == [0]
        for topic in (b"inspection/" + b"9" * 5000, "inspection/\u0661/cam1/".encode(), b"\xff/" * 60, b"", b"/" * 200):
            sink._door.socket.send_multipart((topic, b"{}"))
        for seq in (2**63, 2**53, 2**53 - 1):
            sink._door.socket.send_multipart((RECORDS, record(0).line.replace(b'"seq":0', b'"seq":%d' % seq)))
        output.tick(Heartbeat(0))
        end = time.monotonic() + PATIENCE_S
        while line.latest(60.0).heartbeat is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert line.latest(60.0).decision.text == (
            f"the newest record can't be read: a record came with seq {2**53 - 1}, and the daemon's last one is 0"
        )
        output.accept(record(1), FRAME, None)
        while line.latest(60.0).decision.why != "pass":
            assert time.monotonic() < end
            time.sleep(0.01)
        assert line.decide(42, 30.0).why == "ambiguous"  # the forged one tells of this part, too
        broken = [e for e in (line.receive(0.1) for _ in range(40)) if isinstance(e, Unreadable)]
        assert [e.text for e in broken] == [f"inspection: seq must be an integer from 0 to {2**53 - 1}"] * 2


def test_a_message_that_cannot_be_heard_at_all_is_no_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Listener.hear

    def hear(self: Listener, topic: bytes, body: bytes, now: float) -> list[Event]:
        if topic == b"state/break/":
            raise MemoryError("no room")
        return before(self, topic, body, now)

    monkeypatch.setattr(Listener, "hear", hear)
    with (
        published(f"ipc://{tmp_path}/pub", tmp_path) as (output, sink),
        Subscriber(str(sink.endpoint), "cam1", stale_s=60.0) as line,
    ):
        output.state(STATE)
        assert following(line, 1) == [0]
        output.tick(Heartbeat(0))
        sink._door.socket.send_multipart((b"state/break/", b""))
        assert [e for e in following(line, 2) if e != "heartbeat"] == [Unreadable("state/break/", "MemoryError: no room")]
        assert line.latest(60.0).decision.text == "no record yet; the newest record can't be read: MemoryError: no room"
        output.accept(record(0), FRAME, None)
        assert line.decide(42, 30.0).accept


def test_a_reading_thread_that_ended_lets_nothing_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        published(f"ipc://{tmp_path}/pub", tmp_path) as (output, sink),
        Subscriber(str(sink.endpoint), "cam1", stale_s=60.0) as line,
    ):
        while not isinstance(line.receive(0.1), Received):  # whoever subscribes too late hears no record from before
            output.tick(Heartbeat(0))
        output.accept(record(0), FRAME, None)
        assert line.decide(42, 30.0).accept
        monkeypatch.setattr(line, "_take", lambda *_: 1 / 0)
        output.tick(Heartbeat(0))
        text = "the thread that reads has ended: ZeroDivisionError: division by zero"
        events: list[Event | None] = []
        while not any(isinstance(event, Refused) for event in events):
            events.append(line.receive(1.0))
        assert Refused(text) in events
        assert line.decide(42, 30.0) == Decision(False, "stale", text)
        assert line.latest(30.0).decision == Decision(False, "stale", text)


def test_a_part_is_decided_in_one_call(tmp_path: Path) -> None:
    with (
        published(f"ipc://{tmp_path}/pub", tmp_path) as (output, sink),
        Subscriber(str(sink.endpoint), "cam1", stale_s=1.0) as line,
    ):
        assert line.decide(42, 0.05) == Decision(False, "no_record", "no record of part 42 within 0.05 s")
        output.accept(record(0), FRAME, None)
        output.tick(Heartbeat(0))
        decision = line.decide(part_id=42, within_s=30.0)
        assert (decision.accept, decision.record) == (True, orjson.loads(record(0).line))
        assert line.decide(43, 0.0).why == "no_record"
        time.sleep(1.05)
        assert line.decide(42, 0.05).why == "no_record"
        assert line.decide(42, 2.0).why == "stale"
        output.tick(Heartbeat(0))
        assert line.decide(42, 30.0).accept
        record_and_beat, (silence, *after) = following(line, 2), following(line, 3)
        assert sorted(map(str, record_and_beat)) == ["0", "heartbeat"]
        assert isinstance(silence, Stale)  # it is told to whoever reads later as well
        assert sorted(map(str, after)) == [f"Resumed(camera='cam1', silent_s={silence.silent_s!r})", "heartbeat"]


def test_whoever_decides_says_for_which_camera_and_for_how_long(tmp_path: Path) -> None:
    with Subscriber(f"ipc://{tmp_path}/pub") as line:
        with pytest.raises(UserError) as caught:
            line.decide(42, 0.1)
        assert str(caught.value) == (
            'a subscriber that decides needs to know the camera\n  fix: Subscriber(endpoint, "cam1")'
        )
        for within_s in (-1.0, 61.0, float("nan")):
            with pytest.raises(ValueError, match="is not between 0 and 60"):
                line.decide(42, within_s)


def test_what_nobody_receives_takes_no_more_memory_than_its_backlog(tmp_path: Path) -> None:
    with (
        published(f"ipc://{tmp_path}/pub", tmp_path) as (output, sink),
        Subscriber(str(sink.endpoint), "cam1", stale_s=60.0) as line,
    ):
        output.state(STATE)
        assert following(line, 1) == [0]
        output.tick(Heartbeat(0))  # without one nothing is the latest
        end = time.monotonic() + PATIENCE_S
        for seq in range(1100):
            output.accept(record(seq), FRAME, None)
            # the publisher keeps 50 for each subscriber, and libzmq tells it late, and 25 at a time, which were sent
            while seq % 10 == 9 and line.latest(60.0).decision.record != orjson.loads(record(seq).line):
                assert time.monotonic() < end
                time.sleep(0.001)
        assert len(line._backlog) == 1000
        heard = []
        while line._backlog:
            heard += [e for e in following(line, 1) if e != "heartbeat"]
        kept = len(heard)  # a state said twice takes a place as well
        assert heard == list(range(kept))
        assert kept >= 990
        output.accept(record(1100), FRAME, None)
        assert following(line, 2) == [Gap("cam1", kept, 1099), 1100]
