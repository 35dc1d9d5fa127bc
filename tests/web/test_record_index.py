"""The index of a log: every record once, in files whole, torn, packed, growing and gone; searches find what is there."""

from __future__ import annotations

import orjson
import pytest
from support.logs import HOUR, START, lines, lost, write

from edge.errors import UserError
from edge.web.logs import record_search
from edge.web.logs.record_index import FILE, RecordIndex
from edge.web.logs.record_search import Wish, as_logged, each, indexed, search

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
