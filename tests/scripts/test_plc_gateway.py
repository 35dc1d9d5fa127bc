"""The gateway's registers, and a PLC that polls them: it may never see a stale, lost, late or foreign pass."""

from __future__ import annotations

import asyncio
import random
import socket as sockets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import zmq
from pymodbus.client import ModbusTcpClient
from support.records import IDENTITY, META, REGION, STATE, inspection, skip

from edge.client import Decision, Latest, Subscriber
from edge.frames import Fault, Heartbeat, Verdict
from edge.wire.encode import Wire, topic
from edge.wire.read import read

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import plc_gateway
from plc_gateway import COUNT, FAIL, NOT_VALID, PASS, WHY, Gateway

WIRE = Wire(IDENTITY)
BEAT = read(
    WIRE.heartbeat(Heartbeat(5, {"skipped_incomplete": 2, "skipped_frame_id_gap": 65536, "skipped_ring_full": 3}), 7)
)
MAX_AGE_S = 0.25
STALE_S = 0.5


class Known:
    """A subscriber that knows one thing."""

    stale_s = 2.0

    def __init__(self, decision: Decision, **changes: Any) -> None:
        state = read(WIRE.state(STATE, 1))
        self.now = replace(Latest(decision, 0.12, BEAT, 0.3, state), **changes)
        self.allowed = False

    def latest(self, _max_age_s: float, *, allow_simulated: bool, **_made_by: object) -> Latest:
        self.allowed = allow_simulated
        return self.now


def decision(why: Any = "pass", **changes: Any) -> Decision:
    body = inspection(map_max=0.5, meta=replace(META, part_id=0x12345678, frame_id=0x00010002), **changes)
    return Decision(why == "pass", why, why, read(WIRE.inspection(0x30007, body, 1).line))


def registers(decision: Decision, *, scale: float = 10_000.0, **changes: Any) -> list[int]:
    known: Any = Known(decision, **changes)
    return Gateway(known, 0.5, allow_simulated=False, score_scale=scale).registers()


def test_a_pass_as_registers() -> None:
    assert registers(decision()) == [
        1, 7, 0b11100001, 1, 0x1234, 0x5678, 1, 2, PASS, 0, 5000, 6000, 0, 0, 0, 0, 0, 120, 2, 1, 2, 0, 3, 7,
        0x302E, 0xD3E8, 0xAAAA, 0xAAAA, 7,
    ]  # fmt: skip


def test_a_fail_shows_its_largest_region() -> None:
    small = replace(REGION, bbox_xyxy=(0, 0, 3, 3), area_px=9.0)
    found = registers(decision("fail", verdict="fail", regions=(small, REGION)), scale=1e6)
    assert found[8:17] == [FAIL, 1, 65535, 65535, 2, 10, 20, 40, 40]


def test_whatever_is_no_pass_is_not_valid_and_says_why() -> None:
    for why, code in WHY.items():
        found = registers(decision(why))
        assert found[8:10] == [{"pass": PASS, "fail": FAIL}.get(why, NOT_VALID), code]


def test_nothing_known_is_all_zero_but_the_version_the_fault_and_the_reason() -> None:
    nothing = Decision(False, "no_record", "no record yet")
    found = registers(nothing, record_age_s=float("inf"), heartbeat=None, heartbeat_age_s=float("inf"), state=None)
    assert found == [1, 0, plc_gateway.FAULT, *[0] * 6, WHY["no_record"], *[0] * 19]


def test_a_record_says_which_recipe_and_which_config_made_it() -> None:
    record = read(WIRE.inspection(1, inspection(), 1).line)
    other = record | {"recipe_id": None, "config_sha256": "0123abcd" + "0" * 56}
    assert registers(Decision(True, "pass", "pass", other))[24:] == [0, 0, 0x0123, 0xABCD, 1]
    known: Any = Known(decision("recipe"))
    found = Gateway(known, 0.5, allow_simulated=False, score_scale=1.0, recipe_id="plate-7").registers()
    assert (found[8], found[9]) == (NOT_VALID, 11)


def test_lost_frames_have_no_part() -> None:
    lost = Decision(False, "invalid", "", read(WIRE.skip(9, skip(), 1).line))
    found = registers(lost)
    assert (found[1], found[4:9], found[23]) == (9, [0, 0, 0, 0, NOT_VALID], 9)


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat_age_s": 2.1},
        {"heartbeat": BEAT | {"progress_age_ms": 2001.0}},
        {"heartbeat": None, "heartbeat_age_s": float("inf")},
    ],
)
def test_while_the_inspection_stands_still_there_is_no_pass_no_heartbeat_and_a_fault(changes: dict[str, Any]) -> None:
    found = registers(decision(), **changes)
    assert (found[2] & (plc_gateway.READY | plc_gateway.FAULT), found[3], found[8]) == (plc_gateway.FAULT, 0, NOT_VALID)


