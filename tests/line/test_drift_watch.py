"""A line that watches: what locks, what only warns, and that the same frames find the same drift at the same frame."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs
from support.drifts import framed, picture, spells, statistics, watch
from support.evidence import sink_in
from support.lines import loaded, make_line, records, stable_lines
from support.waits import PATIENCE_S, until

from edge.drift.statistics import NAMES
from edge.frames import State
from edge.line.drift_watch import DriftWatch
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.run import run_line
from edge.outputs.evidence.sink import EvidenceSink
from edge.outputs.protocol import OutputStatus
from edge.service.health_server import Metrics
from edge.sources.in_memory import MemorySource
from edge.sources.recorded import RecordedSource
from edge.storage.log_files import read_messages, segments

CLIPPED = spells((60, {}), (40, {"clipped": True}), (60, {}))


class States:
    """An output that keeps every state and heartbeat."""

    name = "states"
    log_lost = False

    def __init__(self) -> None:
        self.states: list[State] = []
        self.beats: list[Any] = []

    def start(self) -> None: ...
    def accept(self, *_: object) -> None: ...
    def skip(self, *_: object) -> None: ...
    def made_by(self, *_: object) -> None: ...
    def close(self, *_: object) -> None: ...
    def state(self, state: State) -> None:
        self.states.append(state)

    def tick(self, beat: Any) -> None:
        self.beats.append(beat)

    def status(self) -> OutputStatus:
        return OutputStatus(0, 0, None)


class AtOnce(States):
    """Evidence that is written in the judge's thread, so that no frame is lost for want of a buffer."""

    def __init__(self, sink: EvidenceSink) -> None:
        super().__init__()
        self._sink = sink
        self.start, self.close = sink.open, lambda *_: sink.close()  # type: ignore[method-assign]

    def accept(self, record: Any, frame: Any, judged: Any) -> None:  # type: ignore[override]
        self._sink.write(record, self._sink.keep(record, frame, judged))


def inspect(
    folder: Path, pictures: Any, watching: DriftWatch | None, *overrides: str, **more: Any
) -> tuple[list[dict[str, Any]], Line]:
    """Every record of a run over the pictures."""
    config = loaded(folder, *overrides)
    line = make_line(config, source=MemorySource(pictures, len(pictures)), watch=watching, **more)
    stop = threading.Event()
    line.start(stop)
    assert run_line(line, stop, lambda *_: None) == 0
    return records(folder / "log"), line


def runs_of(logged: list[dict[str, Any]]) -> list[tuple[str, str | None, int, int]]:
    """Verdict, reason, and the first and last frame of each stretch of them."""
    found: list[tuple[str, str | None, int, int]] = []
    for record in logged:
        here = record["verdict"], record["reason"]
        if found and found[-1][:2] == here:
            found[-1] = (*here, found[-1][2], record["frame_id"])
        else:
            found.append((*here, record["frame_id"], record["frame_id"]))
    return found


def test_frames_of_a_clipped_picture_are_invalid_within_a_block_and_pass_again_by_themselves(tmp_path: Path) -> None:
    with capture_logs() as logs:
        logged, line = inspect(tmp_path, CLIPPED, watch())
    # four of five measured frames show it, which are half a block of every second frame; two of five no longer do
    assert runs_of(logged) == [
        ("pass", None, 0, 66),
        ("invalid", "drift_clipped", 67, 104),
        ("pass", None, 105, 159),
    ]
    assert line.tally.invalid_reasons == {"drift_clipped": 38}
    assert line.tally.accounted == 160
    assert all(record["drift"] is None for record in logged)
    assert all(record["map_max"] is not None for record in logged)
    first = next(e for e in logs if e["event"] == "drift")
    assert (first["drift_level"], first["cause"], first["group"]) == ("lock", "clipped", "lighting")
    assert first["words"] == "the picture is overexposed or black; frames are invalid: drift_clipped"


def test_a_verdict_that_failed_is_invalid_while_the_line_is_locked(tmp_path: Path) -> None:
    pictures = [p.copy() for p in CLIPPED]
    for k in (10, 80):
        pictures[k][20:24, 20:24] = 250  # beyond the threshold of the map
    logged, _ = inspect(tmp_path, pictures, watch(), "regions.threshold.high=0.95")
    by_id = {record["frame_id"]: (record["verdict"], record["reason"]) for record in logged}
    assert by_id[10] == ("fail", None)
    assert by_id[80] == ("invalid", "drift_clipped")


