"""The doors: who has no key on the list hears nothing, revoking cuts open sessions, floods are cut, paths are locked."""

from __future__ import annotations

import os
import resource
import socket as sockets
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import structlog
import zmq
from support.doors import FLOOD, Keys
from support.records import FRAME, IDENTITY, STATE, record
from support.waits import PATIENCE_S

from edge.client import Received, Refused, Subscriber
from edge.config.outputs import CurveConfig, ZmqConfig
from edge.errors import UserError
from edge.frames import Heartbeat
from edge.outputs.queued import Queued
from edge.outputs.zmq import connections, guests
from edge.outputs.zmq import door as zmq_door
from edge.outputs.zmq.connections import CONNECTIONS_MAX, TOPICS_MAX_BYTES, connections_max
from edge.outputs.zmq.door import Door
from edge.outputs.zmq.listener import ListeningSocket
from edge.outputs.zmq.preview import PreviewSink
from edge.outputs.zmq.publisher import ZmqSink
from edge.storage.key_list import revoke
from edge.wire.keys import ClientKeys, DoorKeys

TCP = "tcp://127.0.0.1:0"


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keys:
    monkeypatch.setattr(guests, "LOOK_S", 0.05)
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
    end = time.monotonic() + PATIENCE_S
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
        context = sink._door._context
        keys.allow("stranger")
        assert heard(line) in ("state", "heartbeat")
        assert sink._door._context is context


def test_revoking_ends_the_sessions_of_that_key_and_no_other(tmp_path: Path, keys: Keys) -> None:
    with published(tmp_path, keys=keys.door) as (output, sink), beating(output):
        endpoint = sink.endpoint
        with Subscriber(str(endpoint), keys=keys.of("plc")) as plc, Subscriber(str(endpoint), keys=keys.of("hmi")) as hmi:
            until(lambda: sink.subscribers == 2)
            for seq in range(3):
                output.accept(record(seq), FRAME, None)
                assert heard_seq(hmi) == heard_seq(plc) == seq
            revoke(keys.clients, "plc")
            until(lambda: sink.subscribers == 1)
            for seq in range(3, 20):
                output.accept(record(seq), FRAME, None)
                assert heard_seq(hmi) == seq
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
    door.open()
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


def test_a_key_that_others_may_read_is_refused_and_one_that_comes_later_is_waited_for(tmp_path: Path, keys: Keys) -> None:
    (tmp_path / "server.key_secret").chmod(0o644)
    with pytest.raises(UserError) as caught, published(tmp_path, keys=keys.door):
        pass
    assert caught.value.what == f"{tmp_path}/server.key_secret: a secret key that others may read"
    (tmp_path / "server.key_secret").chmod(0o600)
    for path, text in (
        (tmp_path / "server.key_secret", "no key can be read: No such file or directory"),
        (keys.clients, "the list of allowed keys cannot be read: No such file or directory"),
    ):
        path.rename(tmp_path / "elsewhere")
        with published(tmp_path, keys=keys.door) as (output, sink):
            assert output.status().fault == f"{path}: {text}"
            (tmp_path / "elsewhere").rename(path)
            until(lambda output=output: not output.status().fault)
            with Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line:
                assert heard(line) == "state"


def test_an_address_for_others_needs_keys() -> None:
    for bind in ("tcp://0.0.0.0:5556", "tcp://*:5556", "tcp://192.0.2.1:5556"):
        with pytest.raises(ValueError, match=r"to the network without keys; .*, or keys under curve"):
            ZmqConfig(bind=bind)
        curve = CurveConfig(server_key=Path("server.key_secret"), clients=Path("clients"))
        assert ZmqConfig(bind=bind, preview=bind, curve=curve).bind == bind


@pytest.mark.parametrize("bind", [None, TCP])
def test_a_flood_of_subscriptions_costs_the_flooder_alone(tmp_path: Path, bind: str | None) -> None:
    with published(tmp_path, bind) as (output, sink), Subscriber(str(sink.endpoint)) as line:
        until(lambda: sink.subscribers == 1)
        context = sink._door._context
        floods = [subprocess.Popen([sys.executable, "-c", FLOOD, str(sink.endpoint)]) for _ in range(2)]
        try:
            with structlog.testing.capture_logs() as told:
                until(lambda: any(entry["event"] == "subscription_flood" for entry in told))
                for seq in range(50):
                    output.accept(record(seq), FRAME, None)
                    assert heard_seq(line) == seq
        finally:
            for process in floods:
                process.kill()
                process.wait()
        assert sink._door._context is context
        until(lambda: sink.subscribers == 1)
        assert (output.status().lost, output.status().fault) == (0, None)