def test_the_heartbeat_counts_each_beat_once_and_wraps() -> None:
    known: Any = Known(decision())
    gateway = Gateway(known, 0.5, allow_simulated=True, score_scale=1.0)
    gateway._beats = 65534
    assert [gateway.registers()[3] for _ in range(2)] == [65535, 65535]
    assert known.allowed
    known.now = replace(known.now, heartbeat=BEAT | {"created_ns": 8})
    assert gateway.registers()[3] == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"regions": [{"bad": 1}]},
        {"regions": [{"area_px": 4.0, "bbox_xyxy": [1, 2, 3]}]},
        {"regions": [{"area_px": 4.0, "bbox_xyxy": [None, 0, 1, 1]}]},
        {"regions": 7},
        {"latency_ms": None},
        {"latency_ms": {}},
        {"threshold": None},
        {"map_max": "high"},
        {"frame_id": "[/]"},
        {"frame_id": None},
        {"part_id": "42"},
        {"part_id": []},
        {"part_id": True},
    ],
)
def test_a_record_that_does_not_say_what_it_should_is_not_valid_and_told_once(
    wrong: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    known: Any = Known(decision())
    gateway = Gateway(known, 0.5, allow_simulated=False, score_scale=1.0)
    whole = known.now
    assert gateway.registers()[8] == PASS
    known.now = replace(whole, decision=replace(whole.decision, record=whole.decision.record | wrong))
    for _ in range(3):
        found = gateway.registers()
        assert (found[1], found[8:10], found[23]) == (0, [NOT_VALID, WHY["schema"]], 0)
        assert found[2] == plc_gateway.FAULT
        assert (found[0], found[3]) == (plc_gateway.MAP_VERSION, 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("what the daemon says can't be shown: ")
    known.now = whole
    assert gateway.registers()[8] == PASS
    assert capsys.readouterr().err == "what the daemon says can be shown again\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"heartbeat": BEAT | {"counters": None}},
        {"heartbeat": BEAT | {"counters": {"skipped_incomplete": "many"}}},
        {"heartbeat": BEAT | {"progress_age_ms": None}},
        {"heartbeat": BEAT | {"ring_fill": None}},
        {"state": {}},
    ],
)
def test_a_heartbeat_or_state_that_does_not_say_what_it_should_shows_no_pass(
    changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = registers(decision(), **changes)
    assert (found[2], found[8:10]) == (plc_gateway.FAULT, [NOT_VALID, WHY["schema"]])
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_status_bits() -> None:
    faulty = read(WIRE.state(replace(STATE, faults=(Fault("x", 1, "y"),), drift={"cause": "light"}), 1))
    busy = BEAT | {"ring_fill": 1, "simulated": True}
    found = registers(decision(), state=faulty, heartbeat=busy, record_age_s=0.6)
    assert found[2] == 0b01111111
    assert registers(decision(), state=read(WIRE.state(replace(STATE, line_state="Error"), 1)))[2] & plc_gateway.READY == 0


@contextmanager
def serving(endpoint: str, **options: Any) -> Iterator[int]:
    """A gateway in a thread; its port."""
    with sockets.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    ready = threading.Event()
    ended: list[Any] = []

    def run(line: Subscriber) -> None:
        async def main() -> None:
            ended.extend((asyncio.get_running_loop(), asyncio.current_task()))
            ready.set()
            gateway = Gateway(line, MAX_AGE_S, **({"allow_simulated": False, "score_scale": 1.0} | options))
            await plc_gateway.serve(gateway, "127.0.0.1", port)

        asyncio.run(main())

    with Subscriber(endpoint, "cam1", stale_s=STALE_S) as line:
        thread = threading.Thread(target=run, args=(line,))
        thread.start()
        ready.wait()
        try:
            yield port
        finally:
            ended[0].call_soon_threadsafe(ended[1].cancel)
            thread.join()


@contextmanager
def connected(port: int) -> Iterator[ModbusTcpClient]:
    client = ModbusTcpClient("127.0.0.1", port=port, timeout=2)
    end = time.monotonic() + 5
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
        self.told: dict[str, int] = {}
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
            self.told[what] = self.told.get(what, 0) + 1
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
    assert {"lose", "delay", "kill"} & set(trouble.told)


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
            end = time.monotonic() + 20
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


def test_its_command_line_shouts_and_tells_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plc_gateway.main(["nonsense", "--camera", "cam1", "--allow-simulated"]) == 2
    bang = "!" * 78
    assert capsys.readouterr().err == (
        f"{bang}\nBENCH ONLY: verdicts of simulated and recorded frames are shown as real ones.\n{bang}\n"
        "'nonsense' is no endpoint to connect to\n"
        "  expected: tcp://HOST:PORT or ipc://PATH\n"
        "  fix: take the one that stands in endpoints.json in the daemon's runtime folder\n"
    )
    with sockets.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [f"ipc://{tmp_path}/pub", "--camera", "cam1", "--port", str(port)]
        assert plc_gateway.main(arguments) == 2
