"""Workers: restarted within a budget, hung when their last progress is too old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from support.waits import PATIENCE_S

from edge.errors import UserError
from edge.line import supervise
from edge.line.supervise import StageHealth, Worker, examine

Beat = Callable[[], bool]


def test_a_stage_that_returns_is_done_and_well() -> None:
    worker = Worker("judge", lambda beat: None, restarts=0)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert worker.done
    assert worker.failed is None
    assert worker.age_s() == 0.0


def test_a_stage_that_raises_is_started_again_until_its_budget_is_spent() -> None:
    calls = []

    def stage(beat: Beat) -> None:
        calls.append(1)
        raise RuntimeError("no frame")

    worker = Worker("infer", stage, restarts=3)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert len(calls) == 4
    assert worker.restarted == 3
    assert worker.last_error == "RuntimeError: no frame"
    assert isinstance(worker.failed, RuntimeError)
    assert examine([worker], 5.0).failed == ("infer", worker.failed)


def test_a_stage_that_recovers_is_not_failed() -> None:
    calls = []

    def stage(beat: Beat) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("once")

    worker = Worker("acquire", stage, restarts=1)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert (worker.restarted, worker.failed) == (1, None)


def test_a_mistake_of_a_person_is_not_retried() -> None:
    calls = []

    def stage(beat: Beat) -> None:
        calls.append(1)
        raise UserError("source.producer: no such file")

    worker = Worker("acquire", stage, restarts=5)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert len(calls) == 1
    assert isinstance(worker.failed, UserError)


def test_stop_reaches_a_stage_through_its_beat() -> None:
    beaten = threading.Event()

    def stage(beat: Beat) -> None:
        while beat():
            beaten.wait(0.01)

    worker = Worker("acquire", stage, restarts=0)
    worker.start()
    assert worker.wait_alive(5)
    worker.stop()
    assert worker.join(PATIENCE_S)


def test_the_stage_without_progress_is_named() -> None:
    free = threading.Event()
    workers = [
        Worker("acquire", lambda beat: _beat_until(beat, free), restarts=0),
        Worker("infer", lambda beat: _freeze(beat, free), restarts=0),
    ]
    for worker in workers:
        worker.start()
    try:
        assert workers[1].wait_alive(5)
        while workers[1].age_s() < 0.3:
            free.wait(0.02)
        assert examine(workers, 0.25).hung == "infer"
        assert examine(workers, 60.0).hung is None
    finally:
        free.set()
    for worker in workers:
        assert worker.join(PATIENCE_S)


def _beat_until(beat: Beat, free: threading.Event) -> None:
    while beat() and not free.wait(0.01):
        pass


def _freeze(beat: Beat, free: threading.Event) -> None:
    beat()
    free.wait(PATIENCE_S)


def test_a_stage_that_never_started_is_not_alive() -> None:
    worker = Worker("acquire", lambda beat: None, restarts=0)
    assert not worker.wait_alive(0.0)


@pytest.mark.parametrize("restarts", [0, 2])
def test_the_error_that_spent_the_budget_is_kept(restarts: int) -> None:
    def stage(beat: Beat) -> None:
        raise ValueError(f"{restarts}")

    worker = Worker("judge", stage, restarts=restarts)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert str(worker.failed) == str(restarts)


def waiting(**keys: Callable[[], int]) -> Worker:
    """One that last made progress 6 s ago."""
    worker = Worker("acquire", lambda _beat: None, restarts=0, **keys)
    worker._beat_ns = time.monotonic_ns() - 6_000_000_000
    return worker


def test_a_call_that_says_how_long_it_may_take_is_no_hang_until_then() -> None:
    now = time.monotonic_ns()
    assert examine([waiting()], 5.0).hung == "acquire"
    assert examine([waiting(busy_until_ns=lambda: now + 60_000_000_000)], 5.0) == StageHealth(0.0, None, None)
    assert examine([waiting(busy_until_ns=lambda: now)], 5.0).hung is None, "it ended just now: a sign of progress"
    assert examine([waiting(busy_until_ns=lambda: now - 5_500_000_000)], 5.0).hung == "acquire"


def test_time_in_which_nobody_could_run_counts_against_nobody() -> None:
    worker = waiting()
    assert examine([worker], 5.0, frozen_s=4.0).hung is None
    assert examine([worker], 5.0).hung == "acquire"
    worker.excuse(4.0)
    assert examine([worker], 5.0).hung is None
    worker.excuse(100.0)
    assert worker._beat_ns <= time.monotonic_ns(), "progress does not lie in the future"


def test_a_stage_has_failed_before_its_traceback_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine writes at one for seconds; a line that drained meanwhile took it for a clean end, exit code 0."""
    seen: list[BaseException | None] = []

    class Log:
        def exception(self, *_: object, **__: object) -> None:
            seen.append(worker.failed)

    def stage(_beat: object) -> None:
        raise RuntimeError("gone")

    monkeypatch.setattr(supervise, "log", Log())
    worker = Worker("infer", stage, restarts=0)
    worker.start()
    assert worker.join(PATIENCE_S)
    assert seen == [worker.failed]
    assert isinstance(worker.failed, RuntimeError)
