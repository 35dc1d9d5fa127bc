"""The log keeps every whole line through crashes, full disks and rotations."""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.disks import REMOTE
from support.records import DRIFT, FRAME, IDENTITY, STATE, WIRE, inspection, record, skip
from support.waits import PATIENCE_S

from edge.config.outputs import JsonlConfig
from edge.errors import UserError
from edge.outputs.jsonl import age
from edge.outputs.jsonl import sink as jsonl
from edge.outputs.jsonl.repair import repair
from edge.outputs.jsonl.sink import JsonlSink
from edge.outputs.queued import Queued
from edge.outputs.sink import Sink
from edge.report.log_summary import Filter, LogDamage, read_log
from edge.storage import disk
from edge.storage.log_files import read_messages, read_records
from edge.wire.encode import SCHEMA
from edge.wire.read import read


def opened(folder: Path, **keys: Any) -> JsonlSink:
    sink = JsonlSink(JsonlConfig(dir=folder, **{"compress": False, **keys}), folder, IDENTITY)
    sink.open()
    return sink


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jsonl"))


def seqs(path: Path) -> list[int]:
    return [message["seq"] for message in read_records(path)]


class Calls:
    """Counts calls of ``os.NAME`` and lets some of them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count = 0
        self.fail: Callable[[], int | None] = lambda: None
        real = getattr(os, name)

        def call(*args: Any) -> Any:
            self.count += 1
            number = self.fail()
            if number is not None:
                raise OSError(number, os.strerror(number))
            return real(*args)

        monkeypatch.setattr(os, name, call)


def test_a_file_begins_with_a_header_and_holds_one_line_per_record(tmp_path: Path) -> None:
    sink = opened(tmp_path / "made")
    lines = [record(0).line, WIRE.skip(1, skip(), 5).line]
    sink.write(record(0), None)
    sink.write(WIRE.skip(1, skip(), 5), None)
    (path,) = files(tmp_path / "made")
    assert sink.detail == {"file": str(path), "compression_stopped": False}
    sink.close()
    assert re.fullmatch(r"edge-cam1-\d{8}T\d{6}Z-000000\.jsonl", path.name)
    header, *rest = path.read_bytes().splitlines()
    assert rest == lines
    jsonschema.validate(read(header), SCHEMA)
    assert read(header)["kind"] == "header"
    assert seqs(path) == [0, 1]


def test_a_record_is_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(tmp_path)
    writes = Calls(monkeypatch, "write")
    for seq in range(10):
        sink.write(record(seq), None)
    assert writes.count == 10
    sink.close()


def drifting(seq: int, drift: dict[str, Any] | None) -> Any:
    return WIRE.inspection(seq, inspection(drift=drift), 2_000)


def test_a_change_of_drift_stands_before_the_first_record_that_it_holds_for(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    larger = DRIFT | {"size": 0.2, "z": 11.0}  # the same drift, a block later
    locked = DRIFT | {"level": "lock", "locks": ["clipped"]}
    for seq, drift in enumerate([None, DRIFT, larger, larger, locked, None]):
        sink.write(drifting(seq, drift), None)
    sink.close()
    (path,) = files(tmp_path)
    told = [(m["kind"], m["seq"]) for m in read_messages(path) if m["kind"] != "header"]
    assert told == [
        ("inspection", 0),
        *[("drift", 1), ("inspection", 1), ("inspection", 2), ("inspection", 3)],
        *[("drift", 4), ("inspection", 4), ("drift", 5), ("inspection", 5)],
    ]
    assert [m["drift"] and m["drift"]["level"] for m in read_messages(path) if m["kind"] == "drift"] == [
        "warn",
        "lock",
        None,
    ]
    assert seqs(path) == [0, 1, 2, 3, 4, 5]


def test_a_block_of_measured_frames_is_written_once_between_the_records(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    block = {"begun_ns": 1, "ended_ns": 2, "statistics": {"log_gain": [0.01, -0.1, 0.1]}}
    for seq, told in enumerate([None, block, block, {**block, "ended_ns": 3}]):
        sink.write(record(seq), None)
        sink.state(replace(STATE, state_seq=seq, drift_block=told))
    sink.close()
    (path,) = files(tmp_path)
    kinds = [m["kind"] for m in read_messages(path) if m["kind"] != "header"]
    assert kinds == [*["inspection"] * 2, "drift_block", *["inspection"] * 2, "drift_block"]
    assert [m["block"]["ended_ns"] for m in read_messages(path) if m["kind"] == "drift_block"] == [2, 3]
    assert seqs(path) == [0, 1, 2, 3]


def test_each_file_of_the_log_says_which_drift_it_begins_with(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for seq in range(0, 6, 3):
        sink.write(drifting(seq, DRIFT), None)
        sink.write(WIRE.skip(seq + 1, skip(), 5), None)
        sink.write(drifting(seq + 2, DRIFT), None)
        sink.recover()
    sink.close()
    kinds = [[m["kind"] for m in read_messages(path)] for path in files(tmp_path)]
    assert kinds == [["header", "drift", "inspection", "skip", "inspection"]] * 2 + [["header"]]


def test_a_short_write_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(tmp_path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:100]))
    sink.write(record(0), None)
    sink.close()
    assert seqs(files(tmp_path)[0]) == [0]


def test_a_line_cut_at_any_byte_is_moved_aside_and_nothing_else_is_lost(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    for seq in range(3):
        sink.write(record(seq), None)
    sink.close()
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    torn = Path(f"{path}.torn")
    for end in range(start, len(whole)):
        path.write_bytes(whole[:end])
        counts: dict[str, int] = {}
        assert [m["seq"] for m in read_records(path, counts)] == [0, 1]
        assert counts == {"torn": int(end > start), "unreadable": 0}
        assert repair(path) == end - start
        assert path.read_bytes() == whole[:start]
        assert (torn.read_bytes() if end > start else b"") == whole[start:end]
        torn.unlink(missing_ok=True)
    path.write_bytes(whole)
    assert repair(path) == 0
    assert path.read_bytes() == whole


def test_at_start_the_newest_file_is_mended_and_left_alone(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.write(record(0), None)
    first.write(record(1), None)
    first.close()
    (old,) = files(tmp_path)
    os.truncate(old, old.stat().st_size - 40)
    opened(tmp_path).close()
    assert seqs(old) == [0]
    assert len(files(tmp_path)) == 2
    torn_bytes = len(record(1).line) + 1 - 40
    assert [read(p.read_bytes().splitlines()[0])["torn_bytes"] for p in files(tmp_path)] == [0, torn_bytes]
    assert record(1).line.startswith(Path(f"{old}.torn").read_bytes())


def torn_segment(folder: Path, start: str, *, torn: bytes = b"") -> Path:
    """A file of the log with one whole record, and what a crash left after it."""
    folder.mkdir(exist_ok=True)
    path = folder / f"edge-cam1-{start}-000000.jsonl"
    path.write_bytes(record(0).line + b"\n" + torn)
    return path


def test_a_torn_file_is_mended_though_the_clock_stepped_back_and_another_one_has_the_newest_name(tmp_path: Path) -> None:
    fast = torn_segment(tmp_path, "20261121T235900Z")
    killed = torn_segment(tmp_path, "20261121T225900Z", torn=record(1).line[:50])
    older = torn_segment(tmp_path, "20261121T215900Z", torn=b"{")
    sink = opened(tmp_path)
    sink.close()
    assert Path(f"{killed}.torn").read_bytes() == record(1).line[:50]
    assert Path(f"{older}.torn").read_bytes() == b"{"
    assert [path.read_bytes() for path in (fast, killed, older)] == [record(0).line + b"\n"] * 3
    header = read(Path(str(sink.detail["file"])).read_bytes().splitlines()[0])
    assert header["torn_bytes"] == 51


def test_an_old_file_that_cannot_be_mended_does_not_keep_the_log_from_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = torn_segment(tmp_path, "20261121T225900Z", torn=b"{")
    real = os.open

    def open_(path: Any, *args: Any) -> int:
        if Path(path) == broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(path, *args)

    monkeypatch.setattr(os, "open", open_)
    sink = opened(tmp_path)
    sink.write(record(1), None)
    sink.close()
    assert seqs(Path(str(sink.detail["file"]))) == [1]
    assert broken.read_bytes() == record(0).line + b"\n{"


def test_a_file_without_any_line_end_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"x" * 200_000)  # longer than one look back
    assert repair(path) == 200_000
    assert path.read_bytes() == b""
    assert Path(f"{path}.torn").stat().st_size == 200_000


def test_two_starts_within_a_second_write_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl.time, "time", lambda: 1_795_285_207.5)
    for _ in range(2):
        opened(tmp_path).close()
    assert [p.name for p in files(tmp_path)] == [
        "edge-cam1-20261121T182007Z-000000.jsonl",
        "edge-cam1-20261121T182007Z-000001.jsonl",
    ]


def test_a_new_file_is_begun_before_one_grows_beyond_its_size(tmp_path: Path) -> None:
    sink = opened(tmp_path, rotate_mb=1, sync="none")
    size = len(record(1000).line) + 1
    for seq in range(1000, 1000 + 2_000_000 // size):
        sink.write(record(seq), None)
    sink.close()
    assert len(files(tmp_path)) == 3
    assert all(p.stat().st_size <= 1_000_000 for p in files(tmp_path))
    assert [s for p in files(tmp_path) for s in seqs(p)] == list(range(1000, 1000 + 2_000_000 // size))
    assert [read(p.read_bytes().splitlines()[0])["kind"] for p in files(tmp_path)] == ["header"] * 3


def test_a_new_file_is_begun_with_each_utc_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [86_400.0 * 20_000 - 1]
    monkeypatch.setattr(jsonl.time, "time", lambda: now[0])
    sink = opened(tmp_path)
    sink.write(record(0), None)
    now[0] += 2
    sink.write(record(1), None)
    sink.write(record(2), None)
    sink.close()
    assert [seqs(p) for p in files(tmp_path)] == [[0], [1, 2]]
    assert [p.name[10:25] for p in files(tmp_path)] == ["20241003T235959", "20241004T000001"]


def test_old_files_are_deleted_and_only_this_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(age, "FIRST_S", 0.0)
    monkeypatch.setattr(age, "RATE", 1e12)
    names = ["edge-cam1-a-000000.jsonl", "edge-cam1-a-000000.jsonl.torn", "edge-cam1-b-000000.jsonl", "edge-cam2-a.jsonl"]
    for name in names:
        (tmp_path / name).write_bytes(b"{}\n")
    for name in [n for n in names if "-b-" not in n]:
        os.utime(tmp_path / name, (time.time() - 31 * 86400,) * 2)
    opened(tmp_path, keep_days=30).close()
    assert [n for n in names if (tmp_path / n).exists()] == names[2:]
    opened(tmp_path, keep_days=None).close()
    assert len(files(tmp_path)) == 4


@pytest.mark.parametrize(("sync", "expected"), [("none", 0), ("interval", 0), ("each", 5)])
def test_sync_says_when_the_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sync: str, expected: int
) -> None:
    sink = opened(tmp_path, sync=sync, sync_interval_s=60)
    syncs = Calls(monkeypatch, "fdatasync")
    for seq in range(5):
        sink.write(record(seq), None)
        sink.idle()
    assert syncs.count == expected
    sink.close()
    assert syncs.count == expected + (sync == "interval")


def test_under_interval_the_disk_is_synced_once_it_is_time_and_only_if_something_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = opened(tmp_path, sync="interval", sync_interval_s=0.001)
    syncs = Calls(monkeypatch, "fdatasync")
    sink.write(record(0), None)
    time.sleep(0.002)
    sink.idle()
    sink.idle()
    assert syncs.count == 1
    sink.close()
    assert syncs.count == 1


def test_under_interval_nothing_waits_longer_for_its_sync_than_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever calls ``idle`` sleeps no longer than until the oldest line is due, whenever it was woken in between."""
    now = [100.0]
    monkeypatch.setattr(jsonl.time, "monotonic", lambda: now[0])
    sink = opened(tmp_path, sync="interval", sync_interval_s=5.0)
    assert sink.idle_s == 1.0
    sink.write(record(0), None)
    now[0] = 104.6
    sink.idle()
    assert sink.idle_s == pytest.approx(0.4)
    syncs = Calls(monkeypatch, "fdatasync")
    now[0] += sink.idle_s
    sink.idle()
    assert (syncs.count, sink.idle_s) == (1, 1.0)
    sink.close()


