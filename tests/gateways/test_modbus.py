"""A PLC that polls: it may never see a stale, lost, late or foreign pass, and is answered whatever others do."""

from __future__ import annotations

import asyncio
import gc
import random
import socket as sockets
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import zmq
from pymodbus.client import ModbusTcpClient
from support.records import IDENTITY, META, inspection
from support.waits import PATIENCE_S

from edge.errors import ExitCode, UserError
from edge.frames import Heartbeat, Verdict
from edge.gateways.line_watch import LineWatch
from edge.gateways.modbus import ModbusServer, serve
from edge.gateways.registers import COUNT, NOT_VALID, PASS, WHY, Registers
from edge.wire.encode import Wire, topic

WIRE = Wire(IDENTITY)
MAX_AGE_S = 0.25
STALE_S = 0.5


@contextmanager
def answering(registers: Callable[[], list[int]], look: Callable[[], None] = lambda: None, **limits: Any) -> Iterator[Any]:
    """A server in a thread of its own; it and its port."""
    opened: list[Any] = []
    ready = threading.Event()
    server = ModbusServer(registers, **limits)

    def begin(port: int) -> None:
        opened.append(port)
        ready.set()

    async def main() -> None:
        stop = asyncio.Event()
        opened.extend((asyncio.get_running_loop(), stop))
        await serve(server, "127.0.0.1", 0, ready=begin, each_second=look, stop=stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(PATIENCE_S)
    try:
        yield server, opened[2]
    finally:
        opened[0].call_soon_threadsafe(opened[1].set)
        thread.join()


@contextmanager
def serving(endpoint: str) -> Iterator[int]:
    """A gateway that listens to ``endpoint``; its port."""
    with LineWatch(lambda: endpoint, "cam1", stale_s=STALE_S) as watch:
        registers = Registers(watch, MAX_AGE_S, allow_simulated=False, score_scale=1.0)
        with answering(registers.read, watch.look) as (_, port):
            yield port


@contextmanager
def connected(port: int) -> Iterator[ModbusTcpClient]:
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=2)
    end = time.monotonic() + PATIENCE_S
    while not client.connect():
        assert time.monotonic() < end
        time.sleep(0.02)
    try:
        yield client
    finally:
        client.close()


@dataclass
class Part:
    """What is true of one record that a publisher made."""

    verdict: Verdict
    created: float
    simulated: bool
    after_gap: bool
    run: int
    run_began: float


