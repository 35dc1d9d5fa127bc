"""Whatever a sink does, the judge doesn't wait for it, and what it lost is counted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.records import FRAME, STATE, WIRE, record, skip
from support.waits import PATIENCE_S, until

from edge.errors import UserError
from edge.frames import Frame, Heartbeat, Inspection, Judged, Record, State
from edge.outputs import queued
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink


class Notes(Sink):
    """A sink that writes down its calls; ``gate`` closed, it hangs in ``write``."""

    name = "notes"
    idle_s = 0.02

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.gate = threading.Event()
        self.gate.set()
        self.writing = threading.Event()
        self.threads: set[str] = set()

    def open(self) -> None:
        self._tell("open")

    def write(self, record: Record, kept: Any) -> None:
        self.writing.set()
        assert self.gate.wait(PATIENCE_S)
        self._tell((record.seq, kept))

    def state(self, state: State) -> None:
        self._tell(f"state {state.state_seq}")

    def tick(self, heartbeat: Heartbeat) -> None:
        self._tell(f"beat {heartbeat.last_seq}")

    def close(self) -> None:
        self._tell("close")

    def _tell(self, what: object) -> None:
        self.threads.add(threading.current_thread().name)
        self.calls.append(what)


class Mended(Notes):
    """Raises while ``broken``; ``recover`` mends it if ``mendable``."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.mendable = True

    def write(self, record: Record, kept: Any) -> None:
        if self.broken:
            raise OSError(28, "No space left on device", "/var/log/edge/x.jsonl")
        super().write(record, kept)

    def recover(self) -> None:
        self._tell("recover")
        if not self.mendable:
            raise OSError(28, "No space left on device")
        self.broken = False


@contextmanager
def started(output: Queued) -> Iterator[Queued]:
    output.start()
    try:
        yield output
    finally:
        output.close(2.0)


def test_a_sink_lives_in_a_thread_of_its_own_and_hears_everything_in_order() -> None:
    sink = Notes()
    output = Queued(sink, 10, "drop")
    with started(output):
        output.accept(record(0), FRAME, None)
        output.skip(WIRE.skip(1, skip(), 5))
        output.accept(record(2), FRAME, None)
    assert sink.calls == ["open", (0, None), (1, None), (2, None), "close"]
    assert sink.threads == {"output-notes"}
    assert output.status() == queued.OutputStatus(3, 0, None, {})


def test_state_and_heartbeat_reach_an_idle_sink() -> None:
    sink = Notes()
    with started(Queued(sink, 10, "drop")) as output:
        output.state(STATE)
        until(lambda: "state 0" in sink.calls)
        output.tick(Heartbeat(7))
        until(lambda: "beat 7" in sink.calls)


def test_of_states_and_heartbeats_that_wait_only_the_latest_is_told() -> None:
    sink = Notes()
    sink.gate.clear()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        sink.writing.wait(PATIENCE_S)
        for seq in range(1000):
            output.tick(Heartbeat(seq))
        assert output._queue.qsize() <= 1  # a sink that hangs for days collects nothing
        sink.gate.set()
        until(lambda: "beat 999" in sink.calls)
    assert [call for call in sink.calls if str(call).startswith("beat")] == ["beat 999"]


def test_the_last_state_is_told_before_the_sink_is_closed() -> None:
    sink = Notes()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        output.state(STATE)
    assert sink.calls[-2:] == ["state 0", "close"]


def test_a_full_queue_counts_and_is_a_fault_until_it_is_half_empty() -> None:
    sink = Notes()
    sink.gate.clear()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        sink.writing.wait(PATIENCE_S)  # the sink hangs in record 0, ten more fit
        for seq in range(1, 14):
            output.accept(record(seq), FRAME, None)
        status = output.status()
        assert (status.accepted, status.lost, status.fault) == (11, 3, "queue full")
        sink.gate.set()
        until(lambda: output.status().fault is None)
        until(lambda: len(sink.calls) == 12)
    assert [call[0] for call in sink.calls[1:-1]] == list(range(11))


def test_under_wait_nothing_is_lost_however_slow_the_sink() -> None:
    class Slow(Notes):
        def write(self, record: Record, kept: Any) -> None:
            time.sleep(0.001)
            super().write(record, kept)

    sink = Slow()
    with started(Queued(sink, 4, "wait")) as output:
        for seq in range(100):
            output.accept(record(seq), FRAME, None)
            assert output.status().fault is None
            assert output._queue.qsize() <= 5
    assert [call[0] for call in sink.calls[1:-1]] == list(range(100))
    assert output.status().lost == 0


