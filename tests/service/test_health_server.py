"""The health server: strangers hold what is theirs to hold, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support.waits import PATIENCE_S

from edge.line.ring import Ring
from edge.line.snapshot import LineSnapshot
from edge.line.tally import Tally
from edge.service import health_server
from edge.service.health_server import AT_ONCE, HealthServer, Metrics
from edge.sources.protocol import SourceStatus

SHOT = LineSnapshot("cam1", True, True, "streaming", SourceStatus("streaming", "", 0), {}, 0.0, {}, ())


@pytest.fixture
def server() -> Iterator[HealthServer]:
    found = HealthServer("127.0.0.1:0", Metrics(Tally(), Ring(4, drops=True), lambda: SHOT), lambda: SHOT)
    yield found
    found.close()


def connect(server: HealthServer) -> socket.socket:
    host, _, port = str(server.address).rpartition(":")
    return socket.create_connection((host, int(port)), 10)


def ask(server: HealthServer, head: str = "GET /live HTTP/1.0\r\n\r\n") -> str:
    with connect(server) as line:
        line.sendall(head.encode())
        found = b""
        while chunk := line.recv(4096):
            found += chunk
    return found.decode().splitlines()[0] if found else ""


def half_said(server: HealthServer, count: int) -> list[socket.socket]:
    lines = [connect(server) for _ in range(count)]
    for line in lines:
        line.sendall(b"GET /live")
    return lines


def test_connections_that_say_nothing_take_a_few_threads_and_are_given_up(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand of them took every descriptor of the process, the log's included."""
    monkeypatch.setattr(health_server, "TIMEOUT_S", 0.3)
    before = threading.active_count()
    lines = half_said(server, 60)
    time.sleep(0.2)
    assert threading.active_count() <= before + AT_ONCE
    end = time.monotonic() + PATIENCE_S
    while ask_or_refused(server) != "HTTP/1.0 200 OK":
        assert time.monotonic() < end
        time.sleep(0.05)
    for line in lines:
        line.close()


def ask_or_refused(server: HealthServer) -> str:
    try:
        return ask(server)
    except OSError:
        return ""


def test_who_drips_a_byte_at_a_time_is_given_up_for_who_comes_next(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_server, "TIMEOUT_S", 0.3)
    lines, over = half_said(server, AT_ONCE), threading.Event()

    def drip() -> None:
        while not over.wait(0.1):
            for line in lines:
                with contextlib.suppress(OSError):
                    line.sendall(b"x")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        end = time.monotonic() + PATIENCE_S
        while ask_or_refused(server) != "HTTP/1.0 200 OK":
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        over.set()
        thread.join()
        for line in lines:
            line.close()


def test_whoever_hangs_up_leaves_no_traceback(server: HealthServer, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(20):
        with connect(server) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            line.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert ask(server) == "HTTP/1.0 200 OK"
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:9000", 200),
        ("localhost", 200),
        ("[::1]:80", 200),
        ("LOCALHOST:1", 200),
        ("evil.example:80", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_a_name_that_was_made_to_lead_here_gets_no_answer(server: HealthServer, host: str, code: int) -> None:
    assert ask(server, f"GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").split()[1] == str(code)


def test_without_a_free_descriptor_it_waits_instead_of_asking_again_and_again(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server._server is not None
    asked: list[float] = []
    before = socket.socket.accept

    def accept(self: socket.socket) -> Any:
        asked.append(time.monotonic())
        if len(asked) <= 3:
            raise OSError(24, "Too many open files")
        return before(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    assert ask(server) == "HTTP/1.0 200 OK"
    assert len(asked) == 4
    assert asked[3] - asked[0] > 0.5