class Trouble:
    """A publisher that judges a part every 15 ms and loses, delays, repeats, restarts, falls silent and lies at random."""

    def __init__(self, endpoint: str, seed: int) -> None:
        self._random = random.Random(seed)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._endpoint = endpoint
        self._socket = self._bound()
        self._run = 0
        self._part = 0
        self.parts: dict[int, Part] = {}
        """By part id, which no two records share."""
        self.counts: dict[str, int] = {}
        self._restart()

    def _bound(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.PUB)
        socket.set(zmq.LINGER, 0)
        socket.bind(self._endpoint)
        return socket

    def _restart(self, *, simulated: bool = False) -> None:
        self._run += 1
        self._wire = Wire(replace(IDENTITY, instance_id=f"run{self._run}", simulated=simulated))
        self._seq, self._began, self._gap, self._next_beat = 0, time.monotonic(), False, 0.0

    def work(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        events = ["none"] * 60 + ["lose", "silence", "delay", "kill", "restart", "simulated", "repeat", "garbage"]
        while time.monotonic() < end:
            what = self._random.choice(events)
            self.counts[what] = self.counts.get(what, 0) + 1
            getattr(self, f"_{what}")()
            self._beat()
            self._send(*self._judge())
            time.sleep(0.015)
        self._context.destroy(0)

    def _judge(self) -> tuple[str, bytes]:
        self._part += 1
        verdict: Verdict = self._random.choice(["pass", "pass", "pass", "fail", "invalid"])
        now = time.monotonic()
        self.parts[self._part] = Part(verdict, now, self._wire.identity.simulated, self._gap, self._run, self._began)
        self._gap = False
        body = inspection(verdict=verdict, meta=replace(META, part_id=self._part))
        line = self._wire.inspection(self._seq, body, time.time_ns()).line
        self._seq += 1
        return "inspection", line

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + 0.1
            self._send("heartbeat", self._wire.heartbeat(Heartbeat(self._seq), time.time_ns()))

    def _send(self, kind: Any, line: bytes) -> None:
        self._socket.send_multipart([topic(kind, "cam1"), line])

    def _none(self) -> None:
        pass

    def _lose(self) -> None:
        for _ in range(self._random.randint(1, 3)):
            self._judge()
        self._gap = True

    def _silence(self) -> None:
        time.sleep(self._random.uniform(0.1, 0.8))

    def _delay(self) -> None:
        """Records and heartbeats that are held up on the way and come all at once."""
        held = [self._judge() for _ in range(3)]
        held.append(("heartbeat", self._wire.heartbeat(Heartbeat(self._seq), time.time_ns())))
        held.append(self._judge())
        time.sleep(self._random.uniform(0.4, 0.7))
        for kind, line in held:
            self._send(kind, line)

    def _kill(self) -> None:
        """The process dies, and is started anew a little later."""
        self._socket.close()
        time.sleep(self._random.uniform(0.0, 0.3))
        self._socket = self._bound()
        self._restart()

    def _simulated(self) -> None:
        self._restart(simulated=True)
        for _ in range(5):
            self._beat()
            self._send(*self._judge())
            time.sleep(0.015)
        self._restart()

    def _repeat(self) -> None:
        message = self._judge()
        for _ in range(2):
            self._send(*message)

    def _garbage(self) -> None:
        self._send("inspection", b"{")
        self._send("inspection", b'{"schema":2}')


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plc_never_sees_a_pass_that_is_stale_lost_late_or_of_another_run(tmp_path: Path, seed: int) -> None:
    endpoint = f"ipc://{tmp_path}/pub"
    trouble = Trouble(endpoint, seed)
    publisher = threading.Thread(target=trouble.work, args=(4.0,))
    seen: list[tuple[float, float, list[int]]] = []
    with serving(endpoint) as port, connected(port) as plc:
        publisher.start()
        while publisher.is_alive():
            asked = time.monotonic()
            answer = plc.read_holding_registers(0, count=COUNT)
            assert not answer.isError()
            seen.append((asked, time.monotonic(), answer.registers))
            time.sleep(0.005)
        time.sleep(MAX_AGE_S)
        assert plc.read_input_registers(0, count=COUNT).registers[8] == NOT_VALID
    passed = set()
    for asked, answered, found in seen:
        assert found[1] == found[23]
        if found[8] != PASS:
            continue
        number = found[4] << 16 | found[5]
        part = trouble.parts[number]
        assert (part.verdict, part.simulated, part.after_gap) == ("pass", False, False), number
        # the registers are worked out after the question; 20 ms: a message on its way while the fastest took less
        assert asked - part.created <= MAX_AGE_S + 0.02, number
        assert part.run == 1 or answered - part.run_began > MAX_AGE_S, number
        passed.add(number)
    assert len(passed) > 10
    assert {"lose", "delay", "kill"} & set(trouble.counts)


def test_a_plc_is_answered_whatever_a_record_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No Modbus exception, no traceback: a verdict that is not valid, and the reason."""
    endpoint = f"ipc://{tmp_path}/pub"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    body = inspection(meta=replace(META, part_id=1))
    rubbish = orjson.loads(WIRE.inspection(0, body, 1).line) | {"regions": [{"bad": 1}], "latency_ms": None}
    try:
        publisher = context.socket(zmq.PUB)
        publisher.bind(endpoint)
        with serving(endpoint) as port, connected(port) as plc:
            end = time.monotonic() + PATIENCE_S
            found: list[int] = []
            while not found or found[9] != WHY["schema"]:
                assert time.monotonic() < end
                for kind, line in (
                    ("heartbeat", WIRE.heartbeat(Heartbeat(0), time.time_ns())),
                    ("inspection", orjson.dumps(rubbish | {"created_ns": time.time_ns()})),
                ):
                    publisher.send_multipart([topic(kind, "cam1"), line])
                rubbish["seq"] += 1
                answer = plc.read_holding_registers(0, count=COUNT)
                assert not answer.isError()
                found = answer.registers
                assert found[8] == NOT_VALID
    finally:
        context.destroy(0)
    assert "Traceback" not in capsys.readouterr().err


def test_a_plc_may_read_and_not_write(tmp_path: Path) -> None:
    with serving(f"ipc://{tmp_path}/pub") as port, connected(port) as plc:
        assert plc.read_input_registers(0, count=COUNT).registers == plc.read_holding_registers(0, count=COUNT).registers
        assert plc.read_holding_registers(8, count=2).registers == [NOT_VALID, WHY["no_record"]]
        assert plc.write_register(8, 1).isError()
        assert plc.write_registers(8, [1, 0]).isError()
        assert plc.read_coils(0, count=1).isError()
        assert plc.read_holding_registers(0, count=COUNT + 1).isError()
        assert plc.read_holding_registers(8, count=1).registers == [NOT_VALID]


def read_request(transaction: int, first: int = 0, count: int = COUNT, function: int = 3) -> bytes:
    return struct.pack(">HHHBBHH", transaction, 0, 6, 1, function, first, count)


def numbers() -> list[int]:
    return list(range(COUNT))


def whole(connection: sockets.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        assert more, f"closed after {data!r}"
        data += more
    return data


@contextmanager
def raw(port: int) -> Iterator[sockets.socket]:
    with sockets.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        yield connection


def test_every_request_of_one_segment_is_answered_in_order() -> None:
    """HMIs and OPC servers send several, and retransmissions put them together."""
    with answering(numbers) as (_, port), raw(port) as plc:
        plc.sendall(b"".join(read_request(n, n, 2, 3 + n % 2) for n in range(20)))
        for n in range(20):
            assert whole(plc, 13) == struct.pack(">HHHBBBHH", n, 0, 7, 1, 3 + n % 2, 4, n, n + 1)


def test_a_request_may_come_byte_by_byte_and_two_may_overlap() -> None:
    with answering(numbers) as (_, port), raw(port) as plc:
        stream = read_request(1, 0, 1) + read_request(2, 1, 1)
        for byte in stream[:-1]:
            plc.sendall(bytes([byte]))
        assert whole(plc, 11)[-2:] == b"\0\0"
        plc.sendall(stream[-1:])
        assert whole(plc, 11)[-2:] == b"\0\1"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "no Modbus at all"),
        (struct.pack(">HHHBBHH", 1, 7, 6, 1, 3, 0, 1), "another protocol"),
        (struct.pack(">HHHB", 1, 0, 0, 1), "no length"),
        (struct.pack(">HHHB", 1, 0, 300, 1), "a length beyond Modbus"),
    ],
)
def test_what_is_no_modbus_is_closed_and_others_are_answered(data: bytes, why: str) -> None:
    with answering(numbers) as (_, port), raw(port) as plc:
        with raw(port) as stranger:
            stranger.sendall(data)
            assert stranger.recv(100) == b"", why
        plc.sendall(read_request(5, 28, 1))
        assert whole(plc, 11)[-2:] == b"\0\x1c"


def closed(connection: sockets.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_connection_that_says_nothing_or_half_a_request_is_closed() -> None:
    with answering(numbers, idle_s=0.2, half_s=0.1) as (server, port):
        with raw(port) as silent, raw(port) as half:
            half.sendall(read_request(1)[:9])
            assert closed(half)
            assert closed(silent)
        wait_until(lambda: server.sessions == 0)


def test_a_thousand_half_said_connections_keep_no_plc_out() -> None:
    """Of too many, those go first that never asked a whole question."""
    with answering(numbers, sessions=8) as (server, port), raw(port) as plc:
        plc.sendall(read_request(1, 0, 1))
        whole(plc, 11)
        strangers = [sockets.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) for _ in range(40)]
        try:
            for stranger in strangers:
                stranger.sendall(b"\0")
            wait_until(lambda: server.sessions == 8)
            plc.sendall(read_request(2, 3, 1))
            assert whole(plc, 11)[-2:] == b"\0\3"
            with raw(port) as another:
                another.sendall(read_request(3, 4, 1))
                assert whole(another, 11)[-2:] == b"\0\4"
        finally:
            for stranger in strangers:
                stranger.close()


def test_of_plcs_too_many_the_one_that_was_silent_longest_goes() -> None:
    with answering(numbers, sessions=2) as (_, port), raw(port) as old, raw(port) as new:
        for plc in (old, new):
            plc.sendall(read_request(1, 0, 1))
            whole(plc, 11)
        with raw(port) as third:
            assert closed(old)
            for plc in (new, third):
                plc.sendall(read_request(2, 0, 1))
                whole(plc, 11)


def test_a_client_that_takes_no_answers_holds_little_memory_and_is_closed() -> None:
    with answering(numbers, half_s=0.2) as (server, port):
        with sockets.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as greedy:
            greedy.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
            with pytest.raises(OSError):  # noqa: PT012  (it takes a few)
                while True:
                    greedy.sendall(read_request(1) * 1000)
        wait_until(lambda: server.sessions == 0)


def test_nothing_of_a_connection_is_kept_when_it_is_gone() -> None:
    """Memory over hours: a PLC that connects anew for each question."""
    with answering(numbers) as (server, port):

        def ask(times: int) -> None:
            for n in range(times):
                with raw(port) as plc:
                    plc.sendall(read_request(n & 0xFFFF) * 3)
                    whole(plc, 3 * 67)
            wait_until(lambda: server.sessions == 0)
            gc.collect()

        ask(50)
        tracemalloc.start()
        try:
            ask(20)
            before = tracemalloc.get_traced_memory()[0]
            ask(500)
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
    assert grown < 50_000, f"{grown} bytes after 500 connections"


def wait_until(reached: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.01)


def refused(host: str, port: int) -> UserError:
    async def listen() -> None:
        server = ModbusServer(numbers)
        try:
            await server.listen(host, port)
        finally:
            await server.close()

    with pytest.raises(UserError) as caught:
        asyncio.run(listen())
    return caught.value


def test_a_port_that_another_program_has_is_told_before_anything_is_announced() -> None:
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        error = refused("127.0.0.1", port)
    assert str(error) == (
        f"--port: another program has port {port}\n  received: 127.0.0.1:{port}\n"
        f"  fix: another port; ss -ltnp 'sport = :{port}' shows who has it"
    )
    assert (error.exit_code, error.passes) == (ExitCode.LOCKED, True)


@pytest.mark.parametrize("host", ["203.0.113.7", "no.such.host.invalid"])
def test_an_address_that_is_not_this_machine_s_is_told(host: str) -> None:
    error = refused(host, 1502)
    assert str(error) == (
        f"--bind: no address of this machine\n  received: {host}\n"
        "  expected: an address that `ip addr` shows, or 0.0.0.0 for all"
    )
    assert error.exit_code == ExitCode.LOCKED
