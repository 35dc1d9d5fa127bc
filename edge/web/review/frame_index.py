"""The frame index says which frames of evidence and recordings there are to look at, and what their records say, in SQLite.

It is written by the indexer and read by the page. New lines of a recording are read once; where a recording's index was
shortened it is read again, and frames that are gone lose their rows, except those that somebody labelled.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.service.instances import Instance
from edge.storage.recording_index import INDEX, LONGEST_LINE, Deleted, RecordedFrame, entry_of
from edge.web.derived_database import open_derived
from edge.web.review.frame_search import VERDICTS
from edge.web.review.places import FRAMES, LABELS
from edge.web.tuning.recordings import ListedRecording, kept_name, recordings_of

_MOST_BOXES: Final = 24
_MOST_NUMBER: Final = (1 << 63) - 1
_BATCH: Final = 5_000
_LAYOUT: Final = 1
_TABLES: Final = """
create table if not exists recordings (key integer primary key, id text unique not null, camera text not null,
  folder text not null, name text not null, inode integer not null, done integer not null);
create table if not exists frames (id integer primary key autoincrement, recording integer not null,
  number integer not null, at integer not null, file text not null, kept text not null, instance text, seq integer,
  verdict text, reason text, part integer, map_max real, threshold real, margin real, why text, dropped text not null,
  boxes text not null, width integer not null, height integer not null, bits integer not null, ref text,
  unique (recording, number, at));
create index if not exists frames_by_time on frames (at);
create index if not exists frames_by_kept on frames (kept);
"""
_ADD: Final = f"insert or ignore into frames values (null{', ?' * 20})"  # noqa: S608


class FrameIndex:
    """The index of all frames that Review can show, for the one process that keeps it up to date."""

    def __init__(self, folder: Path) -> None:
        """Open or make it in the page's folder."""
        self._labels = folder / LABELS
        self._database = open_derived(folder / FRAMES, _TABLES, _LAYOUT)

    def close(self) -> None:
        self._database.close()

    def follow(self, instance: Instance, roots: Sequence[Path]) -> int:
        """Read what is new in a camera's evidence and recordings; return how many frames that were."""
        listed = recordings_of(instance, roots)
        self._forget_others(instance.camera, {one.id for one in listed})
        count = 0
        for one in listed:
            try:
                count += self._read(instance.camera, one)
            except (OSError, UserError):
                continue  # it is looked at again in a moment
        return count

    def _forget_others(self, camera: str, there: set[str]) -> None:
        for key, name in self._database.execute("select key, id from recordings where camera = ?", (camera,)).fetchall():
            if name not in there:
                self._drop(key, "1")
                (left,) = self._database.execute("select count(*) from frames where recording = ?", (key,)).fetchone()
                if not left:
                    self._database.execute("delete from recordings where key = ?", (key,))

    def _read(self, camera: str, listed: ListedRecording) -> int:
        with (listed.folder / INDEX).open("rb", buffering=1 << 20) as file:
            state = os.fstat(file.fileno())
            key, inode, done = self._known(camera, listed)
            anew = inode != state.st_ino or state.st_size < done
            if not anew and state.st_size == done:
                return 0
            before = self._database.total_changes
            self._database.execute("begin")
            try:
                seen: set[tuple[int, int]] = set()
                file.seek(0 if anew else done)
                done = self._take(file, key, listed.id, 0 if anew else done, seen if anew else None)
                if anew:
                    self._drop_unseen(key, seen)
                self._database.execute("update recordings set inode = ?, done = ? where key = ?", (state.st_ino, done, key))
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")
            return max(self._database.total_changes - before - 1, 0)

    def _known(self, camera: str, listed: ListedRecording) -> tuple[int, int, int]:
        ask = "select key, inode, done from recordings where id = ?"
        row = self._database.execute(ask, (listed.id,)).fetchone()
        if row is None:
            values = (listed.id, camera, str(listed.folder), listed.name)
            self._database.execute("insert into recordings values (null, ?, ?, ?, ?, 0, 0)", values)
            row = self._database.execute(ask, (listed.id,)).fetchone()
        return row[0], row[1], row[2]

    def _take(self, file: Any, key: int, recording: str, done: int, seen: set[tuple[int, int]] | None) -> int:
        """Take every whole line from here on; return where the next look begins."""
        batch: list[tuple[Any, ...]] = []
        while (line := file.readline(LONGEST_LINE)).endswith(b"\n"):
            done += len(line)
            entry = entry_of(line)
            if isinstance(entry, Deleted):
                self._insert(batch)
                self._drop_deleted(key, entry)
            elif isinstance(entry, RecordedFrame) and (row := _row(key, recording, entry, line)) is not None:
                batch.append(row)
                if seen is not None:
                    seen.add((entry.number, entry.meta.received_ns))
            if len(batch) >= _BATCH:
                self._insert(batch)
        self._insert(batch)
        return done

    def _insert(self, batch: list[tuple[Any, ...]]) -> None:
        self._database.executemany(_ADD, batch)
        batch.clear()

    def _drop_deleted(self, key: int, entry: Deleted) -> None:
        for first, last in entry.ranges:
            self._drop(key, "number between ? and ?", min(first, _MOST_NUMBER), min(last, _MOST_NUMBER))

    def _drop_unseen(self, key: int, seen: set[tuple[int, int]]) -> None:
        rows = self._database.execute("select id, number, at from frames where recording = ?", (key,)).fetchall()
        for number in [row[0] for row in rows if (row[1], row[2]) not in seen]:
            self._drop(key, "id = ?", number)

    def _drop(self, key: int, condition: str, *values: int) -> None:
        """Delete frames of a recording, except those that are labelled: their pictures lie in the page's own folder."""
        text = f"select id, kept from frames where recording = ? and {condition}"  # noqa: S608
        rows = self._database.execute(text, (key, *values)).fetchall()
        labelled = set(_labelled(self._labels)) if rows else set()
        gone = [(number,) for number, kept in rows if kept not in labelled]
        self._database.executemany("delete from frames where id = ?", gone)


