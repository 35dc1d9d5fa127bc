"""The whole line: every frame in exactly one record, whatever engine and outputs do."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.graphs import nan_model
from support.lines import BASE, Bent, Overlapped, frame_ids, loaded, make_line, records, run, slow, stable_lines

from edge.config.bundle_spec import BundleSpec
from edge.engines.line_engine import open_line_engine
from edge.frames import Frame, FrameMeta, Payload
from edge.line import drain as drain_module
from edge.line import recipe, stages
from edge.line.recipe import open_model
from edge.line.record import record
from edge.line.replay import ReplayOptions, replay
from edge.models.calibrate.measure import measure
from edge.models.write import write_bundle
from edge.outputs.evidence import sink as evidence_sink
from edge.outputs.evidence.pool import Copies
from edge.outputs.protocol import OutputStatus
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink
from edge.service import daemon
from edge.sources.in_memory import MemorySource
from edge.sources.protocol import SourceStatus
from edge.sources.recorded import RecordedSource
from edge.storage.recording import read_recording
from edge.wire.encode import Wire


class SlowSink(Sink):
    """An output that takes 20 ms for each record."""

    name = "slow"

    def __init__(self) -> None:
        self.written = 0

    def write(self, record: Any, kept: Any) -> None:
        time.sleep(0.02)
        self.written += 1


def test_a_payload_that_cannot_be_decoded_is_logged_once_and_recorded_each_time(tmp_path: Path) -> None:
    class Odd(MemorySource):
        def read(self, timeout_s: float) -> Any:
            item = super().read(timeout_s)
            return replace(item, meta=replace(item.meta, pixel_format="YUV422_8")) if isinstance(item, Payload) else item

    with capture_logs() as logs:
        line = make_line(loaded(tmp_path), source=Odd([np.zeros((4, 3), np.uint8)], 20))
        assert run(line) == 0
    assert [r["reason"] for r in records(tmp_path / "log")] == ["bad_payload"] * 20
    assert [(e["frame_id"], e["error"]) for e in logs if e["event"] == "bad_payload"] == [
        (0, "ValueError: YUV422_8 3x4 needs 24 bytes, got 12")
    ]


def test_500_frames_in_are_500_records_out(tmp_path: Path) -> None:
    line = make_line(loaded(tmp_path, "source.frames=500"))
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert [r["seq"] for r in found] == list(range(500))
    assert frame_ids(found) == list(range(1, 501))
    assert {(r["kind"], r["verdict"]) for r in found} == {("inspection", "pass")}
    assert line.source.status().announced == line.tally.accounted == 500


def test_a_slow_output_loses_its_own_records_and_nobody_else_s(tmp_path: Path) -> None:
    sink = SlowSink()
    slow_output = Queued(sink, 10, "drop")
    line = make_line(loaded(tmp_path, "source.frames=500"), more_outputs=[slow_output])
    assert run(line) == 0
    assert [r["seq"] for r in records(tmp_path / "log")] == list(range(500))
    status = slow_output.status()
    assert status.lost > 400
    assert sink.written + status.lost == 500


def test_with_a_ring_of_4_and_a_slow_engine_the_sum_rule_holds_in_order(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=400", "source.frames=300", "ring.slots=4")
    line = make_line(config, before=slow(0.01))
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert [r["seq"] for r in found] == list(range(len(found)))
    assert frame_ids(found) == list(range(1, 301))
    assert line.source.status().announced == line.tally.accounted == 300
    lost = sum(r["count"] for r in found if r["kind"] == "skip")
    assert 100 < lost < 290
    assert {r["reason"] for r in found if r["kind"] == "skip"} <= {"ring_full", "frame_id_gap"}
    assert all(r["verdict"] == "invalid" for r in found if r["kind"] == "skip")


def test_an_engine_that_raises_costs_its_frame_a_verdict_and_nothing_else(tmp_path: Path) -> None:
    def raises_twice(index: int) -> None:
        if index in (10, 20):
            raise RuntimeError("CUDA error 700")

    line = make_line(loaded(tmp_path), before=raises_twice)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, 51))
    assert [r["seq"] for r in found if r["reason"] == "engine_error"] == [10, 20]
    assert [r["verdict"] for r in found if r["reason"] == "engine_error"] == ["invalid", "invalid"]
    assert line.workers[1].restarted == 2


def test_an_engine_that_always_raises_spends_its_budget_and_every_frame_read_has_a_record(tmp_path: Path) -> None:
    def raises(_index: int) -> None:
        raise RuntimeError("out of memory")

    line = make_line(loaded(tmp_path, "supervise.restarts=3"), before=raises)
    assert run(line) == 3
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, len(frame_ids(found)) + 1))
    assert line.source.status().announced == line.tally.accounted
    assert [r["reason"] for r in found[:4]] == ["engine_error"] * 4
    assert {r["reason"] for r in found[4:]} <= {"shutdown"}


def test_an_engine_with_two_frames_in_its_hands_keeps_the_order_of_frames_and_losses(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=300", "source.frames=200", "ring.slots=4", "regions.threshold={high: 0.8175}")
    line = make_line(config, before=slow(0.008), bent=Overlapped)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, 201))
    assert "skip" in {r["kind"] for r in found}
    assert line.recipes.current.engine.most == 2  # type: ignore[attr-defined]
    assert line.source.status().announced == line.tally.accounted == 200


def test_the_same_verdicts_come_from_an_engine_that_overlaps(tmp_path: Path) -> None:
    lines = []
    for name, bent in (("one", Bent), ("two", Overlapped)):
        config = loaded(tmp_path, "regions.threshold={high: 0.8175}", f"outputs.jsonl.dir={name}")
        assert run(make_line(config, before=lambda _index: None, bent=bent)) == 0
        lines.append([(r["seq"], r["frame_id"], r["verdict"], r["map_max"]) for r in records(tmp_path / name)])
    assert lines[0] == lines[1]
    assert len(lines[0]) == 50


def test_frames_behind_one_that_failed_in_the_engine_are_accounted_for(tmp_path: Path) -> None:
    def raises_once(index: int) -> None:
        if index == 10:
            raise RuntimeError("CUDA error 700")

    line = make_line(loaded(tmp_path), before=raises_once, bent=Overlapped)
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, 51))
    # the next frame fails with it where the camera was fast enough to have both in the engine
    assert [r["seq"] for r in found if r["reason"] == "engine_error"] in ([10], [10, 11])
    assert line.workers[1].restarted == 1


def test_a_map_with_nan_is_no_verdict(tmp_path: Path) -> None:
    spec = BundleSpec.model_validate({"name": "nan", "input": {"channels": 1, "size": "any"}, "resize": {"where": "none"}})
    write_bundle(tmp_path / "bundle", nan_model(only_where_black=True), spec)
    line = make_line(loaded(tmp_path), source=MemorySource([np.zeros((64, 64), np.uint8)], 6))
    assert run(line) == 0
    assert {(r["verdict"], r["reason"], r["map_max"]) for r in records(tmp_path / "log")} == {
        ("invalid", "map_not_finite", None)
    }


def test_a_frame_of_another_size_than_the_model_takes_is_no_verdict(tmp_path: Path) -> None:
    from support.graphs import write_identity_bundle

    write_identity_bundle(tmp_path / "bundle", size=(64, 64))
    pictures = [np.full((64, 64), 10, np.uint8), np.full((48, 80), 10, np.uint8)]
    line = make_line(loaded(tmp_path), source=MemorySource(pictures, 6))
    assert run(line) == 0
    assert [(r["verdict"], r["reason"]) for r in records(tmp_path / "log")] == [
        ("pass", None),
        ("invalid", "frame_size"),
    ] * 3


def test_an_roi_outside_a_frame_of_this_size_is_no_verdict(tmp_path: Path) -> None:
    text = BASE.replace("threshold:", "roi: {units: image_px, include: [[70, 0, 80, 40]]}, threshold:")
    pictures = [np.full((48, 80), 10, np.uint8), np.full((64, 64), 10, np.uint8)]
    text = text.replace(
        "kind: synthetic, width: 64, height: 64, fps: null, frames: 50", "kind: recorded, path: x, pace: max"
    )
    line = make_line(loaded(tmp_path, text=text), source=MemorySource(pictures, 4))
    assert run(line) == 0
    assert [(r["verdict"], r["reason"]) for r in records(tmp_path / "log")] == [
        ("pass", None),
        ("invalid", "frame_size"),
    ] * 2


def test_a_verdict_after_the_deadline_is_invalid(tmp_path: Path) -> None:
    def once_slow(index: int) -> None:
        if index == 5:
            time.sleep(0.5)

    config = loaded(tmp_path, "deadline_ms=250", "source.fps=20", "source.frames=10", "ring.slots=32")
    line = make_line(config, before=once_slow)
    assert run(line) == 0
    reasons = [r["reason"] for r in records(tmp_path / "log")]
    assert reasons[5] == "late"
    assert reasons[:5] == [None] * 5


def test_told_to_stop_the_line_accounts_for_every_frame_that_it_read(tmp_path: Path) -> None:
    config = loaded(tmp_path, "source.fps=100", "source.frames=null", "ring.slots=200")
    line = make_line(config, before=slow(0.3))
    stop = threading.Event()
    threading.Timer(1.0, stop.set).start()
    assert run(line, stop) == 0
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, line.source.status().announced + 1))
    assert found[-1]["reason"] == "shutdown"
    assert line.source.status().announced == line.tally.accounted


def test_told_to_stop_in_the_middle_of_a_long_call_the_line_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is allowed its time is no hang: its frame and those behind it are told as lost, and the code is 0."""
    for name in ("DRAIN_S", "LAST_S"):
        monkeypatch.setattr(drain_module, name, 0.1)
    called, let_go = threading.Event(), threading.Event()

    def long_at_5(index: int) -> None:
        if index == 5:
            called.set()
            let_go.wait(60)

    line = make_line(loaded(tmp_path, "source.fps=50", "source.frames=null", "ring.slots=200"), before=long_at_5)
    stop = threading.Event()
    threading.Thread(target=lambda: (called.wait(60), time.sleep(0.2), stop.set()), daemon=True).start()
    assert run(line, stop) == 0
    let_go.set()
    assert line.workers[1].join(60)
    found = records(tmp_path / "log")
    assert frame_ids(found) == list(range(1, line.source.status().announced + 1))
    assert {r["reason"] for r in found if r["kind"] == "skip"} == {"shutdown"}
    assert len([r for r in found if r["kind"] == "inspection"]) == 5