def test_closing_ends_a_wait_for_room() -> None:
    sink = Notes()
    sink.gate.clear()
    output = Queued(sink, 1, "wait")
    output.start()
    judge = threading.Thread(target=lambda: [output.accept(record(seq), FRAME, None) for seq in range(3)])
    judge.start()
    sink.writing.wait(PATIENCE_S)
    until(lambda: output._queue.qsize() == 1 and not output._room.is_set())
    output.close(0.1)
    judge.join(PATIENCE_S)
    assert not judge.is_alive()
    sink.gate.set()
    output._thread.join(PATIENCE_S)
    assert output.status().accepted == 2
    assert output.status().lost == 2  # one that waited in the queue, one that waited for room


def test_close_gives_up_on_a_sink_that_hangs() -> None:
    sink = Notes()
    sink.gate.clear()
    output = Queued(sink, 10, "drop")
    output.start()
    output.accept(record(0), FRAME, None)
    began = time.monotonic()
    output.close(0.1)
    assert time.monotonic() - began < 2
    assert output._thread.is_alive()
    sink.gate.set()
    output._thread.join(PATIENCE_S)


def test_after_close_records_count_as_lost() -> None:
    output = Queued(Notes(), 10, "drop")
    output.close(0.1)  # never started
    with started(output):
        pass
    output.close(0.1)
    output.accept(record(0), FRAME, None)
    assert (output.status().accepted, output.status().lost) == (0, 1)


def test_an_error_in_open_reaches_the_caller_of_start() -> None:
    class Misconfigured(Notes):
        def open(self) -> None:
            raise UserError("outputs.notes: no such place")

    sink = Misconfigured()
    output = Queued(sink, 10, "drop")
    with pytest.raises(UserError, match=r"^outputs.notes: no such place$"):
        output.start()
    assert not output._thread.is_alive()
    assert sink.calls == ["close"]
    output.close(0.1)


def test_a_disk_that_is_full_at_the_start_is_a_fault_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)

    class Full(Mended):
        def open(self) -> None:
            raise OSError(28, "No space left on device", "/var/log/edge")

    sink = Full()
    sink.mendable = False
    with started(Queued(sink, 10, "drop")) as output:
        assert str(output.status().fault).endswith("No space left on device")  # or what the first attempt to mend it said
        output.accept(record(0), FRAME, None)
        until(lambda: output.status().lost == 1)
        sink.mendable = True
        until(lambda: output.status().fault is None)
        output.accept(record(1), FRAME, None)
    assert sink.calls[-2:] == [(1, None), "close"]


def test_a_sink_that_recovers_at_once_loses_nothing() -> None:
    sink = Mended()
    with started(Queued(sink, 10, "drop")) as output:
        sink.broken = True
        output.accept(record(0), FRAME, None)
    assert sink.calls == ["open", "recover", (0, None), "close"]
    assert (output.status().lost, output.status().fault) == (0, None)


def test_a_sink_that_stays_broken_loses_and_is_tried_again_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Mended()
    sink.mendable, sink.broken = False, True
    with started(Queued(sink, 100, "drop")) as output:
        for seq in range(50):
            output.accept(record(seq), FRAME, None)
        until(lambda: output.status().lost == 50)
        assert output.status().fault == "No space left on device"
        assert sink.calls.count("recover") == 1  # once a second
        sink.mendable = True
        output._delivery._retry_at = 0.0
        output.accept(record(50), FRAME, None)
        until(lambda: (50, None) in sink.calls)
        until(lambda: output.status().fault is None)
    assert output.status().lost == 50


def test_a_sink_without_recover_is_given_every_record() -> None:
    class Odd(Notes):
        def write(self, record: Record, kept: Any) -> None:
            if record.seq % 2:
                raise ValueError("odd")
            super().write(record, kept)

    sink = Odd()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(1), FRAME, None)
        until(lambda: output.status().fault == "ValueError: odd")
        output.accept(record(2), FRAME, None)
        until(lambda: output.status().fault is None)
        assert output.status().lost == 1
    assert sink.calls == ["open", (2, None), "close"]