def test_what_is_subscribed_and_cancelled_again_and_again_is_no_flood(tmp_path: Path, keys: Keys) -> None:
    """Sums that only grow punish whoever lives long: a gateway of a few topics, and dashboards that come and go."""
    with published(tmp_path, TCP, keys.door) as (_output, sink), zmq.Context() as context:
        client = keys.of("hmi")
        for again in range(3):
            with context.socket(zmq.XSUB) as socket:
                socket.curve_publickey, socket.curve_secretkey = client.public, client.secret
                socket.curve_serverkey = client.server
                socket.connect(str(sink.endpoint))
                for number in range(400):
                    socket.send(b"\1topic/%d/%d" % (again, number))
                    socket.send(b"\0topic/%d/%d" % (again, number))
                socket.send(b"\1inspection/")
                until(lambda: sink.subscribers == 1)
            until(lambda: sink.subscribers == 0)


def flood(socket: zmq.Socket[bytes], keys: ClientKeys, endpoint: str) -> None:
    socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = keys.public, keys.secret, keys.server
    socket.connect(endpoint)
    for number in range(TOPICS_MAX_BYTES // 100):
        socket.send(b"\1flood/%0100d" % number)


def test_a_key_that_floods_is_out_for_a_while_and_nobody_else_is(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guests, "BAN_S", 1.5)
    out = "the daemon doesn't know this key"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with published(tmp_path, TCP, keys.door) as (output, sink):
            with Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line, beating(output):
                until(lambda: sink.subscribers == 1)
                flooding = context.socket(zmq.XSUB)
                flood(flooding, keys.of("hmi"), str(sink.endpoint))
                until(lambda: sink._door._bans._until)
                with Subscriber(str(sink.endpoint), keys=keys.of("hmi")) as flooder:
                    assert str(heard(flooder)).startswith(out)
                    for seq in range(20):
                        output.accept(record(seq), FRAME, None)
                        assert heard_seq(line) == seq
                    assert heard(flooder) in ("state", "heartbeat", "inspection")  # its time is over
            assert (output.status().lost, output.status().fault) == (0, None)
    finally:
        context.destroy(0)


def test_a_ban_outlives_a_door_that_is_opened_again(tmp_path: Path, keys: Keys) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        with published(tmp_path, TCP, keys.door) as (output, sink):
            flooding = context.socket(zmq.XSUB)
            flood(flooding, keys.of("hmi"), str(sink.endpoint))
            until(lambda: sink._door._bans._until)
            keys.clients.rename(tmp_path / "elsewhere")  # the sink fails, and is opened again
            until(lambda: output.status().fault)
            (tmp_path / "elsewhere").rename(keys.clients)
            until(lambda: not output.status().fault)
            with Subscriber(str(sink.endpoint), keys=keys.of("hmi")) as out:
                assert str(heard(out)).startswith("the daemon doesn't know this key")
    finally:
        context.destroy(0)


def test_a_port_is_never_free_while_the_daemon_lives(tmp_path: Path, keys: Keys) -> None:
    """Whoever binds in a loop got it within two floods, and published passes in the daemon's name."""
    with published(tmp_path, TCP, keys.door) as (output, sink):
        port = int(str(sink.endpoint).rpartition(":")[2])
        over, taken = threading.Event(), []

        def grab() -> None:
            while not over.is_set():
                with sockets.socket() as thief:
                    thief.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
                    try:
                        thief.bind(("127.0.0.1", port))
                        thief.listen()
                        taken.append(port)
                    except OSError:
                        pass

        thread = threading.Thread(target=grab)
        thread.start()
        try:
            for _ in range(3):
                keys.clients.rename(tmp_path / "elsewhere")  # everything that ends all sessions: a list that is gone,
                until(lambda: output.status().fault)
                (tmp_path / "elsewhere").rename(keys.clients)
                until(lambda: not output.status().fault)
                assert sink._door._guests is not None
                context = sink._door._context
                sink._door._guests._thread.stop()  # and a thread that died
                until(lambda before=context: sink._door._context not in (before, None))
        finally:
            over.set()
            thread.join()
        assert taken == []
        with Subscriber(str(sink.endpoint), keys=keys.of("plc")) as line:
            assert heard(line) == "state"


def test_of_too_many_connections_those_that_say_nothing_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 20)
    with published(tmp_path) as (output, sink), Subscriber(str(sink.endpoint)) as line:
        until(lambda: sink.subscribers == 1)
        port = int(str(sink.endpoint).rpartition(":")[2])
        before = len(os.listdir("/proc/self/fd"))
        idle = [sockets.create_connection(("127.0.0.1", port)) for _ in range(90)]
        try:
            until(lambda: len(os.listdir("/proc/self/fd")) <= before + 90 + 20)
            with Subscriber(str(sink.endpoint)) as late:
                until(lambda: sink.subscribers == 2)
                for seq in range(5):
                    output.accept(record(seq), FRAME, None)
                    assert heard_seq(line) == heard_seq(late) == seq
        finally:
            for connection in idle:
                connection.close()