def test_what_a_live_run_recorded_replays_to_the_same_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, lateness and verdicts included, byte for byte under ``wire.stable``."""
    # each picture is synced: a disk that stalls fills the 8 buffers, and what isn't kept can't be replayed
    monkeypatch.setattr(evidence_sink, "Copies", lambda _buffers, *rest, **maps: Copies(120, *rest, **maps))
    config = loaded(
        tmp_path,
        "source.fps=30",
        "source.frames=120",
        "ring.slots=4",
        "deadline_ms=150",
        "regions.threshold={high: 0.8175}",  # between 208 and 209: about half of the frames
        "outputs.evidence={dir: evidence, keep: [pass, fail, invalid], overlays: false}",
    )

    def sometimes_slow(index: int) -> None:
        time.sleep(0.2 if index % 20 == 10 else 0.002)

    assert run(make_line(config, before=sometimes_slow)) == 0
    live = records(tmp_path / "log")
    assert {r["verdict"] for r in live} == {"pass", "fail", "invalid"}
    assert {"ring_full", "late"} <= {r["reason"] for r in live}
    source = RecordedSource(tmp_path / "evidence", "max", 10.0)
    code, line = replay(config, source, ReplayOptions(tmp_path / "again"), threading.Event(), lambda *_: None)
    assert code == 0
    again = records(tmp_path / "again")
    assert stable_lines(again) == stable_lines(live)
    assert {r["simulated"] for r in again} == {True}
    assert line.tally.accounted == 120


def test_the_ring_is_the_only_copy_of_a_frame(tmp_path: Path) -> None:
    """Bytes moved into the ring are the bytes of the frames; nothing else copies a grey frame of the model's size."""
    line = make_line(loaded(tmp_path))
    assert run(line) == 0
    assert line.ring.copied_bytes == 50 * 64 * 64


