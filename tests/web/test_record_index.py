"""The index of a log: every record once, in files whole, torn, packed, growing and gone; searches find what is there."""

from __future__ import annotations

import sqlite3

import orjson
import pytest
from support.lines import BASE
from support.logs import HOUR, START, lines, lost, write

from edge.errors import UserError
from edge.web.logs import record_search
from edge.web.logs.drift_search import drifts_named
from edge.web.logs.indexer import look_at_frames, look_once
from edge.web.logs.record_index import FILE, RecordIndex
from edge.web.logs.record_search import Wish, as_logged, each, indexed, search
from edge.web.review.frame_index import FrameIndex
from edge.web.review.places import FRAMES

FIRST, SECOND = "edge-cam1-20261121T180000Z-000000.jsonl", "edge-cam1-20261121T190000Z-000001.jsonl"


@pytest.fixture
def index(tmp_path):
    made = RecordIndex(tmp_path / FILE)
    yield made
    made.close()


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    write(
        folder / FIRST, [*lines("run1", range(5)), *lines("run1", range(5, 7), verdict="fail"), lost("run1", 7, START + 7)]
    )
    write(folder / f"{SECOND}.zst", lines("run1", range(8, 12), at_ns=START + HOUR))
    return folder


def seqs(folder, wish=Wish(), cameras=("cam1",), **more):  # noqa: B008  (frozen)
    return [hit.seq for hit in search(folder, wish, cameras, **more)]


def test_all_records_are_found_newest_first(index, log, tmp_path) -> None:
    assert index.follow("cam1", log) == 12
    index.make_keys()
    assert seqs(tmp_path) == [*range(11, -1, -1)]
    assert indexed(tmp_path) == (12, 2)
    assert index.follow("cam1", log) == 0


@pytest.mark.parametrize(
    ("wish", "found"),
    [
        (Wish(verdict="fail"), [6, 5]),
        (Wish(verdict="invalid"), [7]),
        (Wish(reason="frame_id_gap"), [7]),
        (Wish(seq=3), [3]),
        (Wish(since_ns=START + HOUR), [11, 10, 9, 8]),
        (Wish(until_ns=START + 2), [1, 0]),
        (Wish(part=42, verdict="fail"), [6, 5]),
        (Wish(part=43), []),
        (Wish(instance="another"), []),
        (Wish(camera="cam2"), []),
    ],
)
def test_a_search_finds_what_fits(index, log, tmp_path, wish, found) -> None:
    index.follow("cam1", log)
    index.make_keys()
    assert seqs(tmp_path, wish) == found