def test_a_full_disk_is_a_fault_then_goes_on_in_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)
    output = Queued(
        JsonlSink(JsonlConfig(dir=tmp_path, compress=False, sync_interval_s=0.02), tmp_path, IDENTITY), 100, "drop"
    )
    output.start()
    writes = Calls(monkeypatch, "write")
    output.accept(record(0), FRAME, None)
    _until(lambda: writes.count == 1)
    writes.fail = lambda: errno.ENOSPC
    output.accept(record(1), FRAME, None)
    _until(lambda: output.status().lost == 1)
    assert output.status().fault == "No space left on device"
    _until(lambda: writes.count > 5)
    assert len(files(tmp_path)) == 1  # attempts leave no empty files behind
    writes.fail = lambda: None
    _until(lambda: output.status().fault is None)
    output.accept(record(2), FRAME, None)
    output.close(2)
    assert [seqs(p) for p in files(tmp_path)] == [[0], [2]]


def test_a_write_that_fails_halfway_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = opened(tmp_path)
    sink.write(record(0), None)
    real, calls = os.write, []

    def write(fd: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:50])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space left"):
            sink.write(record(1), None)
    sink.recover()
    sink.write(record(1), None)
    sink.close()
    first, second = files(tmp_path)
    assert first.read_bytes().endswith(record(0).line + b"\n")
    assert (seqs(first), seqs(second)) == ([0], [1])