def test_outputs_hear_the_state_and_a_heartbeat(tmp_path: Path) -> None:
    heard: dict[str, list[Any]] = {"states": [], "beats": []}

    class Ear(SlowSink):
        name = "ear"

        def write(self, record: Any, kept: Any) -> None:
            pass

        def state(self, state: Any) -> None:
            heard["states"].append(state)

        def tick(self, heartbeat: Any) -> None:
            heard["beats"].append(heartbeat)

    config = loaded(tmp_path, "source.fps=40", "source.frames=50", "ring.slots=64")
    assert run(make_line(config, more_outputs=[Queued(Ear(), 100, "drop")])) == 0
    states = heard["states"]
    assert states[-1].line_state == "Halted"
    assert "ContinuousExecution" in {s.line_state for s in states}
    assert [s.state_seq for s in states] == sorted({s.state_seq for s in states})
    assert states[-1].faults == ()
    assert states[-1].engine["threshold"] == "explicit"
    assert len(heard["beats"]) >= 3
    assert heard["beats"][-1].last_seq == 49


def test_an_output_that_fails_is_a_fault_in_the_state(tmp_path: Path) -> None:
    class Broken(SlowSink):
        name = "broken"

        def write(self, record: Any, kept: Any) -> None:
            raise OSError(28, "No space left on device")

    states: list[Any] = []

    class Ear(SlowSink):
        name = "ear"

        def state(self, state: Any) -> None:
            states.append(state)

    config = loaded(tmp_path, "source.fps=40", "source.frames=20", "ring.slots=64")
    outputs = [Queued(Broken(), 100, "drop"), Queued(Ear(), 1000, "drop")]
    assert run(make_line(config, more_outputs=outputs)) == 0
    assert any(f.code == "output_broken" and f.text == "No space left on device" for s in states for f in s.faults)
    assert frame_ids(records(tmp_path / "log")) == list(range(1, 21))


