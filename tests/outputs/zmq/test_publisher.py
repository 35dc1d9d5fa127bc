"""The publisher: late subscribers get the state, slow and frozen ones change nothing, bad endpoints are told in words."""

from __future__ import annotations

import os
import socket as sockets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zmq
from support.records import FRAME, IDENTITY, STATE, WIRE, record, skip
from support.waits import PATIENCE_S

from edge.config.outputs import ZmqConfig
from edge.errors import UserError
from edge.frames import Heartbeat
from edge.outputs.queued import Queued
from edge.outputs.zmq.door import INBOUND_MAX_BYTES
from edge.outputs.zmq.publisher import SEND_HWM, ZmqSink
from edge.wire.read import read

TCP = "tcp://127.0.0.1:0"
FROZEN = """
import os, signal, sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.set(zmq.RCVHWM, 10)
socket.subscribe("")
socket.connect(sys.argv[1])
socket.recv()
os.kill(os.getpid(), signal.SIGSTOP)
"""
_connected: list[zmq.Socket[bytes]] = []


@contextmanager
def published(folder: Path, bind: str | None = None, capacity: int = 100_000) -> Iterator[tuple[Queued, ZmqSink]]:
    sink = ZmqSink(ZmqConfig(bind=bind), IDENTITY, folder)
    output = Queued(sink, capacity, "drop")
    output.start()
    try:
        yield output, sink
    finally:
        output.close(2.0)


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    while _connected:
        _connected.pop().close()
    context.destroy(0)


def subscribed(
    context: zmq.Context[zmq.Socket[bytes]], sink: ZmqSink, *prefixes: bytes, hwm: int = 100_000
) -> zmq.Socket[bytes]:
    """A subscriber that the publisher has noticed: its records don't get lost on the way in."""
    before = sink.subscribers
    socket = context.socket(zmq.SUB)
    _connected.append(socket)
    socket.set(zmq.RCVHWM, hwm)
    socket.set(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
    for prefix in prefixes or (b"",):
        socket.subscribe(prefix)
    assert sink.endpoint is not None
    socket.connect(sink.endpoint)
    if any(b"inspection/1/cam1/".startswith(prefix) for prefix in prefixes or (b"",)):
        until(lambda: sink.subscribers > before)
    return socket


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.002)


def drained(socket: zmq.Socket[bytes]) -> list[int]:
    """``seq`` of all records that come, until none comes for a while."""
    found = []
    while socket.poll(200):
        found.append(read(socket.recv_multipart()[1])["seq"])
    return found


@pytest.mark.parametrize("bind", [None, TCP])
def test_each_kind_comes_under_its_topic_as_two_frames(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]], bind: str | None
) -> None:
    with published(tmp_path, bind) as (output, sink):
        socket = subscribed(context, sink)
        lost = WIRE.skip(1, skip(), 5)
        output.accept(record(0), FRAME, None)
        output.skip(lost)
        assert socket.recv_multipart() == [b"inspection/1/cam1/", record(0).line]
        assert socket.recv_multipart() == [b"inspection/1/cam1/", lost.line]
        output.tick(Heartbeat(1, {"pass": 1}))
        topic, body = socket.recv_multipart()
        assert topic == b"heartbeat/1/cam1/"
        assert read(body)["last_seq"] == 1
        output.state(STATE)
        topic, body = socket.recv_multipart()
        assert topic == b"state/1/cam1/"
        assert read(body)["line_state"] == "Ready"
        assert output.status().detail == {"endpoint": sink.endpoint}


def test_the_default_endpoint_is_a_socket_in_the_runtime_folder(tmp_path: Path) -> None:
    with published(tmp_path) as (_output, sink):
        assert sink.endpoint == f"ipc://{tmp_path}/pub"
        assert (tmp_path / "pub").is_socket()


def test_tcp_port_0_takes_a_free_port_and_tells_which(tmp_path: Path) -> None:
    with published(tmp_path, TCP) as (_output, sink):
        host, port = str(sink.endpoint).rsplit(":", 1)
        assert host == "tcp://127.0.0.1"
        assert int(port) > 0


@pytest.mark.parametrize("prefix", [b"", b"state/", b"state/1/cam1/"])
def test_a_late_subscriber_gets_the_last_state(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]], prefix: bytes
) -> None:
    with published(tmp_path) as (output, sink):
        output.state(STATE)
        output.state(replace(STATE, state_seq=1))
        first = subscribed(context, sink, prefix)
        assert read(first.recv_multipart()[1])["state_seq"] == 1
        second = subscribed(context, sink, prefix)  # to the same topic, which a plain XPUB wouldn't tell of
        again = second.recv_multipart()
        assert read(again[1])["state_seq"] == 1
        assert first.recv_multipart() == again  # whoever has it already knows it by its number


