"""The doors: who has no key on the list hears nothing, revoking cuts open sessions, floods are cut, paths are locked."""

from __future__ import annotations

import os
import socket as sockets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
from support.doors import FLOOD, Keys
from support.records import FRAME, IDENTITY, STATE, record

from edge.client import Received, Refused, Subscriber
from edge.config.outputs import CurveConfig, ZmqConfig
from edge.errors import UserError
from edge.frames import Heartbeat
from edge.outputs.queued import Queued
from edge.outputs.zmq import door as zmq_door
from edge.outputs.zmq.door import SUBSCRIBED_MAX_BYTES, Door
from edge.outputs.zmq.preview import PreviewSink
from edge.outputs.zmq.publisher import ZmqSink
from edge.wire.keys import DoorKeys, revoke

TCP = "tcp://127.0.0.1:0"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setattr(zmq_door, "LOOK_S", 0.05)
    return Keys(tmp_path)


@contextmanager
def published(folder: Path, bind: str | None = TCP, keys: DoorKeys | None = None) -> Iterator[tuple[Queued, ZmqSink]]:
    sink = ZmqSink(ZmqConfig(bind=bind), IDENTITY, folder, keys)
    output = Queued(sink, 100_000, "drop")
    output.start()
    output.state(STATE)
    try:
        yield output, sink
    finally:
        output.close(2.0)