class Miscounting(MemorySource):
    """Announces one frame, the 30th, that it never gives."""

    def status(self) -> SourceStatus:
        status = super().status()
        return replace(status, announced=status.announced + (status.announced >= 30))


def test_a_broken_sum_rule_shows_in_the_state_while_the_line_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint goes the frames' own way, so that frames in flight are no difference."""
    monkeypatch.setattr(stages, "CHECK_S", 0.0)
    pictures = [np.full((64, 64), 10, np.uint8)]
    line = make_line(loaded(tmp_path), source=Miscounting(pictures, 100))
    line.start(threading.Event())
    while line.tally.sum_fault is None and not line.over:
        line.workers[2].join(0.001)
    fault = "the source announced 31 frames, the records account for 30"
    assert line._sum_fault() == {"sum_rule": fault}
    while not line.over:
        line.workers[2].join(0.001)
    line.turn()
    line.stop()
    assert line._sum_fault() == {"sum_rule": fault}, "once broken, it is told until the end"


def test_the_sum_rule_is_checked_live_and_holds_under_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With losses in source and ring, and frames in flight at every check."""
    monkeypatch.setattr(stages, "CHECK_S", 0.01)
    config = loaded(tmp_path, "source.fps=400", "source.frames=200", "ring.slots=4")
    line = make_line(config, before=slow(0.004))
    assert run(line) == 0
    assert line.tally.skipped_frames
    assert line.tally.sum_checks > 10
    assert line.tally.sum_fault is None
    assert line.heartbeat().counters["sum_checks"] == line.tally.sum_checks
    assert line.heartbeat().counters["source_frame_id_gap"] == line.source.status().counters["frame_id_gap"]


class Unusable(MemorySource):
    """Frames come, and the camera's own part says that none of them can be used."""

    def status(self) -> SourceStatus:
        return replace(super().status(), state="streaming", problem="no frame could be read: GenDC payloads")


def test_frames_that_cannot_be_used_are_a_fault_and_not_ready(tmp_path: Path) -> None:
    line = make_line(loaded(tmp_path), source=Unusable([np.full((64, 64), 10, np.uint8)], 20))
    line.start(threading.Event())
    line.turn()
    shot = line.snapshot()
    line.stop()
    assert (shot.live, shot.ready) == (True, False)
    assert shot.text == "streaming: no frame could be read: GenDC payloads"
    assert shot.faults == ("source_problem",)


class Deaf:
    """An output that takes all the time it is given to close."""

    def __init__(self, name: str, clock: list[float]) -> None:
        self.name = name
        self.given_s: list[float] = []
        self._clock = clock

    def start(self) -> None: ...

    def accept(self, record: Any, frame: Any, judged: Any) -> None: ...

    def skip(self, record: Any) -> None: ...

    def state(self, state: Any) -> None: ...

    def tick(self, heartbeat: Any) -> None: ...

    def status(self) -> OutputStatus:
        return OutputStatus(0, 0, None)

    log_lost = False

    def close(self, timeout_s: float) -> None:
        self.given_s.append(timeout_s)
        self._clock[0] += timeout_s