def test_before_the_first_state_and_for_other_topics_nothing_is_resent(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with published(tmp_path) as (output, sink):
        early = subscribed(context, sink, b"")
        output.state(STATE)
        assert early.recv_multipart()[0] == b"state/1/cam1/"
        subscribed(context, sink, b"inspection/")
        assert not early.poll(150)


def test_subscribers_are_counted_as_they_come_and_go(tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with published(tmp_path, TCP) as (_output, sink):
        sockets_ = [subscribed(context, sink, b"inspection/", b"heartbeat/") for _ in range(3)]
        assert sink.subscribers == 3
        sockets_[0].close()
        until(lambda: sink.subscribers == 2)
        sockets_[1].unsubscribe(b"inspection/")
        until(lambda: sink.subscribers == 1)


def test_of_ten_subscribers_the_one_that_does_not_read_loses_and_no_other(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with published(tmp_path) as (output, sink):
        lively = [subscribed(context, sink, b"inspection/") for _ in range(9)]
        frozen = subscribed(context, sink, b"inspection/", hwm=1)
        for seq in range(600):
            output.accept(record(seq), FRAME, None)
            for socket in lively:
                assert read(socket.recv_multipart()[1])["seq"] == seq
        status = output.status()
        assert (status.accepted, status.lost, status.fault) == (600, 0, None)
        got = drained(frozen)
        assert got[:SEND_HWM] == list(range(SEND_HWM))  # the oldest, so its gap shows at the next record
        assert len(got) < 600


def test_a_subscriber_in_a_stopped_process_costs_a_bounded_queue(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with published(tmp_path) as (output, sink):
        process = subprocess.Popen([sys.executable, "-c", FROZEN, str(sink.endpoint)])
        try:
            until(lambda: sink.subscribers == 1)
            output.accept(record(0), FRAME, None)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            lively = subscribed(context, sink, b"inspection/")
            for seq in range(1, 2 * SEND_HWM):
                output.accept(record(seq), FRAME, None)
                assert read(lively.recv_multipart()[1])["seq"] == seq
            assert output.status().lost == 0
        finally:
            process.kill()
            process.wait()
        until(lambda: sink.subscribers == 1)


def test_a_flood_from_a_subscriber_does_not_hold_records_up(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with published(tmp_path) as (output, sink):
        output.state(STATE)
        good = subscribed(context, sink, b"inspection/")
        bad = context.socket(zmq.XSUB)
        _connected.append(bad)
        bad.connect(str(sink.endpoint))
        for number in range(5000):
            bad.send(b"\1state/%d" % number)
        bad.send_multipart([b"\1state/", b"\1x"])
        bad.send(b"no subscription")
        for seq in range(100):
            output.accept(record(seq), FRAME, None)
            assert read(good.recv_multipart()[1])["seq"] == seq
        assert output.status().fault is None


def test_a_subscriber_that_sends_too_much_is_cut_off(tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with published(tmp_path, TCP) as (output, sink):
        good = subscribed(context, sink, b"inspection/")
        bad = context.socket(zmq.XSUB)
        _connected.append(bad)
        bad.set(zmq.RECONNECT_IVL, -1)
        bad.connect(str(sink.endpoint))
        bad.send(b"\1inspection/")
        until(lambda: sink.subscribers == 2)
        bad.send(b"\1" + b"x" * INBOUND_MAX_BYTES)
        until(lambda: sink.subscribers == 1)
        output.accept(record(0), FRAME, None)
        assert good.recv_multipart()[1] == record(0).line


def test_a_reopened_socket_is_bound_where_it_was(tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with published(tmp_path, TCP) as (output, sink):
        before = sink.endpoint
        socket = subscribed(context, sink)
        output.state(STATE)
        assert socket.recv_multipart()[0] == b"state/1/cam1/"
        sink._door.socket.close()
        output.accept(record(0), FRAME, None)  # fails, and recovers
        while socket.recv_multipart()[0] != b"state/1/cam1/":  # the record may be in time for it, too
            pass
        assert sink.endpoint == before
        output.accept(record(1), FRAME, None)
        while socket.recv_multipart()[1] != record(1).line:
            pass
        assert output.status().fault is None


def test_a_busy_port_is_a_fault_until_it_is_free(tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with published(tmp_path, endpoint) as (output, sink):
            text = f"outputs.zmq.bind: {endpoint} cannot be bound: Address already in use (EADDRINUSE)"
            assert output.status().fault == text
            output.state(STATE)  # what can't be said now is no other fault
            output.tick(Heartbeat(0))
            output.accept(record(0), FRAME, None)
            until(lambda: output.status().lost == 1)
            assert output.status().fault == text
            taken.close()
            until(lambda: not output.status().fault)
            socket = subscribed(context, sink)
            assert read(socket.recv_multipart()[1])["kind"] == "state"


def test_whoever_can_wait_for_nothing_is_told_of_a_busy_port(tmp_path: Path) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        output = Queued(ZmqSink(ZmqConfig(bind=endpoint), IDENTITY, tmp_path), 10, "wait")
        with pytest.raises(UserError) as caught:
            output.start()
    assert str(caught.value) == (
        f"outputs.zmq.bind: {endpoint} cannot be bound: Address already in use (EADDRINUSE)\n"
        "  fix: stop the program that has it, or choose another; tcp port 0 takes any free one"
    )


@pytest.mark.parametrize(
    ("bind", "text"),
    [
        ("tcp://192.0.2.1:5556", "Cannot assign requested address (EADDRNOTAVAIL)"),
        ("tcp://no-such-host.invalid:5556", "(no such address)"),
    ],
)
def test_an_address_that_this_machine_does_not_have_yet_is_a_fault(tmp_path: Path, bind: str, text: str) -> None:
    sink = ZmqSink(ZmqConfig.model_construct(bind=bind), IDENTITY, tmp_path)
    with pytest.raises(UserError) as caught:
        sink.open()
    sink.close()
    assert caught.value.passes
    assert caught.value.what.startswith(f"outputs.zmq.bind: {bind} cannot be bound: ")
    assert caught.value.what.endswith(text)


@pytest.mark.parametrize("bind", ["tcp://*:0", "tcp://lo:0", "tcp://localhost:0"])
def test_an_address_may_be_a_name_an_interface_or_all(tmp_path: Path, bind: str) -> None:
    sink = ZmqSink(ZmqConfig.model_construct(bind=bind), IDENTITY, tmp_path)
    sink.open()
    assert str(sink.endpoint).startswith("tcp://0.0.0.0:" if "*" in bind else "tcp://127.0.0.1:")
    sink.close()


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 110)
    folder.mkdir()
    with pytest.raises(UserError) as caught, published(folder):
        pass
    assert str(caught.value) == (
        f"outputs.zmq.bind: ipc://{folder}/pub: the path is too long for a socket\n"
        f"  received: {len(str(folder)) + 4} bytes\n"
        "  expected: at most 107\n"
        "  fix: choose a shorter runtime_dir or bind"
    )


def test_a_folder_that_is_not_there_yet_is_waited_for_and_one_that_is_not_writable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with published(tmp_path / "none") as (output, _sink):
        assert output.status().fault == (f"outputs.zmq.bind: ipc://{tmp_path}/none/pub: there is no folder {tmp_path}/none")
        (tmp_path / "none").mkdir()
        until(lambda: not output.status().fault)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError) as caught, published(tmp_path):
        pass
    assert str(caught.value) == (
        f"outputs.zmq.bind: ipc://{tmp_path}/pub: the folder {tmp_path} is not writable\n"
        "  fix: choose a folder that this user may write"
    )


def test_a_file_in_the_sockets_place_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "pub").write_text("precious")
    with pytest.raises(UserError) as caught, published(tmp_path):
        pass
    assert str(caught.value) == (
        f"outputs.zmq.bind: ipc://{tmp_path}/pub: {tmp_path}/pub is there and is no socket\n  fix: choose another path"
    )
    assert (tmp_path / "pub").read_text() == "precious"


def test_a_living_publishers_path_is_not_taken_over_and_a_dead_ones_is(
    tmp_path: Path, context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    with published(tmp_path) as (output, sink):
        with pytest.raises(UserError) as caught, published(tmp_path):
            pass
        assert str(caught.value) == (
            f"outputs.zmq.bind: ipc://{tmp_path}/pub cannot be bound: another program has it\n"
            "  fix: stop the program that has it, or choose another; tcp port 0 takes any free one"
        )
        socket = subscribed(context, sink)
        output.accept(record(0), FRAME, None)
        assert socket.recv_multipart()[1] == record(0).line
    with sockets.socket(sockets.AF_UNIX) as killed:  # leaves its file behind
        killed.bind(str(tmp_path / "pub"))
    with published(tmp_path):
        pass
