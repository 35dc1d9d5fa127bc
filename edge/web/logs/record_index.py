"""The index says where each record of a log lies: time, verdict, reason, part, score, file and place, in SQLite.

It is written by one process and read by others. A closed file is read once, an open one from where the last look ended; a
file that retention deleted takes its rows along.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from edge.storage.compressed_frames import VerifiedFrames
from edge.storage.lines_until_torn import lines_until_torn
from edge.storage.log_files import PACKED, segments
from edge.web.column_values import real, text, whole
from edge.web.derived_database import all_or_nothing, check_read_by_others, must_begin_anew, open_derived
from edge.web.last_disk import is_on
from edge.wire.record_fields import VERDICTS

FILE: Final = "index.sqlite"
_NUMBERS: Final = {verdict: number for number, verdict in enumerate(VERDICTS)}
_DRIFTS: Final = {"drift": "drift", "drift_block": "block"}
"""Lines of the log that say something of the line's drift, and the field that says it."""
_BATCH: Final = 20_000
_CACHE_KB: Final = 16 << 10
"""Memory for pages of the index: with SQLite's own 2 MB a first reading writes many of them twice."""
_TABLES: Final = """
create table if not exists files (id integer primary key, camera text not null, path text unique not null,
  done integer not null, lines integer not null);
create table if not exists runs (id integer primary key, camera text not null, instance text not null,
  unique (camera, instance));
create table if not exists records (at integer not null, run integer not null, seq integer not null,
  verdict integer not null, reason text, part integer, part_last integer, map_max real,
  total_ms real, file integer not null, place integer not null);
create table if not exists drifts (at integer not null, camera text not null, kind text not null, body text not null,
  file integer not null);
create table if not exists folders (path text primary key, device integer not null);
create index if not exists by_drift on drifts (camera, kind, at);
"""
_LAYOUT: Final = 1
"""An index of another layout is made anew."""
_KEYS: Final = """
create index if not exists by_time on records (at);
create index if not exists by_verdict on records (verdict, at) where verdict > 0;
create index if not exists by_reason on records (reason, at) where reason is not null;
create index if not exists by_part on records (part) where part is not null;
create index if not exists by_parts on records (part, part_last) where part_last > part;
create index if not exists by_seq on records (seq);
"""


