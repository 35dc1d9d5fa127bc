"""A gateway begins before its daemon, and follows it to another endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import zmq
from support.records import IDENTITY, META, inspection
from support.waits import PATIENCE_S

from edge.client import Latest
from edge.errors import UserError
from edge.frames import Heartbeat
from edge.gateways.line_watch import LineWatch
from edge.wire.encode import Wire, topic


class Daemon:
    """A publisher with one passed part."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, part_id: int) -> None:
        self._socket = context.socket(zmq.PUB)
        self._socket.bind(endpoint)
        self._wire = Wire(replace(IDENTITY, instance_id=f"run{part_id}", simulated=False))
        self._body = inspection(verdict="pass", meta=replace(META, part_id=part_id))

    def publish(self) -> None:
        now_ns = time.time_ns()
        self._socket.send_multipart([topic("heartbeat", "cam1"), self._wire.heartbeat(Heartbeat(0), now_ns)])
        self._socket.send_multipart([topic("inspection", "cam1"), self._wire.inspection(0, self._body, now_ns).line])


def heard(watch: LineWatch, daemon: Daemon, reached: Callable[[Latest], bool]) -> Latest:
    end = time.monotonic() + PATIENCE_S
    while True:
        daemon.publish()
        latest = watch.latest(5.0)
        if reached(latest):
            return latest
        assert time.monotonic() < end, latest
        time.sleep(0.02)


def part_of(latest: Latest) -> object:
    return latest.decision.record and latest.decision.record["part_id"]


def test_until_a_daemon_is_there_nothing_is_a_pass_and_the_reason_is_told_once(tmp_path: Path) -> None:
    found: list[str] = []
    told: list[str] = []
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()

    def find() -> str:
        if not found:
            raise UserError("endpoints.json: cannot be read: No such file or directory")
        return found[-1]

    try:
        with LineWatch(find, "cam1", tell=told.append) as watch:
            for _ in range(3):
                watch.look()
            latest = watch.latest(5.0)
            assert (latest.decision.accept, latest.decision.why, latest.heartbeat) == (False, "no_record", None)
            assert told == ["waiting for the daemon: endpoints.json: cannot be read: No such file or directory"]
            daemons = []
            for number in (1, 2):
                found.append(f"ipc://{tmp_path}/{number}")
                daemons.append(daemon := Daemon(context, found[-1], number))
                watch.look()
                assert told[-1] == f"listening to {found[-1]}"
                latest = heard(watch, daemon, lambda latest, number=number: part_of(latest) == number)  # type: ignore[misc]
                assert latest.decision.text
            found.clear()
            watch.look()  # it may be starting anew: what it says last goes stale by itself
            assert part_of(watch.latest(5.0)) == 2
    finally:
        context.destroy(0)


def test_a_path_on_which_nobody_publishes_and_a_wrong_endpoint_are_told(tmp_path: Path) -> None:
    told: list[str] = []
    with LineWatch(lambda: f"ipc://{tmp_path}/none", "cam1", stale_s=0.1, tell=told.append) as watch:
        end = time.monotonic() + PATIENCE_S
        while len(told) < 2:
            assert time.monotonic() < end
            watch.look()
            time.sleep(0.02)
    assert told[1] == f"waiting for the daemon: {tmp_path}/none: No such file or directory: no daemon publishes there"
    told.clear()
    with LineWatch(lambda: "nonsense", "cam1", tell=told.append) as watch:
        watch.look()
        assert watch.latest(1.0).decision.why == "no_record"
    assert told[0].startswith("waiting for the daemon: 'nonsense' is no endpoint to connect to\n")