def test_after_a_failed_sync_the_record_is_written_to_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Queued(JsonlSink(JsonlConfig(dir=tmp_path, compress=False, sync="each"), tmp_path, IDENTITY), 100, "drop")
    output.start()
    syncs = Calls(monkeypatch, "fdatasync")
    syncs.fail = lambda: errno.EIO if syncs.count == 2 else None
    for seq in range(3):
        output.accept(record(seq), FRAME, None)
    output.close(2)
    assert [seqs(p) for p in files(tmp_path)] == [[0, 1], [1, 2]]
    assert (output.status().lost, output.status().fault) == (0, None)


def test_a_deleted_folder_is_made_again(tmp_path: Path) -> None:
    sink = opened(tmp_path / "log")
    files(tmp_path / "log")[0].unlink()
    (tmp_path / "log").rmdir()
    sink.recover()
    sink.write(record(0), None)
    sink.close()
    assert seqs(files(tmp_path / "log")[0]) == [0]


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        opened(tmp_path / "file" / "log")
    assert str(caught.value) == (
        f"outputs.jsonl: {tmp_path}/file/log: the log cannot be written\n"
        f"  received: {tmp_path}/file is a file, not a folder\n"
        "  expected: a folder that this user may write\n"
        "  fix: choose another folder, or change its owner"
    )