def test_what_a_sink_keeps_is_copied_in_the_judges_thread_and_given_back_when_lost() -> None:
    class Pictures(Mended):
        def __init__(self) -> None:
            super().__init__()
            self.discarded: list[Any] = []
            self.kept_in: set[str] = set()

        def keep(self, record: Record, frame: Frame, judged: Judged | None) -> object:
            self.kept_in.add(threading.current_thread().name)
            return f"pixels of {record.seq}"

        def discard(self, kept: Any) -> None:
            self.discarded.append(kept)

    sink = Pictures()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        output.skip(WIRE.skip(1, skip(), 5))
        until(lambda: len(sink.calls) == 3)
        sink.broken, sink.mendable = True, False
        output.accept(record(2), FRAME, None)
        until(lambda: output.status().lost == 1)
    assert sink.calls[1:3] == [(0, "pixels of 0"), (1, None)]
    assert sink.discarded == ["pixels of 2"]
    assert sink.kept_in == {"MainThread"}


def test_a_keep_that_raises_does_not_reach_the_judge() -> None:
    class Failing(Notes):
        def keep(self, record: Record, frame: Frame, judged: Judged | None) -> object:
            raise MemoryError("no room")

    sink = Failing()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        assert (output.status().lost, output.status().fault) == (1, "MemoryError: no room")


def test_after_another_output_means_after_its_write() -> None:
    """Under ``sync: each`` a record is on disk before it is published."""
    log, publisher = Notes(), Notes()
    log.gate.clear()
    first = Queued(log, 3, "drop")
    second = Queued(publisher, 10, "drop", after=first)
    with started(second), started(first):
        for output in (first, second):
            output.accept(record(0), FRAME, None)
        log.writing.wait(PATIENCE_S)
        for seq in range(1, 6):
            for output in (first, second):
                output.accept(record(seq), FRAME, None)
        second.tick(Heartbeat(5))
        until(lambda: "beat 5" in publisher.calls)  # a log that hangs doesn't stop the sign of life
        assert (0, None) not in publisher.calls
        log.gate.set()
    assert [call for call in publisher.calls if isinstance(call, tuple)] == [(0, None), (1, None), (2, None), (3, None)]
    assert first.status().lost == second.status().lost == 2


def test_after_a_log_that_fails_records_are_published_all_the_same() -> None:
    log, publisher = Mended(), Notes()
    log.broken, log.mendable = True, False
    first = Queued(log, 10, "drop")
    second = Queued(publisher, 10, "drop", after=first)
    with started(second), started(first):
        for output in (first, second):
            output.skip(WIRE.skip(0, skip(), 5))
    assert (0, None) in publisher.calls
    assert (first.status().lost, second.status().lost) == (1, 0)


def test_idle_is_called_again_and_again_under_load_too() -> None:
    class Busy(Notes):
        idles = 0

        def idle(self) -> None:
            self.idles += 1

    sink = Busy()
    with started(Queued(sink, 10_000, "drop")) as output:
        until(lambda: sink.idles >= 3)
        sink.gate.clear()
        for seq in range(5000):
            output.accept(record(seq), FRAME, None)
        before = sink.idles
        sink.gate.set()
        until(lambda: len(sink.calls) >= 5001)
        assert sink.idles > before


def test_the_detail_of_a_sink_stands_in_its_status() -> None:
    class Detailed(Notes):
        @property
        def detail(self) -> dict[str, str]:
            return {"endpoint": "ipc:///x"}

    assert Queued(Detailed(), 10, "drop").status().detail == {"endpoint": "ipc:///x"}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # ended on purpose
def test_an_output_whose_thread_ended_is_a_fault_and_what_comes_after_is_lost() -> None:
    class Leaves(Notes):
        def write(self, record: Record, kept: Any) -> None:
            raise SystemExit  # nothing that an output catches, and nothing that a thread reports

    output = Queued(Leaves(), 10, "drop")
    output.start()
    output.accept(record(0), FRAME, None)
    end = time.monotonic() + PATIENCE_S
    while output.status().fault is None and time.monotonic() < end:
        time.sleep(0.01)
    assert output.status().fault == "its thread ended"
    output.accept(record(1), FRAME, None)
    assert output.status().lost >= 1
    output.close(1.0)


def test_how_long_a_sink_may_be_left_alone_is_asked_before_each_wait() -> None:
    """A log whose sync is due soon, say."""

    class Due(Notes):
        idle_s = 600.0

        def write(self, record: Record, kept: Any) -> None:
            self.idle_s = 0.01

        def idle(self) -> None:
            self._tell("idle")

    sink = Due()
    with started(Queued(sink, 10, "drop")) as output:
        output.accept(record(0), FRAME, None)
        end = time.monotonic() + PATIENCE_S
        while sink.calls.count("idle") < 3:
            assert time.monotonic() < end
            time.sleep(0.01)