def test_however_many_outputs_hang_the_service_manager_s_patience_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Draining and closing take 5 s at most, less than TimeoutStopSec of the unit, after which systemd kills."""
    clock = [0.0]
    outputs = [Deaf(f"deaf{k}", clock) for k in range(4)]
    config = loaded(tmp_path, "source.fps=1000")
    line = make_line(config, more_outputs=outputs)
    monkeypatch.setattr(drain_module.time, "monotonic", lambda: clock[0])
    drain_module.close_outputs(line.outputs, live=True)
    given = [seconds for output in outputs for seconds in output.given_s]
    assert given == pytest.approx([1.0, 0.4, 0.2, 0.2])
    unit = (Path(__file__).parents[2] / "systemd" / "edge@.service").read_text()
    (patience,) = [line for line in unit.splitlines() if line.startswith("TimeoutStopSec=")]
    longest = drain_module.DRAIN_S + 2 * drain_module.LAST_S + sum(given)
    assert longest <= 5.0
    assert longest + 2.0 < float(patience.partition("=")[2])


class Forgetful(SlowSink):
    """A log without which no verdict counts, and which loses the records 20 to 24."""

    name = "forgetful"
    required = True

    def write(self, record: Any, kept: Any) -> None:
        if 20 <= record.seq < 25:
            raise OSError(28, "No space left on device")


class Publisher(SlowSink):
    """Counts the verdicts that it is given."""

    name = "publisher"

    def __init__(self) -> None:
        super().__init__()
        self.verdicts = {"pass": 0, "fail": 0, "invalid": 0}

    def write(self, record: Any, kept: Any) -> None:
        self.verdicts[record.verdict] += 1


def test_verdicts_are_counted_as_they_were_published(tmp_path: Path) -> None:
    """A pass whose record the log lost was published as invalid, after the judge had counted a pass."""
    publisher = Publisher()
    first = Queued(Forgetful(), 1000, "drop")
    line = make_line(loaded(tmp_path), more_outputs=[first, Queued(publisher, 1000, "drop", after=first)])
    with capture_logs() as logs:
        assert run(line) == 0
    assert sum(publisher.verdicts.values()) == 50
    assert publisher.verdicts["invalid"] >= 5
    assert line.verdicts == publisher.verdicts
    assert {name: line.heartbeat().counters[name] for name in publisher.verdicts} == publisher.verdicts
    (told,) = [entry for entry in logs if entry["event"] == "stopped"]
    assert told["verdicts"] == publisher.verdicts


class Flapping(MemorySource):
    """A camera that is gone after ten frames, for the fourth time."""

    def __init__(self, picture: Any) -> None:
        super().__init__([picture], None)
        self.gone = threading.Event()

    def status(self) -> SourceStatus:
        status = super().status()
        gone = status.announced >= 10
        return replace(status, state="lost" if gone else "streaming", counters={"reconnects": 3})

    def read(self, timeout_s: float) -> Any:
        if self.status().state == "lost":
            self.gone.set()
            return None
        return super().read(timeout_s)


def test_the_daemon_s_exit_status_after_its_reconnections_is_one_that_systemd_restarts(tmp_path: Path) -> None:
    text = BASE.replace("kind: synthetic, width: 64, height: 64, fps: null, frames: 50", "kind: genicam")
    config = loaded(tmp_path, "source.max_reconnects=1", text=text)
    with capture_logs() as logs:
        assert daemon.run_daemon(config, source=Flapping(np.full((64, 64), 10, np.uint8))) == 5
    (told,) = [log for log in logs if log["event"] == "exit"]
    assert told["reason"] == "the camera is gone again after source.max_reconnects reconnections"
    assert list(tmp_path.rglob("ended.json")) == []  # it gave up: no end that `edge fleet` shows in grey
    unit = (Path(__file__).parents[2] / "systemd" / "edge@.service").read_text()
    (kept_down,) = [line for line in unit.splitlines() if line.startswith("RestartPreventExitStatus=")]
    assert "5" not in kept_down.partition("=")[2].split()


@pytest.mark.parametrize(("limit", "code"), [("3", 5), ("4", 0), ("null", 0)])
def test_after_its_reconnections_the_next_loss_ends_the_process_with_5(tmp_path: Path, limit: str, code: int) -> None:
    """And what was read has its record."""
    text = BASE.replace("kind: synthetic, width: 64, height: 64, fps: null, frames: 50", "kind: genicam")
    config = loaded(tmp_path, f"source.max_reconnects={limit}", text=text)
    camera = Flapping(np.full((64, 64), 10, np.uint8))
    stop = threading.Event()
    if code == 0:  # nothing but a person ends it, some time after the loss
        threading.Thread(target=lambda: (camera.gone.wait(60), time.sleep(1.0), stop.set()), daemon=True).start()
    assert run(make_line(config, source=camera), stop) == code
    assert frame_ids(records(tmp_path / "log")) == list(range(10))


def test_a_camera_of_12_bits_is_brought_to_8_by_the_config_s_window(tmp_path: Path) -> None:
    """In the infer stage: 1000 of [0, 2000] is 128 of 255, and the identity model shows 128 / 255."""
    text = BASE.replace("kind: synthetic, width: 64, height: 64, fps: null, frames: 50", "kind: genicam")
    config = loaded(tmp_path, "source.bit_depth=8", "source.window=[0, 2000]", text=text)
    line = make_line(config, source=MemorySource([np.full((64, 64), 1000, np.uint16)], 3))
    assert run(line) == 0
    assert [r["map_max"] for r in records(tmp_path / "log")] == [pytest.approx(128 / 255)] * 3


def test_what_is_recorded_and_calibrated_on_is_what_the_model_will_see(tmp_path: Path) -> None:
    """The window is applied on the way to the disk, and to files that hold more bits; a replay then has nothing to do."""
    text = BASE.replace("kind: synthetic, width: 64, height: 64, fps: null, frames: 50", "kind: genicam")
    config = loaded(tmp_path, "source.bit_depth=8", "source.window=[0, 2000]", text=text)
    deep = MemorySource([np.full((64, 64), 1000, np.uint16)], 2)
    told = record(config, deep, tmp_path / "r", 2, drops=False, stop=threading.Event(), progress=lambda _: None)
    assert told == (2, 0)
    for frame in read_recording(tmp_path / "r"):
        assert isinstance(frame, Frame)
        assert (frame.bits, int(frame.pixels[0, 0])) == (8, 128)
    meta = FrameMeta(0, "counted", 64, 64, "Mono12", 0, 0)
    twelve = Frame(meta, np.full((64, 64), 1000, np.uint16), 12)
    calibration, _ = measure(config.resolved, lambda: [twelve, twelve], source="two files")
    assert calibration.high == pytest.approx(128 / 255, rel=0.05)


def test_a_model_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    from edge.errors import UserError

    config = loaded(tmp_path)
    (tmp_path / "bundle" / "model.onnx").unlink()
    with pytest.raises(UserError, match=r"model\.onnx"):
        open_model(config)


def test_a_frame_whose_record_cannot_be_made_is_invalid_and_its_number_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a loss is told when the judge is started again."""
    failed: set[str] = set()

    def once(name: str, seq_at: int) -> None:
        whole = getattr(Wire, name)

        def encode(wire: Wire, seq: int, *more: Any) -> Any:
            if seq == seq_at and name not in failed:
                failed.add(name)
                raise MemoryError
            return whole(wire, seq, *more)

        monkeypatch.setattr(Wire, name, encode)

    once("inspection", 4)
    once("skip", 8)

    class Odd(MemorySource):
        def read(self, timeout_s: float) -> Any:
            item = super().read(timeout_s)
            if isinstance(item, Payload) and item.meta.frame_id == 8:
                return replace(item, meta=replace(item.meta, pixel_format="YUV422_8"))
            return item

    line = make_line(loaded(tmp_path), source=Odd([np.full((64, 64), 9, np.uint8)], 12))
    assert run(line) == 0
    found = records(tmp_path / "log")
    assert failed == {"inspection", "skip"}
    assert [r["seq"] for r in found] == frame_ids(found) == list(range(12))
    assert [r["reason"] for r in found if r["reason"]] == ["engine_error", "bad_payload"]
    assert found[4]["reason"] == "engine_error"
    assert line.tally.sum_fault is None
    assert line.ring.fill == 0