def test_a_folder_that_is_not_writable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Calls(monkeypatch, "open").fail = lambda: errno.EACCES
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    assert str(caught.value) == (
        f"outputs.jsonl: {tmp_path}: the log cannot be written\n"
        "  received: Permission denied\n"
        "  expected: a folder that this user may write\n"
        "  fix: choose another folder, or change its owner"
    )


def test_a_log_that_another_process_writes_is_not_touched(tmp_path: Path) -> None:
    first = opened(tmp_path)
    (path,) = files(tmp_path)
    with pytest.raises(UserError) as caught:
        opened(tmp_path)
    assert str(caught.value) == (
        f"outputs.jsonl: {path}: another process writes this log\n"
        "  fix: stop that one first, or give this one another folder"
    )
    assert caught.value.exit_code == 6
    first.close()
    opened(tmp_path).close()


def test_one_fixed_file_is_neither_rotated_nor_deleted(tmp_path: Path) -> None:
    config = JsonlConfig(dir=tmp_path, rotate_mb=1, sync="none")
    path = tmp_path / "out" / "records.jsonl"
    for run in range(2):
        sink = JsonlSink(config, tmp_path, IDENTITY, path=path)
        sink.open()
        for seq in range(2000):
            sink.write(record(seq + 2000 * run), None)
        sink.close()
    assert files(path.parent) == [path]
    assert path.stat().st_size > 2_000_000
    assert seqs(path) == list(range(4000))