class Log(Notes):
    """A sink whose record makes a verdict count; ``write`` hangs while ``gate`` is closed."""

    required = True

    def __init__(self) -> None:
        super().__init__()
        self.written: list[tuple[int, str]] = []

    def write(self, record: Record, kept: Any) -> None:
        super().write(record, kept)
        self.written.append((record.seq, record.verdict))


class Wire(Notes):
    """A publisher that remembers each record's verdict, and reason where it has one."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[int, str, str | None]] = []

    def write(self, record: Record, kept: Any) -> None:
        assert isinstance(record.body, Inspection)
        self.heard.append((record.seq, record.verdict, record.body.reason))


@contextmanager
def log_before_wire(log: Notes, wire: Notes, capacity: int = 10) -> Iterator[tuple[Queued, Queued]]:
    first = Queued(log, capacity, "drop")
    second = Queued(wire, 1000, "drop", after=first)
    with started(second), started(first):
        yield first, second


def give(outputs: tuple[Queued, Queued], *numbers: int) -> None:
    for seq in numbers:
        for output in outputs:
            output.accept(record(seq), FRAME, None)


def test_a_call_that_does_not_return_is_a_fault_long_before_the_queue_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    with started(Queued(log, 1000, "drop")) as output:
        output.accept(record(0), FRAME, None)
        until(lambda: log.written)
        assert not output.log_lost
        monkeypatch.setattr(queued, "STALLED_S", 0.01)
        log.gate.clear()
        output.accept(record(1), FRAME, None)
        until(lambda: output.log_lost)
        assert output.status().fault == "a call has not returned for more than 0.01 s"
        log.gate.set()
        until(lambda: not output.log_lost)


def test_records_behind_a_required_log_that_hangs_are_published_as_log_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """In order, each once; and when it goes on, the log has what was published."""
    monkeypatch.setattr(queued, "STALLED_S", 0.05)
    log, wire = Log(), Wire()
    log.gate.clear()
    with log_before_wire(log, wire) as outputs:
        give(outputs, 0, 1, 2)
        until(lambda: len(wire.heard) == 3)
        monkeypatch.setattr(queued, "STALLED_S", 60.0)
        log.gate.set()
        until(lambda: len(log.written) == 4)
        give(outputs, 3)
        until(lambda: len(wire.heard) == 4)
        counted = outputs[0].status().counters
    lost = [(seq, "invalid", "log_lost") for seq in range(3)]
    assert wire.heard == [*lost, (3, "pass", None)]
    assert log.written == [(0, "pass"), (1, "invalid"), (2, "invalid"), (0, "invalid"), (3, "pass")], (
        "the first was in the call that hung"
    )
    assert counted == {"overruled_pass": 3, "overruled_fail": 0, "written_later": 1}
    assert (outputs[0].status().lost, outputs[1].status().lost) == (0, 0)


def test_a_log_that_hangs_and_is_full_still_lets_records_through_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "STALLED_S", 0.05)
    log, wire = Log(), Wire()
    log.gate.clear()
    with log_before_wire(log, wire, capacity=3) as outputs:
        give(outputs, 0)
        until(lambda: wire.heard)
        for seq in range(1, 10):
            give(outputs, seq)
            until(lambda seq=seq: len(wire.heard) == seq + 1)  # type: ignore[misc]
        monkeypatch.setattr(queued, "STALLED_S", 60.0)
        log.gate.set()
        until(lambda: len(log.written) == 11)
        give(outputs, 10)
    assert [seq for seq, _, _ in wire.heard] == list(range(11))
    assert [seq for seq, _ in log.written] == [0, 1, 2, 3, 0, *range(4, 10), 10], "what was refused, too, is in it at last"
    assert dict(log.written) == {seq: verdict for seq, verdict, _ in wire.heard}
    assert (outputs[0].status().lost, outputs[1].status().lost) == (6, 0)


def test_behind_a_log_that_hangs_but_is_not_required_records_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queued, "STALLED_S", 0.05)
    log, wire = Log(), Wire()
    log.required = False
    log.gate.clear()
    with log_before_wire(log, wire) as outputs:
        give(outputs, 0, 1)
        until(lambda: len(wire.heard) == 2)
        log.gate.set()
    assert wire.heard == [(0, "pass", None), (1, "pass", None)]
    assert log.written == [(0, "pass"), (1, "pass")]


def test_what_waits_for_a_log_that_hangs_at_the_end_is_published_at_last() -> None:
    log, wire = Log(), Wire()
    log.gate.clear()
    first = Queued(log, 10, "drop")
    second = Queued(wire, 10, "drop", after=first)
    for output in (first, second):
        output.start()
    give((first, second), 0, 1)
    log.writing.wait(PATIENCE_S)
    first.close(0.1)
    second.close(5.0)
    assert wire.heard == [(0, "invalid", "log_lost"), (1, "invalid", "log_lost")]
    log.gate.set()
    first._thread.join(PATIENCE_S)


def test_a_stall_that_ends_in_an_error_leaves_in_the_log_what_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    class Torn(Log):
        failed = False

        def write(self, record: Record, kept: Any) -> None:
            if not self.failed:
                self.failed = True
                self.writing.set()
                assert self.gate.wait(60)
                raise OSError(5, "Input/output error")
            super().write(record, kept)

        def recover(self) -> None: ...

    monkeypatch.setattr(queued, "STALLED_S", 0.05)
    log, wire = Torn(), Wire()
    log.gate.clear()
    with log_before_wire(log, wire) as outputs:
        give(outputs, 0)
        until(lambda: wire.heard)
        monkeypatch.setattr(queued, "STALLED_S", 60.0)
        log.gate.set()
        until(lambda: log.written)
    assert wire.heard == [(0, "invalid", "log_lost")]
    assert log.written == [(0, "invalid")]


def test_what_a_stalled_log_refused_is_published_once_it_goes_on_though_no_other_record_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queued, "STALLED_S", 0.05)
    log, wire = Log(), Wire()
    log.gate.clear()
    with log_before_wire(log, wire, capacity=2) as outputs:
        give(outputs, 0)
        assert log.writing.wait(PATIENCE_S)
        give(outputs, 1, 2)
        until(lambda: len(wire.heard) == 3)
        # the output behind looks again only when the stall is over
        monkeypatch.setattr(outputs[0]._delivery, "stalls", lambda _: threading.current_thread() is threading.main_thread())
        give(outputs, 3)
        monkeypatch.setattr(outputs[0]._delivery, "stalls", lambda _: False)
        log.gate.set()
        until(lambda: len(wire.heard) == 4)
    assert wire.heard == [(seq, "invalid", "log_lost") for seq in range(4)]
    assert dict(log.written) == dict.fromkeys(range(4), "invalid")
    assert (outputs[0].status().lost, outputs[1].status().lost) == (1, 0)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # ended on purpose
def test_behind_a_required_log_whose_thread_ended_nothing_passes_and_nothing_is_silent() -> None:
    class Leaves(Log):
        def write(self, record: Record, kept: Any) -> None:
            raise SystemExit

    log, wire = Leaves(), Wire()
    with log_before_wire(log, wire) as outputs:
        give(outputs, 0)
        until(lambda: outputs[0].log_lost)
        give(outputs, 1, 2)
        until(lambda: len(wire.heard) == 3)
    assert wire.heard == [(seq, "invalid", "log_lost") for seq in range(3)]


def test_a_failure_that_was_over_at_once_is_counted_and_its_text_is_kept() -> None:
    sink = Mended()
    with started(Queued(sink, 10, "drop")) as output:
        for seq in range(3):
            sink.broken = seq < 2
            output.accept(record(seq), FRAME, None)
            until(lambda seq=seq: (seq, None) in sink.calls)  # type: ignore[misc]
            output._delivery._retry_at = 0.0
    status = output.status()
    assert (status.fault, status.lost) == (None, 0)
    assert (status.failures, status.last_fault) == (2, "/var/log/edge/x.jsonl: No space left on device")


def test_what_a_disk_does_is_logged_by_the_supervisor_alone_but_for_what_comes_at_the_very_end() -> None:
    class Ends(Mended):
        def close(self) -> None:
            raise OSError(5, "Input/output error")

    sink = Ends()
    with capture_logs() as logs, started(Queued(sink, 10, "drop")) as output:
        sink.broken = True
        output.accept(record(0), FRAME, None)
        until(lambda: (0, None) in sink.calls)
        assert output.status().failures == 1
        assert logs == []
    assert [(entry["event"], entry["error"]) for entry in logs] == [("output_failed", "Input/output error")]