def test_a_cause_that_isn_t_to_lock_is_told_and_passes(tmp_path: Path) -> None:
    watching = watch(lock=())
    logged, _ = inspect(tmp_path, CLIPPED[:100], watching)
    assert {record["verdict"] for record in logged} == {"pass"}
    assert watching.in_state is not None
    assert (watching.in_state["breaches"], watching.in_state["locks"]) == (["clipped"], [])
    assert watching.faults() == {}


def test_brighter_light_is_named_and_never_locks(tmp_path: Path) -> None:
    states = States()
    logged, _ = inspect(
        tmp_path,
        spells((40, {}), (160, {"level": 130})),
        watch(),
        "drift={in_records: true}",
        more_outputs=[states],
    )
    assert {record["verdict"] for record in logged} == {"pass"}
    levels = [None if record["drift"] is None else record["drift"]["level"] for record in logged]
    assert levels == [None] * 59 + ["info"] * 20 + ["warn"] * 121
    last = logged[-1]["drift"]
    assert (last["cause"], last["group"], last["statistic"], last["locks"]) == ("brightness", "lighting", "log_gain", [])
    assert "since_ns" not in last
    state = states.states[-1].drift
    assert state is not None
    assert {k: v for k, v in state.items() if k != "since_ns"} == last
    assert state["since_ns"] > 0
    assert states.states[0].drift is None
    assert states.states[-1].drift_block is not None
    assert states.states[-1].drift_block["statistics"]["log_gain"][0] > 0.2
    assert not any(fault.code.startswith("drift") for s in states.states for fault in s.faults)
    kinds = [m["kind"] for path in segments(tmp_path / "log") for m in read_messages(path)]
    assert kinds.count("drift") == 2


@pytest.mark.parametrize("pictures", [CLIPPED, spells((40, {}), (160, {"level": 130}))], ids=["clipped", "brighter"])
def test_the_same_frames_give_the_same_bytes(tmp_path: Path, pictures: Any) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        logged, _ = inspect(tmp_path / name, pictures, watch(), "drift={in_records: true}")
        found.append(stable_lines(logged))
    assert found[0] == found[1]