def test_a_fixed_file_on_a_full_device_is_a_fault() -> None:
    output = Queued(JsonlSink(JsonlConfig(dir=Path("/dev")), Path("/dev"), IDENTITY, path=Path("/dev/full")), 10, "wait")
    output.start()
    assert output.status().fault == "No space left on device"
    output.accept(record(0), FRAME, None)
    output.close(1)
    assert output.status().lost == 1


@given(st.lists(st.binary(max_size=30) | st.sampled_from([record(0).line, WIRE.header(1), b'{"schema":1,"kind":"x"}'])))
def test_a_reader_skips_and_counts_what_is_no_record(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    path = tmp_path_factory.mktemp("fuzz", numbered=True) / "x.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines) + b"{")
    counts: dict[str, int] = {}
    found = list(read_records(path, counts))
    assert found == [orjson.loads(record(0).line)] * lines.count(record(0).line)
    known = [record(0).line, WIRE.header(1), b'{"schema":1,"kind":"x"}']
    assert counts == {"torn": 1, "unreadable": sum(line not in known for line in lines)}


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.002)


def test_a_file_cut_at_every_byte_after_its_last_sync_keeps_all_that_was_synced(tmp_path: Path) -> None:
    """What a power loss may leave: everything up to the last fdatasync, and any part of what came after it."""
    sink = opened(tmp_path / "log", sync="interval", sync_interval_s=60)
    for seq in range(3):
        sink.write(record(seq), None)
    sink._sync()
    (path,) = files(tmp_path / "log")
    synced = path.stat().st_size
    for seq in range(3, 6):
        sink.write(record(seq), None)
    sink._abandon()  # no sync any more: the power is gone
    sink._closed.close()
    whole = path.read_bytes()
    ends = [end + 1 for end, byte in enumerate(whole) if byte == ord("\n")]
    for end in range(synced, len(whole) + 1):
        path.write_bytes(whole[:end])
        found = seqs(path)
        assert found == list(range(sum(e <= end for e in ends) - 1))  # one line is the header
        assert found[:3] == [0, 1, 2]
        if end % 16 == 0:  # it syncs twice
            repair(path)
            assert seqs(path) == found


def test_under_each_a_record_is_written_then_synced_then_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Publisher(Published):
        def write(self, record: Any, kept: object) -> None:
            told.append(f"publish {record.seq}")

    log = Queued(JsonlSink(JsonlConfig(dir=tmp_path, sync="each"), tmp_path, IDENTITY), 100, "drop")
    publisher = Queued(Publisher(), 100, "drop", after=log)
    for output in (log, publisher):
        output.start()
    for name in ("write", "fdatasync"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, name=name, real=real: (told.append(name), real(*args))[1])
    for seq in range(3):
        for output in (log, publisher):
            output.accept(record(seq), FRAME, None)
    log.close(2)
    publisher.close(2)
    order = [told.index(f"publish {seq}") for seq in range(3)]
    for seq, published in enumerate(order):
        assert told[:published].count("fdatasync") >= seq + 1
        assert told[:published].count("write") >= seq + 1
    assert [t for t in told if "publish" not in t] == ["write", "fdatasync"] * 3


class Published(Sink):
    """A publisher that remembers what it published."""

    name = "publisher"

    def __init__(self) -> None:
        self.records: list[Any] = []

    def write(self, record: Any, kept: object) -> None:
        self.records.append(record)


def audited(folder: Path, **keys: Any) -> tuple[Queued, Queued, Published]:
    sink = Published()
    config = JsonlConfig(dir=folder, compress=False, audit_required=True, **keys)
    log = Queued(JsonlSink(config, folder, IDENTITY), 100, "drop")
    return log, Queued(sink, 100, "drop", after=log), sink


def test_with_audit_required_no_pass_is_published_that_is_not_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The judge hears of a lost log with the next frame; the records that were on their way then are overruled."""
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)
    log, publisher, published = audited(tmp_path)
    for output in (log, publisher):
        output.start()
    log.accept(record(0), FRAME, None)
    _until(lambda: len(published.records) == 1)
    assert not log.log_lost
    writes = Calls(monkeypatch, "write")
    writes.fail = lambda: errno.EROFS
    log.accept(record(1), FRAME, None)
    log.skip(WIRE.skip(2, skip(), 5))
    _until(lambda: len(published.records) == 3)
    assert log.log_lost
    assert log.status().fault == "Read-only file system"
    writes.fail = lambda: None
    _until(lambda: log.status().counters["written_later"] == 1 and not log.log_lost)
    log.accept(record(3), FRAME, None)
    log.close(2)
    publisher.close(2)
    told = [read(r.line) for r in published.records]
    assert [(m["seq"], m["verdict"], m["reason"]) for m in told] == [
        (0, "pass", None),
        (1, "invalid", "log_lost"),
        (2, "invalid", "frame_id_gap"),
        (3, "pass", None),
    ]
    assert [r.verdict for r in published.records] == ["pass", "invalid", "invalid", "pass"]
    changed = {"verdict": "pass", "reason": None}
    assert told[1] | changed == read(record(1).line)  # nothing else is another
    assert [seqs(p) for p in files(tmp_path)] == [[0], [1, 3]]
    assert log.status().counters["written_later"] == 1


def test_a_record_that_was_overruled_after_it_stood_in_the_log_is_in_it_as_it_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that fails leaves the line: 16 of 456 records stood in the book as a pass that nobody had heard."""
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)
    log, publisher, published = audited(tmp_path, sync="each")
    for output in (log, publisher):
        output.start()
    syncs = Calls(monkeypatch, "fdatasync")
    log.accept(record(0), FRAME, None)
    _until(lambda: len(published.records) == 1)
    syncs.fail = lambda: errno.EIO
    log.accept(record(1), FRAME, None)
    log.accept(record(2), FRAME, None)
    _until(lambda: len(published.records) == 3)
    syncs.fail = lambda: None
    _until(lambda: log.status().counters["written_later"] == 2)
    log.accept(record(3), FRAME, None)
    log.close(2)
    publisher.close(2)
    heard = {r.seq: (r.verdict, read(r.line)["reason"]) for r in published.records}
    assert heard == {0: ("pass", None), 1: ("invalid", "log_lost"), 2: ("invalid", "log_lost"), 3: ("pass", None)}
    in_the_files = [(m["seq"], m["verdict"]) for p in files(tmp_path) for m in read_records(p)]
    assert (1, "pass") in in_the_files
    damage = LogDamage()
    told = {m["seq"]: (m["verdict"], m["reason"]) for m in read_log(files(tmp_path), Filter(), damage)}
    assert told == heard
    assert (damage.missing_records, damage.repeated >= 1) == (0, True)
    only_passes = read_log(files(tmp_path), Filter(verdicts=frozenset(["pass"])), LogDamage())
    assert [m["seq"] for m in only_passes] == [0, 3]