def _labelled(labels: Path) -> Iterator[str]:
    """Yield the names of all frames that have a label; none where nobody labelled yet."""
    try:
        database = sqlite3.connect(f"file:{labels}?mode=ro", uri=True, timeout=2.0)
    except sqlite3.Error:
        return
    try:
        yield from (row[0] for row in database.execute("select file from labels"))
    except sqlite3.Error:
        return
    finally:
        database.close()


def _row(key: int, recording: str, entry: RecordedFrame, line: bytes) -> tuple[Any, ...] | None:
    """Return the columns of one frame; None where its line holds numbers that no frame has."""
    record = orjson.loads(line).get("record")
    record = record if isinstance(record, dict) else {}
    meta = entry.meta
    if max(map(abs, (entry.number, meta.received_ns, meta.part_id or 0, meta.width, meta.height))) > _MOST_NUMBER:
        return None
    high, threshold = _real(record.get("map_max")), _real(record.get("threshold"))
    margin = (high - threshold) / abs(threshold) if high is not None and threshold else None
    dropped = record.get("regions_dropped")
    names = sorted(name for name, count in dropped.items() if count) if isinstance(dropped, dict) else []
    return (
        key,
        entry.number,
        meta.received_ns,
        entry.file,
        kept_name(recording, meta.received_ns, entry.number, entry.file),
        _text(record.get("instance_id")),
        _whole(record.get("seq")),
        record.get("verdict") if record.get("verdict") in VERDICTS else None,
        _text(record.get("reason")),
        meta.part_id,
        high,
        threshold,
        margin,
        entry.why,
        f",{','.join(names)}," if names else "",
        orjson.dumps(_boxes(record.get("regions"))).decode(),
        meta.width,
        meta.height,
        entry.bits,
        meta.frame_ref,
    )


def _boxes(regions: object) -> list[list[float]]:
    found = []
    for region in regions[:_MOST_BOXES] if isinstance(regions, list) else ():
        box = region.get("bbox_xyxy") if isinstance(region, dict) else None
        if isinstance(box, list) and len(box) == 4 and all(isinstance(one, (int, float)) for one in box):
            found.append(box)
    return found


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST_NUMBER else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