def test_a_frame_that_the_source_was_reading_when_told_to_stop_has_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read takes longer than the half of the time that there is to drain."""
    monkeypatch.setattr(drain_module, "LAST_S", 20.0)  # on a slow machine it is a shutdown skip
    reading, let_go = threading.Event(), threading.Event()

    class Slow(MemorySource):
        def read(self, timeout_s: float) -> Any:
            if self._next == 10:
                reading.set()
                let_go.wait(60)
            return super().read(timeout_s)

    config = loaded(tmp_path, "supervise.limit_s=60")
    line = make_line(config, source=Slow([np.full((64, 64), 9, np.uint8)], None, fps=200))
    stop = threading.Event()
    line.start(stop)
    assert reading.wait(60)
    threading.Timer(1.3, let_go.set).start()
    assert line.stop()
    assert line.workers[0].join(60)
    assert line.source.status().announced == line.tally.accounted == 11
    assert frame_ids(records(tmp_path / "log")) == list(range(11))


def test_a_source_that_gives_a_frame_after_the_last_moment_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its call was allowed its time, so that nothing hangs; the frame has no record, and the sum rule says so."""
    for name in ("DRAIN_S", "LAST_S"):
        monkeypatch.setattr(drain_module, name, 0.1)
    let_go = threading.Event()
    reading = threading.Event()

    class Slow(MemorySource):
        def read(self, timeout_s: float) -> Any:
            if self._next == 10:
                reading.set()
                let_go.wait(60)
            return super().read(timeout_s)

    class Closing(SlowSink):
        """An output during whose close the frame comes."""

        def close(self) -> None:
            let_go.set()
            line.workers[0].join(60)

    config = loaded(tmp_path, "supervise.limit_s=60")
    outputs = [Queued(Closing(), 100, "wait")]
    line = make_line(config, source=Slow([np.full((64, 64), 9, np.uint8)], None, fps=200), more_outputs=outputs)
    monkeypatch.setattr(drain_module, "CLOSE_REPLAY_S", 60.0)
    line.ring.drops = False  # time enough to close
    line.start(threading.Event())
    assert reading.wait(60)
    with capture_logs() as logs:
        assert line.stop()
    (told,) = [entry for entry in logs if entry["event"] == "stopped"]
    assert told["sum_rule"] == "the source announced 11 frames, the records account for 10"


