"""A database that can be made again never keeps the page from starting: damaged or of another layout, it begins anew."""

from __future__ import annotations

import sqlite3

import pytest
from support.reviewed import line_of, write_frames

from edge.web.derived_database import check_read_by_others, open_derived
from edge.web.review.frame_index import FrameIndex
from edge.web.review.frame_search import FRAMES, FrameWish, frame_ids

TABLES = "create table if not exists words (word text)"


def words(path, layout: int = 1) -> list[str]:
    database = open_derived(path, TABLES, layout)
    try:
        return [word for (word,) in database.execute("select word from words")]
    finally:
        database.close()


@pytest.fixture
def path(tmp_path):
    database = open_derived(tmp_path / "words.sqlite", TABLES, 1)
    database.executemany("insert into words values (?)", [(f"word {n}",) for n in range(5000)])
    database.close()
    return tmp_path / "words.sqlite"


def test_what_is_whole_stays(path) -> None:
    assert (len(words(path)), path.stat().st_mode & 0o777) == (5000, 0o600)


@pytest.mark.parametrize("damage", ["head", "middle", "cut", "layout"])
def test_what_is_damaged_or_of_another_layout_begins_anew(path, damage) -> None:
    data = path.read_bytes()
    if damage == "head":
        path.write_bytes(b"no database" * 1000)
    elif damage == "middle":
        path.write_bytes(data[:8192] + bytes(range(256)) * 64 + data[8192 + 256 * 64 :])
    elif damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    assert words(path, 2 if damage == "layout" else 1) == []
    assert words(path, 2 if damage == "layout" else 1) == []


def test_what_another_process_holds_is_not_deleted(path, monkeypatch) -> None:
    monkeypatch.setattr("edge.web.derived_database._WAIT_S", 0.0)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin exclusive")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        open_derived(path, "create table if not exists more (word text)", 1)
    other.execute("rollback")
    other.close()
    assert len(words(path)) == 5000


def test_an_index_of_frames_that_is_damaged_is_made_again_from_the_evidence(tmp_path) -> None:
    write_frames(tmp_path / "line" / "evidence", range(3))
    for _ in range(2):
        (tmp_path / FRAMES).write_bytes(b"torn by a power cut")
        index = FrameIndex(tmp_path)
        assert index.follow([line_of(tmp_path / "line")], ()) == 3
        index.close()
    assert len(frame_ids(tmp_path, "cam1", FrameWish())[0]) == 3


@pytest.mark.parametrize("how", ["emptied", "another", "deleted"])
def test_a_file_that_only_its_writer_still_reads_is_known(path, how) -> None:
    database = open_derived(path, TABLES, 1)
    check_read_by_others(path)
    if how == "emptied":
        path.write_bytes(b"")
    else:
        path.unlink()
        if how == "another":
            path.touch()
    with pytest.raises(sqlite3.DatabaseError, match=r"was (emptied|deleted)"):
        check_read_by_others(path)
    database.close()