def test_a_protocol_that_cannot_tell_one_connection_from_another_is_refused(tmp_path: Path) -> None:
    with published(tmp_path) as (_output, sink):
        port = int(str(sink.endpoint).rpartition(":")[2])
        with sockets.create_connection(("127.0.0.1", port), 5) as old:
            old.sendall(b"\xff\0\0\0\0\0\0\0\1\x7f\1\2\0\0")  # ZMTP 2.0, SUB
            with pytest.raises((ConnectionResetError, BrokenPipeError)):  # noqa: PT012
                while old.recv(100):
                    pass
                raise BrokenPipeError


def test_an_ipc_socket_is_for_its_group_whatever_the_umask(tmp_path: Path) -> None:
    """To connect takes the right to write: under the unit's umask a gateway with a user of its own heard nothing."""
    before = os.umask(0o027)
    try:
        with published(tmp_path, None):
            assert stat.S_IMODE((tmp_path / "pub").stat().st_mode) == 0o660
    finally:
        os.umask(before)
    assert not (tmp_path / "pub").exists()


def heard_seq(line: Subscriber) -> int | None:
    """``seq`` of the next record."""
    end = time.monotonic() + PATIENCE_S
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
                socket.set(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
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
            door = Door(f"ipc://{tmp_path}/pub", 50, "outputs.zmq.bind")
            door.open()
            got.append(door)
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
    door = Door(f"ipc://{tmp_path}/pub", 50, "outputs.zmq.bind")
    door.open()
    door.close()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_stands_in_the_locks_place_is_a_fault_until_it_is_gone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "pub.lock")
    with pytest.raises(UserError) as refused:
        ListeningSocket(f"ipc://{tmp_path}/pub", "zmq.bind")
    assert str(refused.value).splitlines()[-1].strip() == "fix: move it away: it is no file of ours"
    assert f"{tmp_path}/pub.lock: " in str(refused.value)
    assert refused.value.passes


def test_what_a_process_may_open_is_never_all_for_subscribers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 64 descriptors a hundred subscribers took all, and no reload was possible."""
    for soft, most in ((64, 8), (256, 64), (1024, CONNECTIONS_MAX), (resource.RLIM_INFINITY, CONNECTIONS_MAX)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, soft=soft: (soft, soft))
        assert connections_max() == most


def test_a_connection_is_ended_though_every_descriptor_is_taken() -> None:
    """A hundred that came at once took all, and there was none left to end one of them with."""
    known = connections.Connections()
    ours, theirs = sockets.socketpair()
    before, taken = resource.getrlimit(resource.RLIMIT_NOFILE), []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, before[1]))
        with suppress(OSError):
            while True:
                taken.append(os.dup(ours.fileno()))
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(ours.fileno())
        known.cut(connections.Connection(ours.fileno(), os.fstat(ours.fileno()).st_ino))
        assert theirs.recv(1) == b""
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in taken:
            os.close(fd)
        ours.close()
        theirs.close()
        known.close()