def test_pages_join_without_a_gap(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    first = search(tmp_path, Wish(), ["cam1"], None, 5)
    assert [hit.seq for hit in first] == [11, 10, 9, 8, 7]
    assert seqs(tmp_path, cursor=first[-1].cursor, limit=5) == [6, 5, 4, 3, 2]
    assert [hit.seq for hit in each(tmp_path, Wish(), ["cam1"], 9)] == [*range(11, 2, -1)]


def test_a_hit_is_the_very_line_of_the_log(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    for hit in search(tmp_path, Wish(), ["cam1"]):
        assert b'"seq":%d,' % hit.seq in hit.whole()
    (log / FIRST).unlink()
    assert search(tmp_path, Wish(seq=1), ["cam1"])[0].whole() is None


def test_a_growing_file_is_read_on_and_half_a_line_waits(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    third = log / "edge-cam1-20261121T200000Z-000002.jsonl"
    line = lines("run2", range(1), at_ns=START + 2 * HOUR)[0] + b"\n"
    third.write_bytes(line[:50])
    assert index.follow("cam1", log) == 0
    third.write_bytes(line + b"no json\n" + lines("run2", range(1, 2), at_ns=START + 2 * HOUR)[0] + b"\n")
    assert index.follow("cam1", log) == 2
    assert seqs(tmp_path, Wish(instance="run2")) == [1, 0]


def test_a_file_that_retention_deleted_is_forgotten(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    (log / FIRST).unlink()
    assert index.follow("cam1", log) == 0
    assert seqs(tmp_path) == [11, 10, 9, 8]
    assert indexed(tmp_path) == (4, 1)


ODD = [
    *[{"created_ns": at} for at in (None, {"ns": 1}, 1 << 63, "1795284000000000000", 1.5e18, True, [])],
    *[{"seq": seq} for seq in (None, "1", 1 << 63, {})],
    *[{"instance_id": run} for run in (None, 5, [], {})],
    *[{"verdict": verdict} for verdict in (None, "good", [], {})],
]


@pytest.mark.parametrize("kind", ["inspection", "skip"])
def test_records_of_odd_values_are_none_and_the_others_are_read(index, log, tmp_path, kind) -> None:
    line = orjson.loads(lines("run1", range(7, 8))[0] if kind == "inspection" else lost("run1", 7, START + 7))
    third = log / "edge-cam1-20261121T200000Z-000002.jsonl"
    write(third, [*(orjson.dumps(line | odd) for odd in ODD), *lines("run3", range(1))])
    assert index.follow("cam1", log) == 13
    index.make_keys()
    assert (index.follow("cam1", log), seqs(tmp_path, Wish(instance="run3"))) == (0, [0])
    assert len(seqs(tmp_path)) == 13


def test_a_line_beyond_all_length_is_passed_over(index, log, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("edge.storage.lines_until_torn.LONGEST_LINE", 1 << 12)
    third = log / "edge-cam1-20261121T200000Z-000002.jsonl"
    write(third, [b"x" * (3 << 12), *lines("run3", range(2), at_ns=START + 2 * HOUR)])
    with third.open("ab") as file:
        file.write(b"torn")
    assert (index.follow("cam1", log), index.follow("cam1", log)) == (14, 0)
    index.make_keys()
    assert seqs(tmp_path)[:2] == [1, 0]


def test_odd_values_that_a_record_can_do_without_are_left_out(index, tmp_path) -> None:
    odd = {"reason": {"a": 1}, "part_id": "A12", "map_max": "high", "latency_ms": {"total": []}}
    write(tmp_path / FIRST, [orjson.dumps(orjson.loads(lines("run1", range(1))[0]) | odd)])
    assert index.follow("cam1", tmp_path) == 1
    index.make_keys()
    (hit,) = search(tmp_path, Wish(), ["cam1"])
    assert (hit.reason, hit.part, hit.map_max, hit.total_ms) == (None, None, None, None)


def test_lines_of_drift_with_odd_values_are_passed_over(index, tmp_path) -> None:
    told = {"kind": "drift", "created_ns": START, "drift": {"level": "warning", "cause": "dimmer"}}
    odd = [{"created_ns": None}, {"created_ns": 1 << 63}, {"created_ns": "1"}, {"drift": "light"}]
    write(tmp_path / FIRST, [orjson.dumps(told | one) for one in (*odd, {})])
    index.follow("cam1", tmp_path)
    assert [one["at_ns"] for one in drifts_named(tmp_path, "cam1", 0)] == [START]


def test_a_file_that_can_not_be_written_down_keeps_no_other_from_being_read(index, log, tmp_path, monkeypatch) -> None:
    insert = index._insert

    def full(batch):
        if any(row[2] == 8 for row in batch):
            raise sqlite3.OperationalError("database or disk is full")
        insert(batch)

    third = log / "edge-cam1-20261121T200000Z-000002.jsonl"
    write(third, lines("run3", range(20, 22), at_ns=START + 2 * HOUR))
    with monkeypatch.context() as other:
        other.setattr(index, "_insert", full)
        with pytest.raises(sqlite3.OperationalError, match="disk is full"):
            index.follow("cam1", log)
    index.make_keys()
    assert seqs(tmp_path) == [21, 20, *range(7, -1, -1)]
    assert index.follow("cam1", log) == 4
    assert seqs(tmp_path) == [21, 20, *range(11, -1, -1)]


def test_logs_of_two_instances_of_a_camera_stay_beside_each_other(tmp_path) -> None:
    runtime = []
    for name in ("a", "b"):
        (tmp_path / name / "log").mkdir(parents=True)
        write(tmp_path / name / "log" / FIRST, lines(name, range(3)))
        (tmp_path / name / "cam1.yaml").write_text(BASE)
        told = {"camera": "cam1", "config": str(tmp_path / name / "cam1.yaml"), "overrides": []}
        (tmp_path / name / "instance.json").write_bytes(orjson.dumps(told))
        runtime.append(tmp_path / name)
    index = RecordIndex(tmp_path / FILE)
    assert [look_once(index, runtime) for _ in range(3)] == [6, 0, 0]
    (tmp_path / "b" / "cam1.yaml").write_text("outputs: [")
    assert look_once(index, runtime) == 0
    assert indexed(tmp_path) == (6, 2)
    (tmp_path / "b" / "cam1.yaml").write_text(BASE.replace("dir: log", "dir: another"))
    (tmp_path / "b" / "another").mkdir()
    look_once(index, runtime)
    assert indexed(tmp_path) == (3, 1)
    index.close()


def test_an_index_that_is_damaged_while_it_runs_is_no_logs_trouble(index, log, tmp_path, monkeypatch) -> None:
    def damaged(*_):
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(index, "_read", damaged)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        index.follow("cam1", log)
    monkeypatch.setattr(index, "make_keys", damaged)
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):  # the next process begins it anew
        look_once(index, ())


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"x" * path.stat().st_size), lambda path: path.unlink()])
def test_an_index_that_only_its_writer_still_reads_is_begun_anew_by_the_next_process(index, log, tmp_path, damage) -> None:
    frames = FrameIndex(tmp_path)
    index.follow("cam1", log)
    for one in (index, frames):
        one._database.execute("pragma wal_checkpoint(truncate)")
    damage(tmp_path / FILE)
    damage(tmp_path / FRAMES)
    with pytest.raises(sqlite3.DatabaseError, match=r"deleted|not a database"):
        look_once(index, ())
    with pytest.raises(sqlite3.DatabaseError, match=r"deleted|not a database"):
        look_at_frames(frames, (), ())
    frames.close()
    index.close()
    again = RecordIndex(tmp_path / FILE)
    look_once(again, ())
    assert again.follow("cam1", log) == 12
    assert indexed(tmp_path) == (12, 2)
    again.close()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_disk_that_is_not_mounted_takes_no_records_even_after_a_restart(
    index, log, tmp_path, monkeypatch, is_there
) -> None:
    index.follow("cam1", log)
    index.close()
    index = RecordIndex(tmp_path / FILE)
    log.rename(tmp_path / "mounted")
    if is_there:
        log.mkdir()
    with monkeypatch.context() as other:  # as if the folder that is there now were of another disk
        other.setattr("edge.web.last_disk._nearest_device", lambda path: tmp_path.stat().st_dev + 1)
        folders = [log] if is_there else []
        assert (index.follow("cam1", *folders, is_whole=is_there), indexed(tmp_path)) == (0, (12, 2))
    if is_there:
        log.rmdir()
    (tmp_path / "mounted").rename(log)
    assert (index.follow("cam1", log), indexed(tmp_path)) == (0, (12, 2))
    for path in log.iterdir():
        path.unlink()
    assert (index.follow("cam1", log), indexed(tmp_path)) == (0, (0, 0))
    index.close()


def test_a_folder_that_was_deleted_takes_its_records_along(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    for path in log.iterdir():
        path.unlink()
    log.rmdir()
    assert (index.follow("cam1", is_whole=False), indexed(tmp_path)) == (0, (0, 0))


def test_a_packed_file_is_unpacked_once_for_all_its_lines(index, log, tmp_path, monkeypatch) -> None:
    index.follow("cam1", log)
    opened: list[str] = []
    read = record_search.packed_lines
    monkeypatch.setattr(record_search, "packed_lines", lambda path, places: opened.append(path.name) or read(path, places))
    hits = search(tmp_path, Wish(), ["cam1"])
    assert [orjson.loads(line)["seq"] for line in as_logged(hits)] == [*range(11, -1, -1)]
    assert opened == [f"{SECOND}.zst"]
    (log / f"{SECOND}.zst").unlink()
    briefs = [*as_logged(hits)][:4]
    assert [orjson.loads(line) for line in briefs] == [hit.as_json() for hit in hits[:4]]


def test_nobody_finds_another_cameras_records(index, log, tmp_path) -> None:
    index.follow("cam1", log)
    assert seqs(tmp_path, cameras=()) == []
    assert seqs(tmp_path, cameras=("cam2",)) == []


def test_what_can_not_be_searched_says_so(index, log, tmp_path) -> None:
    with pytest.raises(UserError, match="verdict\n  received: good\n  expected: pass, fail, invalid"):
        search(tmp_path, Wish(verdict="good"), ["cam1"])
    with pytest.raises(UserError, match="cursor\n  received: x"):
        search(tmp_path, Wish(), ["cam1"], "x")
    with pytest.raises(UserError, match="the log's index isn't there yet"):
        search(tmp_path / "nowhere", Wish(), ["cam1"])
