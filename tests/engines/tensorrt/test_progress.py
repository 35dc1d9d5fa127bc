"""How far a build is, and who is told."""

from __future__ import annotations

import queue
import time

import pytest
import structlog
from support.waits import PATIENCE_S

from edge.engines.protocol import say_nothing
from edge.engines.tensorrt import progress
from edge.engines.tensorrt.progress import Phases, shown_build


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


def test_a_build_that_goes_on_is_told_again_and_again() -> None:
    heard: queue.Queue[tuple[float, str]] = queue.Queue()
    with (
        structlog.testing.capture_logs() as logs,
        shown_build("tile-40", lambda share, text: heard.put((share, text))) as phases,
    ):
        phases.phase("Building engine", None, 4)
        phases.step("Building engine")
        for _ in range(3):
            assert heard.get(timeout=PATIENCE_S) == (0.25, "building the TensorRT engine of tile-40: 25%, Building engine")
    assert [entry["event"] for entry in logs] == ["tensorrt_building", "tensorrt_built"]


def test_a_build_that_says_nothing_is_told_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "BUILD_SILENT_S", -1.0)
    heard: list[str] = []
    with shown_build("tile-40", lambda _share, text: heard.append(text)):
        time.sleep(0.5)
    assert heard == []


def test_a_build_that_fails_is_not_said_to_be_built() -> None:
    with (
        structlog.testing.capture_logs() as logs,
        pytest.raises(ValueError, match="no"),
        shown_build("tile-40", say_nothing),
    ):
        raise ValueError("no")
    assert [entry["event"] for entry in logs] == ["tensorrt_building"]