def test_without_audit_required_a_lost_log_overrules_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Published()
    log = Queued(JsonlSink(JsonlConfig(dir=tmp_path, sync="each"), tmp_path, IDENTITY), 100, "drop")
    publisher = Queued(sink, 100, "drop", after=log)
    for output in (log, publisher):
        output.start()
    Calls(monkeypatch, "write").fail = lambda: errno.EIO
    log.accept(record(0), FRAME, None)
    _until(lambda: len(sink.records) == 1)
    assert sink.records[0].verdict == "pass"
    assert (log.log_lost, log.status().fault) == (False, "Input/output error")
    log.close(2)
    publisher.close(2)


def test_with_too_little_room_the_log_stops_and_goes_on_when_there_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)
    monkeypatch.setattr(jsonl, "_LOOK_S", 0.0)
    free = [2_000_000_000]
    monkeypatch.setattr(disk, "space", lambda folder: (free[0], 10_000_000_000))
    config = JsonlConfig(dir=tmp_path, min_free_gb=1.0, compress=False)
    output = Queued(JsonlSink(config, tmp_path, IDENTITY), 100, "drop")
    output.start()
    output.accept(record(0), FRAME, None)
    _until(lambda: output.status().accepted == 1 and output._queue.empty())
    assert output.status().free_bytes == 2_000_000_000
    free[0] = 999_999_999
    output.accept(record(1), FRAME, None)
    _until(lambda: output.status().lost == 1)
    assert output.status().fault == "less than 1 GB free on the disk"
    free[0] = 1_049_000_000  # not yet: a little more than where it stopped
    time.sleep(0.05)
    assert output.status().fault == "less than 1 GB free on the disk"
    free[0] = 1_051_000_000
    _until(lambda: output.status().fault is None)
    output.accept(record(2), FRAME, None)
    output.close(2)
    assert [seqs(p) for p in files(tmp_path)] == [[0], [2]]