@contextmanager
def beating(output: Queued) -> Iterator[None]:
    """Heartbeats, until the end."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.02):
            output.tick(Heartbeat(0))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 8
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.005)


def heard(line: Subscriber, timeout_s: float = 5.0) -> object:
    """Kind of the first message, or the reason why we are not let in; None when nothing is heard."""
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        event = line.receive(left)
        if isinstance(event, Received):
            return event.kind
        if isinstance(event, Refused):
            return event.text
    return None


@pytest.mark.parametrize("bind", [None, TCP])
def test_a_key_on_the_list_hears_and_others_are_told_why_not(tmp_path: Path, keys: Keys, bind: str | None) -> None:
    no_handshake = "no handshake: one side has keys and the other none, or the server key is another daemon's"
    unknown = "the daemon doesn't know this key; `edge keys allow` puts it on the list"
    with published(tmp_path, bind, keys.door) as (_output, sink):
        endpoint = str(sink.endpoint)
        with Subscriber(endpoint, keys=keys.of("plc")) as line:
            assert heard(line) == "state"
        for client, reason in (
            (keys.of("stranger"), unknown),
            (keys.of("plc", server="hmi"), no_handshake),
            (None, no_handshake),
        ):
            with Subscriber(endpoint, keys=client) as line:
                assert heard(line) == reason
                assert heard(line, 0.1) is None
        assert sink.subscribers == 0


def test_keys_meet_a_daemon_without_any(tmp_path: Path, keys: Keys) -> None:
    with published(tmp_path) as (_output, sink), Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line:
        assert str(heard(line)).startswith("no handshake: one side has keys")


def test_who_is_allowed_later_gets_in_without_a_restart_and_nobody_is_cut(tmp_path: Path, keys: Keys) -> None:
    with (
        published(tmp_path, keys=keys.door) as (output, sink),
        beating(output),
        Subscriber(str(sink.endpoint), keys=keys.of("stranger")) as line,
    ):
        assert str(heard(line)).startswith("the daemon doesn't know")
        assert sink._door is not None
        context = sink._door._context
        keys.allow("stranger")
        assert heard(line) in ("state", "heartbeat")
        assert sink._door._context is context


def test_revoking_cuts_the_open_session_and_the_others_come_back(tmp_path: Path, keys: Keys) -> None:
    with published(tmp_path, keys=keys.door) as (output, sink), beating(output):
        endpoint = sink.endpoint
        with Subscriber(str(endpoint), keys=keys.of("plc")) as plc, Subscriber(str(endpoint), keys=keys.of("hmi")) as hmi:
            until(lambda: sink.subscribers == 2)
            door = sink._door
            assert door is not None
            before = door._context
            revoke(keys.clients, "plc")
            until(lambda: door._context is not before and sink.subscribers == 1)
            assert sink.endpoint == endpoint
            output.accept(record(0), FRAME, None)
            while (kind := heard(hmi)) != "inspection":
                assert kind is not None
            found = []
            while (kind := heard(plc, 0.3)) is not None:
                found.append(kind)
            assert "inspection" not in found
            assert found[-1] == "the daemon doesn't know this key; `edge keys allow` puts it on the list"
            keys.allow("plc")
            assert heard(plc) in ("state", "heartbeat")
        assert output.status().fault is None


def test_a_list_that_vanished_lets_nobody_in_until_it_is_back(tmp_path: Path, keys: Keys) -> None:
    with published(tmp_path, keys=keys.door) as (output, sink), Subscriber(str(sink.endpoint), keys=keys.of("plc")) as plc:
        until(lambda: sink.subscribers == 1)
        keys.clients.rename(tmp_path / "elsewhere")
        until(lambda: sink.subscribers == 0)
        until(lambda: output.status().fault)
        assert output.status().fault == (
            f"{tmp_path}/clients: the list of allowed keys cannot be read: No such file or directory"
        )
        (tmp_path / "elsewhere").rename(keys.clients)
        until(lambda: sink.subscribers == 1)
        assert heard(plc) == "state"
        assert output.status().fault is None


def test_without_an_answer_about_its_key_nobody_gets_in(tmp_path: Path, keys: Keys) -> None:
    door = Door(TCP, 50, "outputs.zmq.bind", keys.door)
    try:
        assert door._guests is not None
        door._guests._thread.stop()
        with Subscriber(door.endpoint, keys=keys.of("plc")) as line:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                assert not [c for c in door.changes() if c[0]]
                line.receive(0.05)
        assert door.refresh()
    finally:
        door.close()


def test_previews_are_behind_the_same_keys(tmp_path: Path, keys: Keys) -> None:
    sink = PreviewSink(TCP, IDENTITY, keys.door)
    output = Queued(sink, 10, "drop")
    output.start()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = context.socket(zmq.SUB)
        client = keys.of("hmi")
        socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = client.public, client.secret, client.server
        socket.subscribe(b"")
        socket.connect(str(sink.endpoint))
        until(lambda: sink.subscribers == 1)
        revoke(keys.clients, "hmi")
        until(lambda: sink.subscribers == 0)
    finally:
        context.destroy(0)
        output.close(1.0)


def test_without_a_key_or_a_list_it_does_not_start(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "server.key_secret").chmod(0o644)
    with pytest.raises(UserError) as caught, published(tmp_path, keys=keys.door):
        pass
    assert caught.value.what == f"{tmp_path}/server.key_secret: a secret key that others may read"
    no_list = DoorKeys(tmp_path / "hmi.key_secret", tmp_path / "no")
    with pytest.raises(UserError) as caught, published(tmp_path, keys=no_list):
        pass
    assert caught.value.what == f"{tmp_path}/no: the list of allowed keys cannot be read: No such file or directory"


def test_an_address_for_others_needs_keys() -> None:
    for bind in ("tcp://0.0.0.0:5556", "tcp://*:5556", "tcp://192.0.2.1:5556"):
        with pytest.raises(ValueError, match=r"to the network without keys; .*, or keys under curve"):
            ZmqConfig(bind=bind)
        curve = CurveConfig(server_key=Path("server.key_secret"), clients=Path("clients"))
        assert ZmqConfig(bind=bind, preview=bind, curve=curve).bind == bind


def test_a_flood_of_subscriptions_takes_no_memory_and_stops_nothing(tmp_path: Path) -> None:
    with published(tmp_path, None) as (output, sink), Subscriber(str(sink.endpoint)) as line:
        until(lambda: sink.subscribers == 1)
        assert sink._door is not None
        context = sink._door._context
        process = subprocess.Popen([sys.executable, "-c", FLOOD, str(sink.endpoint)])
        try:
            until(lambda: sink._door is not None and sink._door._context is not context)
        finally:
            process.kill()
            process.wait()
        until(lambda: sink._door is not None and sink._door._bytes < 100 and sink.subscribers == 1)
        for seq in range(20):
            output.accept(record(seq), FRAME, None)
            assert heard_seq(line) == seq
        assert (output.status().lost, output.status().fault) == (0, None)


def test_a_key_that_floods_is_out_and_the_others_come_back(tmp_path: Path, keys: Keys) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with published(tmp_path, TCP, keys.door) as (output, sink):
            client = keys.of("hmi")
            bad = context.socket(zmq.XSUB)
            bad.curve_publickey, bad.curve_secretkey, bad.curve_serverkey = client.public, client.secret, client.server
            bad.connect(str(sink.endpoint))
            with Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line, beating(output):
                until(lambda: sink.subscribers == 1)
                assert sink._door is not None
                before = sink._door._context
                for number in range(SUBSCRIBED_MAX_BYTES // 100):
                    bad.send(b"\1flood/%0100d" % number)
                until(lambda: sink._door is not None and sink._door._context is not before)
                until(lambda: sink.subscribers == 1)
                with Subscriber(str(sink.endpoint), keys=keys.of("hmi")) as out:
                    assert str(heard(out)).startswith("the daemon doesn't know this key")
                assert heard(line) is not None
                keys.clients.rename(tmp_path / "elsewhere")  # the sink fails, and is opened again
                until(lambda: output.status().fault)
                (tmp_path / "elsewhere").rename(keys.clients)
                until(lambda: sink.subscribers == 1)
                with Subscriber(str(sink.endpoint), keys=keys.of("hmi")) as out:
                    assert str(heard(out)).startswith("the daemon doesn't know this key")
            assert output.status().lost == 0
    finally:
        context.destroy(0)


def heard_seq(line: Subscriber) -> int | None:
    """``seq`` of the next record."""
    end = time.monotonic() + 5
    while (left := end - time.monotonic()) > 0:
        event = line.receive(left)
        if isinstance(event, Received) and "seq" in event.message:
            return int(event.message["seq"])
    return None


def test_a_hundred_subscribers_all_hear_everything(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with published(tmp_path, None) as (output, sink):
            lines = [context.socket(zmq.SUB) for _ in range(100)]
            for socket in lines:
                socket.set(zmq.RCVTIMEO, 5000)
                socket.subscribe(b"inspection/")
                socket.connect(str(sink.endpoint))
            until(lambda: sink.subscribers == 100)
            for seq in range(20):
                output.accept(record(seq), FRAME, None)
            for socket in lines:
                assert [socket.recv_multipart()[1] for _ in range(20)] == [record(seq).line for seq in range(20)]
            assert output.status().lost == 0
    finally:
        context.destroy(0)


def test_connections_that_never_say_what_they_are_change_nothing(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zmq_door, "HANDSHAKE_MS", 300)
    with published(tmp_path, TCP, keys.door) as (output, sink):
        host, _, port = str(sink.endpoint).removeprefix("tcp://").rpartition(":")
        half_open = [sockets.create_connection((host, int(port))) for _ in range(50)]
        for number, connection in enumerate(half_open):
            connection.sendall(os.urandom(number))
        try:
            with Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line:
                until(lambda: sink.subscribers == 1)
                for seq in range(20):
                    output.accept(record(seq), FRAME, None)
                    assert heard_seq(line) == seq
            half_open[0].settimeout(5)
            while half_open[0].recv(100):  # its greeting, and then the end
                pass
        finally:
            for connection in half_open:
                connection.close()


def test_of_many_that_take_one_path_at_once_one_gets_it(tmp_path: Path) -> None:
    got: list[Door] = []
    refused: list[UserError] = []
    ready = threading.Barrier(8)

    def take() -> None:
        ready.wait()
        try:
            got.append(Door(f"ipc://{tmp_path}/pub", 50, "outputs.zmq.bind"))
        except UserError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for door in got:
        door.close()
    assert len(got) == 1
    assert {(e.exit_code, e.what) for e in refused} == {
        (6, f"outputs.zmq.bind: ipc://{tmp_path}/pub cannot be bound: another program has it")
    }
    Door(f"ipc://{tmp_path}/pub", 50, "outputs.zmq.bind").close()
