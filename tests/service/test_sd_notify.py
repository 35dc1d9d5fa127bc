"""sd_notify: one datagram where a manager listens, nothing elsewhere."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from edge.service import sd_notify
from edge.service.sd_notify import StartProgress, notify, watchdog_interval_s


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message_is_one_datagram(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"\0edge-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        monkeypatch.setenv("NOTIFY_SOCKET", name.replace("\0", "@"))
        notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_no_manager_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    notify("READY=1")


def test_a_manager_that_reads_nothing_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor's thread speaks to it, and heartbeats come from the same thread."""
    monkeypatch.setattr(sd_notify, "SEND_S", 0.05)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    manager, other = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    with manager, other:
        manager.bind(str(tmp_path / "notify"))
        other.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"noise", str(tmp_path / "notify"))
        notify("WATCHDOG=1")  # and is lost
        while manager.recv(100) == b"noise":
            notify("WATCHDOG=1")


def test_the_watchdog_is_this_process_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "15000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_interval_s() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    assert watchdog_interval_s() == 15.0
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval_s() is None
    monkeypatch.delenv("WATCHDOG_PID")
    monkeypatch.delenv("WATCHDOG_USEC")
    assert watchdog_interval_s() is None


def test_a_build_gets_more_time_to_start_and_not_more_often_than_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        tell = StartProgress()
        tell(0.25, "building: 25%")
        tell(0.26, "building: 26%")
        assert manager.recv(200) == b"EXTEND_TIMEOUT_USEC=30000000\nSTATUS=building: 25%"
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(200)
        monkeypatch.setattr(sd_notify, "START_EVERY_S", 0.0)
        again = StartProgress()
        again(0.5, "building: 50%")
        again(0.6, "building: 60%")
        assert [manager.recv(200)[-3:] for _ in range(2)] == [b"50%", b"60%"]