def test_a_lock_is_a_fault_that_state_metrics_and_ready_tell(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    states = States()
    pictures = spells((4, {}), (60, {"clipped": True}))
    source = MemorySource([pictures[0], *pictures[10:60]], None)
    watching = watch()
    line = make_line(config, source=source, watch=watching, more_outputs=[states])
    stop = threading.Event()
    thread = threading.Thread(target=lambda: (line.start(stop), run_line(line, stop, lambda *_: None)))
    thread.start()
    try:
        until(lambda: any(s.drift and s.drift["locks"] for s in states.states))
        registry = CollectorRegistry()
        registry.register(Metrics(line.tally, line.ring, line.snapshot))
        text = generate_latest(registry).decode()
        shot = line.snapshot()
        until(lambda: any("drift_measured" in beat.counters for beat in states.beats))
    finally:
        stop.set()
        thread.join(PATIENCE_S)
    assert 'edge_drift_lock{camera="cam1",reason="drift_clipped"} 1.0' in text
    assert 'edge_drift_events_total{camera="cam1",event="locks"} 1.0' in text
    assert (shot.ready, shot.live) == (True, True)
    assert "frames are invalid: drift_clipped" in shot.text
    faults = {fault.code: fault.text for s in states.states for fault in s.faults}
    assert faults["drift_clipped"] == "the picture is overexposed or black: every frame is invalid until that is over"


def test_a_frame_that_cannot_be_measured_costs_no_record_and_is_a_fault(tmp_path: Path) -> None:
    def broken(frame: Any) -> Any:
        if frame.meta.frame_id % 4 == 0:
            raise ValueError("the frame is 32x32, expected 64x48")
        return statistics(frame)

    watching = watch(measure=broken)
    logged, line = inspect(tmp_path, CLIPPED[:41], watching)
    assert [record["verdict"] for record in logged] == ["pass"] * 41
    assert watching.status().counters == {"measured": 10, "locks": 0, "errors": 11}
    assert watching.faults() == {
        "drift_not_measured": "drift can't be noticed: ValueError: the frame is 32x32, expected 64x48"
    }
    assert line.workers[2].restarted == 0


def test_a_stage_that_is_restarted_changes_nothing_about_the_drift(tmp_path: Path) -> None:
    def before(index: int) -> None:
        if index in (30, 70):
            raise RuntimeError("the runtime had enough")

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    logged, line = inspect(tmp_path / "a", CLIPPED, watch(), before=before)
    assert line.workers[1].restarted == 2
    calm, _ = inspect(tmp_path / "b", CLIPPED, watch())
    by_id = {record["frame_id"]: record["reason"] for record in logged}
    assert by_id[30] == "engine_error"
    assert by_id[70] == "engine_error"  # what was wrong first is reported
    assert {k: v for k, v in by_id.items() if v != "engine_error"} == {
        r["frame_id"]: r["reason"] for r in calm if by_id[r["frame_id"]] != "engine_error"
    }


def test_a_reload_ends_a_lock_only_where_it_compares_with_something_else(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    line = make_line(config, watch=watch("a"))
    old = line.recipes.current.watch
    assert old is not None
    for k in range(20):
        old.see(framed(picture(k, clipped=True)))
    assert old.faults() != {}
    line.inspect_with(config, *open_model(config), watch("a"))
    assert line.recipes.current.watch is old
    line.inspect_with(config, *open_model(config), watch("b"))
    assert line.recipes.current.watch is not old
    assert line.recipes.current.watch is not None
    assert line.recipes.current.watch.faults() == {}
    line.inspect_with(config, *open_model(config), None)
    assert line.recipes.current.watch is None
    line.recipes.close()


def test_evidence_brings_the_drift_of_its_time_with_it(tmp_path: Path) -> None:
    """Its frames have gaps between them: measured again, another drift would be found at other frames."""
    kept_there = AtOnce(sink_in(tmp_path / "evidence", keep=("invalid",)))
    logged, _ = inspect(tmp_path, CLIPPED, watch(), "drift={in_records: true}", more_outputs=[kept_there])
    kept = [record for record in logged if record["verdict"] == "invalid"]
    assert len(kept) == 38
    (tmp_path / "again").mkdir()
    config = loaded(tmp_path / "again", "drift={in_records: true}")
    watching = watch()
    line = make_line(config, source=RecordedSource(tmp_path / "evidence", "max"), watch=watching)
    stop = threading.Event()
    line.start(stop)
    assert run_line(line, stop, lambda *_: None) == 0
    again = records(tmp_path / "again" / "log")
    assert [(r["frame_id"], r["reason"], r["drift"]) for r in again] == [
        (r["frame_id"], r["reason"], r["drift"]) for r in kept
    ]
    assert watching.status().counters["measured"] == 0


def test_a_clock_that_steps_moves_a_stamp_and_no_lock(tmp_path: Path) -> None:
    watching = watch()
    frames = [framed(p) for p in CLIPPED]
    locked = []
    for k, frame in enumerate(frames):
        stamp = 10**18 + k * 10**7 - (10**15 if k > 75 else 0)
        locked.append(watching.of(frame.meta)[1])
        watching.see(replace(frame, meta=replace(frame.meta, received_ns=stamp)))
        assert watching.in_state is None or 0 < watching.in_state["since_ns"] <= 10**18 + 160 * 10**7
    assert [k for k, reason in enumerate(locked) if reason] == list(range(67, 105))


def test_measuring_keeps_no_pixels_of_aframed() -> None:
    seen: list[Any] = []

    def measure(frame: Any) -> Any:
        seen.append(frame.pixels)
        return statistics(frame)

    watching = watch(measure=measure)
    pixels = picture(1)
    for _ in range(4):
        watching.see(framed(pixels))
    assert [np.shares_memory(got, pixels) for got in seen] == [True, True]


def test_each_whole_block_is_told_with_the_band_in_which_it_is_usual() -> None:
    watching = watch()
    for k in range(20 * 2):
        watching.see(framed(picture(k)))
        assert (watching.block is None) == (k < 18)  # ten of every second frame
    assert watching.block is not None
    assert set(watching.block) == {"begun_ns", "ended_ns", "statistics"}
    assert list(watching.block["statistics"]) == list(NAMES)
    assert all(low < median < high for median, low, high in watching.block["statistics"].values())
    before = watching.block
    for k in range(20):
        watching.see(framed(picture(k, level=130)))
    median, low, high = watching.block["statistics"]["log_gain"]
    assert [low, high] == before["statistics"]["log_gain"][1:]
    assert median > high