@pytest.mark.parametrize("number", REMOTE, ids=errno.errorcode.get)
def test_a_disk_that_is_not_well_at_the_start_is_a_fault_and_no_reason_not_to_inspect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.02)
    opens = Calls(monkeypatch, "open")
    opens.fail = lambda: number
    output = Queued(JsonlSink(JsonlConfig(dir=tmp_path, compress=False), tmp_path, IDENTITY), 100, "drop")
    output.start()
    assert output.status().fault == os.strerror(number)
    opens.fail = lambda: None
    _until(lambda: output.status().fault is None)
    output.accept(record(0), FRAME, None)
    output.close(2)
    assert [seqs(p) for p in files(tmp_path)] == [[0]]


def test_the_header_of_a_new_file_and_the_archive_follow_a_reload(tmp_path: Path) -> None:
    sink = opened(tmp_path, rotate_mb=1)
    archived: list[str] = []
    sink.write(record(0), None)
    sink.made_by(replace(IDENTITY, config_sha256="c" * 64), lambda folder: archived.append(str(folder)))
    sink.write(record(1), None)
    sink.idle()
    assert archived == [str(tmp_path)]
    sink._rotate()
    sink.close()
    headers = [read(p.read_bytes().splitlines()[0]) for p in files(tmp_path)]
    assert [h["config_sha256"] for h in headers] == ["a" * 64, "c" * 64]
    assert len(archived) == 1


def test_texts_that_cannot_be_archived_cost_no_record_and_are_tried_again(tmp_path: Path) -> None:
    sink = opened(tmp_path)
    tries: list[int] = []

    def full(folder: Path) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sink.made_by(IDENTITY, full)
    sink.idle()
    sink.write(record(0), None)
    sink.idle()
    assert len(tries) == 1  # not before a minute is over
    sink.close()  # but once more at the end
    assert len(tries) == 2
    assert seqs(files(tmp_path)[0]) == [0]
