"""What the daemon tells of itself: each change once, each fault when it comes, says something else, and goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from edge.frames import State
from edge.line import state
from edge.line.state import StateBook
from edge.line.supervise import StageHealth
from edge.outputs.protocol import OutputStatus
from edge.sources.protocol import SourceStatus

WELL = StageHealth(0.0, None, None)
STREAMING = SourceStatus("streaming", "camera 1", 10)
GOOD = OutputStatus(5, 0, None)


class Book:
    """A StateBook of a line that runs, and the log of what it said."""

    def __init__(self) -> None:
        self._book = StateBook({"name": "onnx"})

    def update(
        self,
        *,
        source: SourceStatus = STREAMING,
        output: OutputStatus = GOOD,
        health: StageHealth = WELL,
        extra: Mapping[str, str] | None = None,
    ) -> State | None:
        return self._book.update(source, {"jsonl": output}, health, started=True, stopping=False, extra_faults=extra or {})


def faults(told: State | None) -> list[tuple[str, str]]:
    assert told is not None
    return [(fault.code, fault.text) for fault in told.faults]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic seconds that the book sees."""
    now = [100.0]
    monkeypatch.setattr(state.time, "monotonic", lambda: now[0])
    return now


def logged(logs: list[Any]) -> list[tuple[str, str]]:
    return [(entry["event"], entry["code"]) for entry in logs if entry["event"].startswith("fault")]


def test_a_state_is_told_once() -> None:
    book = Book()
    first = book.update()
    assert first is not None
    assert (first.line_state, first.faults, first.outputs) == (
        "ContinuousExecution",
        (),
        {"jsonl": {"ok": True, "fault": None}},
    )
    assert book.update() is None


def test_a_fault_that_says_something_else_is_told_and_logged_again(clock: list[float]) -> None:
    """The second refusal of a reload has another reason."""
    book = Book()
    with capture_logs() as logs:
        first = book.update(extra={"reload_refused": "regions.hihg: unknown key"})
        clock[0] += 5
        second = book.update(extra={"reload_refused": "camera: changed, and needs a restart"})
    assert faults(first) == [("reload_refused", "regions.hihg: unknown key")]
    assert faults(second) == [("reload_refused", "camera: changed, and needs a restart")]
    assert first is not None
    assert second is not None
    assert first.faults[0].since_ns == second.faults[0].since_ns
    assert logged(logs) == [("fault", "reload_refused")] * 2


def test_a_text_that_moves_is_told_once_a_second_at_most(clock: list[float]) -> None:
    book = Book()
    book.update(extra={"x": "attempt 0"})
    told = []
    for attempt in range(1, 40):
        clock[0] += 0.125
        new = book.update(extra={"x": f"attempt {attempt}"})
        told += [] if new is None else faults(new)
    assert told == [("x", "attempt 8"), ("x", "attempt 16"), ("x", "attempt 24"), ("x", "attempt 32")]


def test_a_text_that_came_too_soon_is_told_when_its_second_is_over(clock: list[float]) -> None:
    book = Book()
    book.update(extra={"x": "a"})
    clock[0] += 0.5
    assert book.update(extra={"x": "b"}) is None
    clock[0] += 0.5
    assert faults(book.update(extra={"x": "b"})) == [("x", "b")]
    assert book.update(extra={"x": "b"}) is None


def test_a_fault_of_an_output_that_was_over_before_anyone_looked_is_told_all_the_same(clock: list[float]) -> None:
    book = Book()
    book.update()
    with capture_logs() as logs:
        came = book.update(output=OutputStatus(9, 0, None, failures=1, last_fault="Input/output error"))
        clock[0] += 10
        went = book.update(output=OutputStatus(19, 0, None, failures=1, last_fault="Input/output error"))
        assert book.update(output=OutputStatus(29, 0, None, failures=1, last_fault="Input/output error")) is None
    assert faults(came) == [("output_jsonl", "Input/output error")]
    assert came is not None
    assert came.outputs == {"jsonl": {"ok": False, "fault": "Input/output error"}}
    assert faults(went) == []
    assert logged(logs) == [("fault", "output_jsonl"), ("fault_over", "output_jsonl")]


def test_an_output_that_fails_now_and_then_has_one_fault_until_it_has_been_well_for_ten_seconds(clock: list[float]) -> None:
    """Two records a second that evidence could not take, each failure over before the next look."""
    book = Book()
    book.update()
    told = []
    with capture_logs() as logs:
        for look in range(1, 301):
            clock[0] += 0.125
            failures = min(look // 4, 25)  # the last one at the 100th look
            told.append(book.update(output=OutputStatus(look, 0, None, failures=failures, last_fault="queue full")))
    changes = [(look, faults(state)) for look, state in enumerate(told, 1) if state is not None]
    assert changes == [(4, [("output_jsonl", "queue full")]), (180, [])]
    assert logged(logs) == [("fault", "output_jsonl"), ("fault_over", "output_jsonl")]


def test_frames_that_come_but_cannot_be_used_are_a_fault_of_the_source() -> None:
    book = Book()
    text = "no frame could be read for 3 s: GenDC payloads are not supported"
    told = book.update(source=SourceStatus("streaming", "camera 1", 10, problem=text))
    assert faults(told) == [("source_problem", text)]
    assert told is not None
    assert told.line_state == "Error"
    assert faults(book.update()) == []


def test_a_stage_that_hangs_is_told_once_however_long_it_does() -> None:
    book = Book()
    told = book.update(health=StageHealth(5.1, "infer", None))
    assert faults(told) == [("stage_hung", "infer makes no progress")]
    assert book.update(health=StageHealth(7.9, "infer", None)) is None
