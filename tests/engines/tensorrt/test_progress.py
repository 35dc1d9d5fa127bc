"""How far a build is, and who is told."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
import structlog

from edge.engines.tensorrt import progress as trt_progress
from edge.engines.tensorrt.progress import Phases, shown_build, tell_systemd


def test_a_phase_counts_as_one_step_of_the_phase_around_it() -> None:
    phases = Phases()
    phases.phase("build", None, 4)
    phases.step("build")
    assert phases.share == 0.25
    phases.phase("tactics", "build", 10)
    for _ in range(5):
        phases.step("tactics")
    assert phases.share == pytest.approx(0.375)
    assert phases.latest == "tactics"
    phases.phase("timing", "tactics", 2)
    phases.step("timing")
    assert phases.share == pytest.approx(0.25 + 0.55 / 4)
    phases.finish("timing")
    phases.finish("tactics")
    assert phases.share == 0.5, "a phase that is over counts whole; nothing falls back"
    for _ in range(3):
        phases.step("build")
    phases.finish("build")
    assert phases.share == 1.0


def test_steps_of_phases_that_nobody_announced_are_no_error() -> None:
    phases = Phases()
    phases.step("?")
    phases.finish("?")
    phases.phase("late", "?", 0)
    phases.step("late")
    assert phases.share == 1.0


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(5)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    return manager


def test_systemd_gets_more_time_and_how_far_it_is(manager: socket.socket) -> None:
    phases = Phases()
    phases.phase("Building engine", None, 4)
    phases.step("Building engine")
    with manager:
        tell_systemd("tile-40", phases)
        assert manager.recv(200) == (
            b"EXTEND_TIMEOUT_USEC=30000000\nSTATUS=building the TensorRT engine of tile-40: 25%, Building engine"
        )


def test_a_build_that_goes_on_is_told_again_and_again(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_progress, "EVERY_S", 0.0)
    with manager, structlog.testing.capture_logs() as logs, shown_build("tile-40"):
        for _ in range(3):
            assert manager.recv(200).startswith(b"EXTEND_TIMEOUT_USEC=30000000\n")
    assert [entry["event"] for entry in logs] == ["tensorrt_building", "tensorrt_built"]


def test_a_build_that_says_nothing_gets_no_more_time(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt_progress, "SILENT_S", -1.0)
    with manager, shown_build("tile-40"):
        time.sleep(0.5)
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            manager.recv(200)


def test_a_build_that_fails_is_not_said_to_be_built() -> None:
    with structlog.testing.capture_logs() as logs, pytest.raises(ValueError, match="no"), shown_build("tile-40"):
        raise ValueError("no")
    assert [entry["event"] for entry in logs] == ["tensorrt_building"]