class Unopened(MemorySource):
    """A driver that raises, or never returns."""

    def __init__(self, act: Any) -> None:
        super().__init__([np.zeros((64, 64), np.uint8)], 5)
        self._act = act

    def open(self) -> None:
        self._act()


def refuse() -> None:
    raise RuntimeError("driver said no")


def test_a_source_that_cannot_be_opened_spends_its_restarts_and_ends_with_3(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert daemon.run_daemon(loaded(tmp_path), source=Unopened(refuse)) == 3
    (told,) = [log for log in logs if log["event"] == "exit"]
    assert told["reason"] == "a stage failed more often than its budget allows"
    assert not [log for log in logs if log["event"] == "ready"]


def test_a_source_whose_open_never_returns_is_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.line.line.NOBODY_WAITS", 1)
    let_go = threading.Event()
    line = make_line(loaded(tmp_path, "supervise.limit_s=1.0"), source=Unopened(lambda: let_go.wait(60)))
    try:
        assert run(line) == 4
        assert line._health.hung == "acquire"
        assert not line.started
    finally:
        let_go.set()


def test_a_model_whose_roi_does_not_fit_is_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload that is refused keeps no memory."""
    from edge.errors import UserError

    closed: list[bool] = []

    def opened(*args: Any, **keys: Any) -> Bent:
        engine = Bent(open_line_engine(*args, **keys), lambda _index: None)
        monkeypatch.setattr(engine, "close", lambda: closed.append(True))
        return engine

    monkeypatch.setattr(recipe, "open_line_engine", opened)
    text = BASE.replace("threshold:", "roi: {units: image_px, include: [[500, 500, 600, 600]]}, threshold:")
    with pytest.raises(UserError):
        open_model(loaded(tmp_path, text=text))
    assert closed == [True]
