"""A model that raises, hangs or says nonsense: its frames are invalid, the others are judged, none is missing."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.lines import Bent, Overlapped, frame_ids, loaded, make_line, records, run
from support.records import META
from support.sums import sum_rule_of
from support.waits import PATIENCE_S

from edge.engines.protocol import Prediction
from edge.errors import ExitCode
from edge.frames import Frame, Skip
from edge.line import decoding, judging, stages
from edge.line.in_flight import InFlight
from edge.line.line import Line, Phase
from edge.line.passage import End, Handoff, Maps, Passage, tell_losses
from edge.line.ring import Ring, Slot
from edge.line.run import run_line


def test_an_engine_that_raises_now_and_then(tmp_path: Path) -> None:
    bad = {0, 7, 8, 41, 99}

    def raises(index: int) -> None:
        if index in bad:
            raise RuntimeError("CUDA error 700: an illegal memory access was encountered")

    line = make_line(loaded(tmp_path, "source.frames=100"), before=raises)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert {r["seq"] for r in found if r["reason"] == "engine_error"} == bad
    assert all((r["verdict"] == "invalid") == (r["seq"] in bad) for r in found)
    sum_rule_of(line, found)


def test_what_an_engine_raises_is_a_fault_until_a_minute_has_passed_without(tmp_path: Path) -> None:
    def raises(index: int) -> None:
        if index == 3:
            raise RuntimeError("out of memory")

    line = make_line(loaded(tmp_path), before=raises)
    assert run(line) == 0
    assert line.workers[1].trouble() == "RuntimeError: out of memory"
    faults = {f.code: f.text for f in line.faults}
    assert faults == {"stage_infer": "raised and was restarted: RuntimeError: out of memory"}
    line.workers[1]._last_raised -= 61  # type: ignore[operator]
    assert line.workers[1].trouble() is None


@pytest.mark.parametrize("bent", [Bent, Overlapped], ids=["one at a time", "two in its hands"])
def test_an_engine_that_hangs_costs_the_frames_that_it_held_and_those_that_waited(tmp_path: Path, bent: type[Bent]) -> None:
    """All of them are in records before the process leaves with 4; what the call may still bring is in none."""
    let_go = threading.Event()

    def hangs(index: int) -> None:
        if index == 20:
            let_go.wait(60)

    config = loaded(tmp_path, "supervise.limit_s=1.0", "source.fps=100", "source.frames=null")
    line = make_line(config, before=hangs, bent=bent)
    stop = threading.Event()
    line.start(stop)
    with capture_logs() as logs:
        assert run_line(line, stop, lambda *_: None) == ExitCode.HUNG
    assert line._health.hung == "infer"
    assert "stage_hung" in {f.code for f in line.faults}
    found = records(tmp_path / "log")
    inspected = [r["seq"] for r in found if r["kind"] == "inspection"]
    behind = found[inspected[-1] + 1 :]
    assert len(inspected) == 20
    assert {r["reason"] for r in behind} <= {"shutdown", "ring_full", "frame_id_gap"}  # a busy machine is late for frames
    assert behind[0]["reason"] == "shutdown"
    assert len(frame_ids(behind)) > 8, "beside the one that hung, those that waited"
    sum_rule_of(line, found)
    (told,) = [entry for entry in logs if entry["event"] == "stopped"]
    assert told["announced"] == told["accounted"] == line.tally.accounted
    assert told["drained"] is False
    let_go.set()
    assert line.workers[1].join(PATIENCE_S)
    assert records(tmp_path / "log") == found
    sum_rule_of(line, found)


def test_a_recorded_picture_may_take_longer_than_a_camera_s(tmp_path: Path) -> None:
    """One of a line-scan camera, of a billion pixels, ended a whole replay with 4: "a stage hangs"."""

    def slow(index: int) -> None:
        if index == 3:
            time.sleep(1.0)

    config = loaded(tmp_path, "supervise.limit_s=0.2", "source.fps=null", "source.frames=6")
    line = make_line(config, before=slow)
    assert run(line) == 0
    assert len(records(tmp_path / "log")) == 6


def test_where_the_judge_hangs_nobody_can_write_records_and_the_hole_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    whole = judging.to_inspection

    def hangs(frame: Frame, *more: Any) -> Any:
        if frame.meta.frame_id > 10:
            let_go.wait(60)
        return whole(frame, *more)

    monkeypatch.setattr(judging, "to_inspection", hangs)
    monkeypatch.setattr("edge.line.drain.LAST_S", 0.2)
    line = make_line(loaded(tmp_path, "supervise.limit_s=1.0", "source.fps=100", "source.frames=null"))
    stop = threading.Event()
    line.start(stop)
    try:
        with capture_logs() as logs:
            assert run_line(line, stop, lambda *_: None) == ExitCode.HUNG
        found = records(tmp_path / "log")
        accounted, announced = len(frame_ids(found)), line.source.status().announced
        assert announced > accounted >= 10
        (told,) = [entry for entry in logs if entry["event"] == "stopped"]
        assert (told["announced"], told["accounted"]) == (announced, accounted)
        assert {f.code: f.text for f in line.faults}["sum_rule"] == (
            f"the source announced {announced} frames, the records account for {accounted}"
        )
    finally:
        let_go.set()
        while not line._maps.put(End(), 0.1):
            pass
        assert all(worker.join(PATIENCE_S) for worker in line.workers)


def test_a_stage_that_fails_while_the_line_drains_is_no_clean_end(tmp_path: Path) -> None:
    """Exit code 3, and the frames behind it are told as lost."""
    lines: list[Line] = []
    stop = threading.Event()

    def fails_at_last(_index: int) -> None:
        time.sleep(0.02)
        while stop.is_set():  # the frame in hand is held until the line has seen it, however late
            if lines[0].phase is Phase.STOPPING:
                raise RuntimeError("CUDA error 700: an illegal memory access was encountered")
            time.sleep(0.001)

    config = loaded(tmp_path, "supervise.restarts=0", "source.fps=400", "source.frames=null", "ring.slots=64")
    lines.append(make_line(config, before=fails_at_last))
    (line,) = lines
    line.start(stop)
    while line.ring.fill < 20:
        time.sleep(0.01)
    stop.set()
    assert run_line(line, stop, lambda *_: None) == ExitCode.STAGE
    found = records(tmp_path / "log")
    reasons = [r["reason"] for r in found]
    assert reasons.count("engine_error") == 1
    behind = set(reasons[reasons.index("engine_error") + 1 :])
    assert "shutdown" in behind <= {"shutdown", "frame_id_gap"}  # a late machine loses frames at 400 a second, too
    sum_rule_of(line, found)


def waiting(count: int) -> tuple[Ring, Maps, Passage]:
    """A ring in which so many frames wait, and one that the infer stage has taken."""
    ring = Ring(8, drops=True)
    maps: Maps = Handoff()
    passage = Passage(ring, maps)
    for number in range(count + 1):
        slot = ring.acquire(12, replace(META, frame_id=number, part_id=number), lambda: True)
        assert slot is not None
        ring.commit(slot)
    taken = passage.take(0.0)
    assert isinstance(taken, Slot)
    ring.close()
    return ring, maps, passage


def test_losses_are_told_in_order_and_then_the_end() -> None:
    ring, maps, passage = waiting(3)
    told: list[Any] = []
    judge = threading.Thread(target=lambda: _until_end(maps, told))
    judge.start()
    tell_losses(passage, ring, maps, lambda: True)
    judge.join(PATIENCE_S)
    assert [(s.reason, s.frame_id_first, s.frame_id_last) for s in told] == [("shutdown", 0, 0), ("shutdown", 1, 3)]
    passage.hand_over(told[0], lambda: True)
    assert maps.get(0.0) is None, "a stage that was given up hands nothing over"
    assert isinstance(passage.take(0.0), End)


def test_losses_that_nobody_takes_are_given_up() -> None:
    """A judge that is gone, or has no time left, holds up nobody."""
    ring, maps, passage = waiting(3)
    asked: list[None] = []

    def go_on() -> bool:
        asked.append(None)
        return len(asked) < 3

    tell_losses(passage, ring, maps, go_on)
    assert len(asked) == 3
    first = maps.get(0.0)
    assert isinstance(first, Skip)
    assert (first.reason, first.frame_id_first) == ("shutdown", 0)
    assert maps.get(0.0) is None


def _until_end(maps: Maps, told: list[Any]) -> None:
    while not isinstance(item := maps.get(20), End):
        assert item is not None
        told.append(item)


def test_what_the_infer_stage_held_when_it_raised_has_a_record_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error outside the engine, between taking a frame and passing it on."""
    whole, raised = InFlight.put, []

    def put(self: InFlight, slot: Any, frame: Frame, taken_ns: int) -> Any:
        if frame.meta.frame_id == 6 and not raised:
            raised.append(1)
            raise MemoryError
        return whole(self, slot, frame, taken_ns)

    monkeypatch.setattr(InFlight, "put", put)
    line = make_line(loaded(tmp_path))
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert [r["frame_id"] for r in found if r["reason"] == "engine_error"] == [6]
    assert line.workers[1].restarted == 1
    sum_rule_of(line, found)