class RecordIndex:
    """The index of all logs that this machine's lines write, for the one process that keeps it up to date."""

    def __init__(self, path: Path) -> None:
        self._runs: dict[tuple[str, str], int] = {}
        self._path = path
        self._database = open_derived(path, _TABLES, _LAYOUT)
        self._database.execute(f"pragma cache_size = -{_CACHE_KB}")

    def close(self) -> None:
        self._database.close()

    def check(self) -> None:
        """Look whether others can read the index. Raises sqlite3.DatabaseError: it must be begun anew."""
        check_read_by_others(self._path)

    def follow(self, camera: str, *folders: Path, is_whole: bool = True) -> int:
        """Read what is new in the folders of a camera's logs; return how many records that were.

        With ``is_whole`` these are all that there are, and what was read in another is forgotten. A file that can't be
        read doesn't keep the others from being read.

        Raises:
            OSError, sqlite3.Error: a folder or a file can't be read, or the index can't be written.
        """
        files = list(dict.fromkeys(path for folder in folders for path in segments(folder, camera)))
        for folder in {path.parent for path in files}:
            self._remember_disk(folder)
        self._forget(camera, folders, {str(path) for path in files}, is_whole=is_whole)
        count, errors = 0, []
        for path in files:
            try:
                count += self._read(camera, path)
            except FileNotFoundError:
                continue  # retention was faster
            except (OSError, sqlite3.Error) as error:
                if must_begin_anew(error):
                    raise
                errors.append(error)
        if errors:
            raise errors[0]
        return count

    def _remember_disk(self, folder: Path) -> None:
        """Write down on which disk the files of a folder lie; it may have another number since the machine started."""
        device = folder.stat().st_dev
        if self._disk_of(folder) != device:
            self._database.execute("insert or replace into folders values (?, ?)", (str(folder), device))

    def _disk_of(self, folder: Path) -> int | None:
        row = self._database.execute("select device from folders where path = ?", (str(folder),)).fetchone()
        return None if row is None else int(row[0])

    def make_keys(self) -> None:
        """Make the keys that searches need: after the first reading, because that is faster."""
        self._database.executescript(_KEYS)

    def _forget(self, camera: str, folders: Sequence[Path], there: set[str], *, is_whole: bool) -> None:
        known = self._database.execute("select id, path from files where camera = ?", (camera,)).fetchall()
        for number, path in known:
            if path not in there and self._is_gone(Path(path), folders, is_whole=is_whole):
                with all_or_nothing(self._database):
                    self._database.execute("delete from records where file = ?", (number,))
                    self._database.execute("delete from drifts where file = ?", (number,))
                    self._database.execute("delete from files where id = ?", (number,))

    def _is_gone(self, path: Path, folders: Sequence[Path], *, is_whole: bool) -> bool:
        """Return True if a file that is listed no more is gone for certain: it was deleted, or nobody names its folder."""
        folder = path.parent
        if os.path.isfile(path) and folder in folders:
            return True  # another file of its name counts
        return (is_whole and folder not in folders) or (not os.path.isfile(path) and is_on(self._disk_of(folder), folder))

    def _read(self, camera: str, path: Path) -> int:
        rows = self._database.execute("select id, done, lines from files where path = ?", (str(path),)).fetchall()
        if rows and path.suffix == ".zst":
            return 0
        size = path.stat().st_size
        number, done, lines = rows[0] if rows else (None, 0, 0)
        if rows and size <= done:
            return 0
        count = 0
        try:
            with path.open("rb", buffering=1 << 20) as file, all_or_nothing(self._database):
                if number is None:
                    add = "insert into files (camera, path, done, lines) values (?, ?, 0, 0)"
                    number = self._database.execute(add, (camera, str(path))).lastrowid
                batch: list[tuple[Any, ...]] = []
                for line, place, after in _lines(file, path.name.endswith(PACKED), done):
                    row = self._row(camera, line, number, place)
                    done, lines = after, lines + 1
                    if row is not None:
                        batch.append(row)
                        count += 1
                    if len(batch) >= _BATCH:
                        self._insert(batch)
                self._insert(batch)
                self._database.execute("update files set done = ?, lines = ? where id = ?", (done, lines, number))
        except BaseException:
            self._runs.clear()  # some may have been taken back
            raise
        return count

    def _insert(self, batch: list[tuple[Any, ...]]) -> None:
        self._database.executemany("insert into records values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)
        batch.clear()

    def _row(self, camera: str, line: bytes, number: int | None, place: int) -> tuple[Any, ...] | None:
        """Return the columns of one line; None for what is no record: a header, damage, another schema. Values that no
        record has are left out; without time, run, seq and verdict it is none.
        """
        try:
            record = orjson.loads(line)
            kind, at = record["kind"], whole(record["created_ns"])
            if at is None:
                return None
            if kind in _DRIFTS:
                self._add_drift(camera, kind, at, record[_DRIFTS[kind]], number)
                return None
            verdict, instance, seq = _NUMBERS[record["verdict"]], text(record["instance_id"]), whole(record["seq"])
            if instance is None or seq is None or (kind != "inspection" and kind != "skip"):
                return None
            run = self._runs.get((camera, instance)) or self._new_run(camera, instance)
            known = at, run, seq, verdict, text(record["reason"])
            if kind == "inspection":
                part, high, total = whole(record["part_id"]), real(record["map_max"]), real(record["latency_ms"]["total"])
                return (*known, part, part, high, total, number, place)
            return (*known, whole(record["part_id_first"]), whole(record["part_id_last"]), None, None, number, place)
        except (ValueError, KeyError, TypeError):
            return None

    def _add_drift(self, camera: str, kind: str, at: int, body: object, number: int | None) -> None:
        if body is None or isinstance(body, dict):
            add = "insert into drifts (at, camera, kind, body, file) values (?, ?, ?, ?, ?)"
            self._database.execute(add, (at, camera, kind, orjson.dumps(body).decode(), number))

    def _new_run(self, camera: str, instance: str) -> int:
        self._database.execute("insert or ignore into runs (camera, instance) values (?, ?)", (camera, instance))
        ask = "select id from runs where camera = ? and instance = ?"
        found: int = self._database.execute(ask, (camera, instance)).fetchone()[0]
        self._runs[camera, instance] = found
        return found


def _lines(file: BinaryIO, is_packed: bool, done: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each whole line from ``done`` on, with its place and where the next one begins.

    The place is the offset in bytes, of a packed file the number of the line.
    """
    if is_packed:
        for number, line in enumerate(_unpacked(file)):
            yield line, number, number + 1
        return
    file.seek(done)
    for line in lines_until_torn(file):
        after = done + len(line)
        yield line, done, after
        done = after


def _unpacked(file: BinaryIO) -> Iterator[bytes]:
    return lines_until_torn(io.BufferedReader(VerifiedFrames(file), 1 << 16))


def line_at(path: Path, place: int) -> bytes | None:
    """Return the line that lies there; None if the file no longer holds one. Raises OSError."""
    if path.name.endswith(PACKED):
        return packed_lines(path, {place}).get(place)
    with path.open("rb") as file:
        file.seek(place)
        return next(lines_until_torn(file), None)


def packed_lines(path: Path, places: set[int]) -> dict[int, bytes]:
    """Return the lines that lie at these places of a packed file, which is unpacked once. Raises OSError."""
    found: dict[int, bytes] = {}
    with path.open("rb") as file:
        for number, line in enumerate(_unpacked(file)):
            if number in places:
                found[number] = line
                if len(found) == len(places):
                    break
    return found