class Nan(Bent):
    """Every third map holds one value that is none."""

    def infer(self, image: Any) -> Prediction:
        self._count += 1
        found = self._engine.infer(image)
        if self._count % 3 == 0:
            found.map[0, 0] = (np.nan, np.inf, -np.inf)[self._count // 3 % 3]
        return found


def test_a_map_that_is_not_finite_is_never_a_pass(tmp_path: Path) -> None:
    line = make_line(loaded(tmp_path, "source.frames=60"), before=lambda _index: None, bent=Nan)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert [r["reason"] for r in found] == [None, None, "map_not_finite"] * 20
    assert [r["verdict"] for r in found] == ["pass", "pass", "invalid"] * 20
    sum_rule_of(line, found)


def test_a_frame_that_cannot_be_decoded_when_the_stage_starts_again_gives_its_slot_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, maps, passage = waiting(0)

    def no_memory(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(decoding, "decode_payload", no_memory)
    recipes = make_line(loaded(tmp_path)).recipes
    told: list[Any] = []
    judge = threading.Thread(target=lambda: _until_end(maps, told))
    judge.start()
    stages.infer_loop(passage, recipes, (None, None), None, lambda: True)  # type: ignore[arg-type]
    judge.join(PATIENCE_S)
    assert [skip.reason for skip in told] == ["bad_payload"]
    assert ring.fill == 0


def test_a_stage_that_waits_for_a_frame_keeps_nobody_from_giving_it_up() -> None:
    ring, _, passage = waiting(0)
    ring._closed = False
    taken: list[Any] = []
    taker = threading.Thread(target=lambda: taken.append(passage.take(60)))
    taker.start()
    while not ring._filled._waiters:  # type: ignore[attr-defined]
        time.sleep(0.001)
    assert passage._lock.acquire(timeout=PATIENCE_S)
    passage._lock.release()
    assert len(passage.give_up()) == 1
    ring.close()
    taker.join(PATIENCE_S)
    assert isinstance(taken[0], End)
