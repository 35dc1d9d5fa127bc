"""The frame index says which frames of evidence and recordings there are to look at, and what their records say, in SQLite.

It is written by the indexer and read by the page. New lines of a recording are read once; where a recording's index was
shortened it is read again, and frames that are gone lose their rows, except those that somebody labelled.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from edge.errors import UserError, text_of
from edge.service.instances import Instance
from edge.storage.lines_until_torn import lines_until_torn
from edge.storage.recording_index import INDEX, Deleted, RecordedFrame, entry_of
from edge.web.column_values import MOST_NUMBER, real, text, whole
from edge.web.derived_database import all_or_nothing, check_read_by_others, must_begin_anew, open_derived
from edge.web.review.label_table import open_labels
from edge.web.review.places import FRAMES, set_folder
from edge.web.tuning.recordings import KEPT, ListedRecording, is_gone, kept_name, listing_of
from edge.wire.record_fields import VERDICTS

log = structlog.get_logger()
_MOST_BOXES: Final = 24
_BATCH: Final = 5_000
_LAYOUT: Final = 2
_TABLES: Final = """
create table if not exists recordings (key integer primary key, id text not null, camera text not null,
  folder text not null, name text not null, inode integer not null, done integer not null, device integer,
  unique (id, camera));
create table if not exists frames (id integer primary key autoincrement, recording integer not null,
  number integer not null, at integer not null, file text not null, kept text not null, instance text, seq integer,
  verdict text, reason text, part integer, map_max real, threshold real, margin real, why text, dropped text not null,
  boxes text not null, width integer not null, height integer not null, bits integer not null, ref text,
  unique (recording, number, at));
create index if not exists frames_by_time on frames (at);
create index if not exists frames_by_kept on frames (kept);
"""
_FROM_FIRST: Final = """
begin;
create table again (key integer primary key, id text not null, camera text not null, folder text not null,
  name text not null, inode integer not null, done integer not null, device integer, unique (id, camera));
insert into again select key, id, camera, folder, name, 0, 0, null from recordings;
drop table recordings;
alter table again rename to recordings;
pragma user_version = 2;
commit;
"""
"""Labelled frames whose evidence is gone can't be read again, so an index of the first layout is taken over. Its recordings
are read once more: it could lack frames of one that had been away."""
_ADD: Final = f"insert or ignore into frames values (null{', ?' * 20})"  # noqa: S608


class FrameIndex:
    """The index of all frames that Review can show, for the one process that keeps it up to date."""

    def __init__(self, folder: Path) -> None:
        """Open or make it in the page's folder."""
        self._folder = folder
        self._reported: dict[Path, str] = {}
        _take_over(folder / FRAMES)
        self._database = open_derived(folder / FRAMES, _TABLES, _LAYOUT)

    def close(self) -> None:
        self._database.close()

    def check(self) -> None:
        """Look whether others can read the index. Raises sqlite3.DatabaseError: it must be begun anew."""
        check_read_by_others(self._folder / FRAMES)

    def follow(self, lines: Sequence[Instance], roots: Sequence[Path]) -> int:
        """Read what is new in the evidence and recordings of one camera, whose instances are ``lines``; return how many
        frames that were. A recording that can't be read is reported, and doesn't keep the others from being read.
        """
        count = 0
        for camera in dict.fromkeys(line.camera for line in lines):
            listed, is_whole = listing_of([line for line in lines if line.camera == camera], roots)
            self._forget_others(camera, {one.id for one in listed}, is_whole=is_whole)
            for one in listed:
                try:
                    count += self._read(camera, one)
                except (OSError, UserError):
                    continue  # it is looked at again in a moment
                except Exception as error:
                    if must_begin_anew(error):
                        raise
                    self._report(camera, one.folder, text_of(error))
        return count

    def _report(self, camera: str, folder: Path, error: str) -> None:
        """Report a trouble once, not at each look."""
        if self._reported.get(folder) != error:
            self._reported[folder] = error
            log.warning("recording_not_indexed", camera=camera, folder=str(folder), error=error)

    def _forget_others(self, camera: str, there: set[str], *, is_whole: bool) -> None:
        ask = "select key, id, folder, device from recordings where camera = ?"
        for key, name, folder, device in self._database.execute(ask, (camera,)).fetchall():
            if name not in there and is_gone(Path(folder), camera, device, is_whole=is_whole):
                with all_or_nothing(self._database):
                    self._forget(key)

    def _forget(self, key: int) -> None:
        """Drop a recording; where labelled frames stay it is read from its beginning if it comes back."""
        self._drop(key, "1")
        (left,) = self._database.execute("select count(*) from frames where recording = ?", (key,)).fetchone()
        tail = "update recordings set inode = 0, done = 0 where key = ?" if left else "delete from recordings where key = ?"
        self._database.execute(tail, (key,))

    def _read(self, camera: str, listed: ListedRecording) -> int:
        with (listed.folder / INDEX).open("rb", buffering=1 << 20) as file:
            state = os.fstat(file.fileno())
            key, inode, done = self._known(camera, listed, state.st_dev)
            anew = inode != state.st_ino or state.st_size < done
            if not anew and state.st_size == done:
                return 0
            before = self._database.total_changes
            with all_or_nothing(self._database):
                seen: set[tuple[int, int]] = set()
                file.seek(0 if anew else done)
                done = self._take(file, key, listed.id, 0 if anew else done, seen if anew else None)
                if anew:
                    self._drop_unseen(key, seen)
                self._database.execute("update recordings set inode = ?, done = ? where key = ?", (state.st_ino, done, key))
            return max(self._database.total_changes - before - 1, 0)

    def _known(self, camera: str, listed: ListedRecording, device: int) -> tuple[int, int, int]:
        """Return key, inode and bytes read of a recording. What another camera kept in the same folder is dropped."""
        others = "select key from recordings where id = ? and camera <> ? and done > 0"
        for (key,) in self._database.execute(others, (listed.id, camera)).fetchall():
            with all_or_nothing(self._database):
                self._forget(key)
        ask = "select key, inode, done, device from recordings where id = ? and camera = ?"
        row = self._database.execute(ask, (listed.id, camera)).fetchone()
        if row is None:
            values = (listed.id, camera, str(listed.folder), listed.name, device)
            self._database.execute("insert into recordings values (null, ?, ?, ?, ?, 0, 0, ?)", values)
            row = self._database.execute(ask, (listed.id, camera)).fetchone()
        elif row[3] != device:
            self._database.execute("update recordings set device = ? where key = ?", (device, row[0]))
        return row[0], row[1], row[2]

    def _take(self, file: Any, key: int, recording: str, done: int, seen: set[tuple[int, int]] | None) -> int:
        """Take every whole line from here on; return where the next look begins."""
        batch: list[tuple[Any, ...]] = []
        for line in lines_until_torn(file):
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
            self._drop(key, "number between ? and ?", *(max(min(one, MOST_NUMBER), -MOST_NUMBER) for one in (first, last)))

    def _drop_unseen(self, key: int, seen: set[tuple[int, int]]) -> None:
        rows = self._database.execute("select id, kept, number, at from frames where recording = ?", (key,)).fetchall()
        self._delete(key, [(row[0], row[1]) for row in rows if (row[2], row[3]) not in seen])

    def _drop(self, key: int, condition: str, *values: int) -> None:
        ask = f"select id, kept from frames where recording = ? and {condition}"  # noqa: S608
        self._delete(key, self._database.execute(ask, (key, *values)).fetchall())

    def _delete(self, key: int, rows: Sequence[tuple[int, str]]) -> None:
        """Delete frames of a recording, except those that are labelled: their pictures lie in the page's own folder."""
        if not rows:
            return
        (camera,) = self._database.execute("select camera from recordings where key = ?", (key,)).fetchone()
        labelled = _labelled(self._folder, camera)
        gone = [(number,) for number, kept in rows if kept not in labelled]
        self._database.executemany("delete from frames where id = ?", gone)


def _take_over(path: Path) -> None:
    """Bring an index of the first layout to the present one; what can't be brought is begun anew when it is opened."""
    if not path.is_file():
        return
    with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(sqlite3.connect(path, timeout=2.0)) as database:
        ((version,),) = database.execute("pragma user_version")
        if version == 1:
            database.executescript(_FROM_FIRST)


def _labelled(folder: Path, camera: str) -> set[str]:
    """Return the names of a camera's frames that have a label, or whose copy lies in its set: the table may be begun anew
    or behind the set, and a frame is copied before its first label is written. Raises OSError: the set can't be listed.
    """
    found: set[str] = set()
    with contextlib.suppress(UserError), open_labels(folder) as database:
        found.update(row[0] for row in database.execute("select file from labels where camera = ?", (camera,)))
    with contextlib.suppress(FileNotFoundError):
        found.update(f"{KEPT}/{name}" for name in os.listdir(set_folder(folder, camera) / KEPT))
    return found


def _row(key: int, recording: str, entry: RecordedFrame, line: bytes) -> tuple[Any, ...] | None:
    """Return the columns of one frame; None where its line holds what no frame has."""
    record = orjson.loads(line).get("record")
    record = record if isinstance(record, dict) else {}
    meta = entry.meta
    numbers = (
        entry.number,
        meta.received_ns,
        meta.width,
        meta.height,
        entry.bits,
        0 if meta.part_id is None else meta.part_id,
    )
    texts = ("" if entry.why is None else entry.why, "" if meta.frame_ref is None else meta.frame_ref)
    if None in map(whole, numbers) or None in map(text, (entry.file, *texts)):
        return None
    high, threshold = real(record.get("map_max")), real(record.get("threshold"))
    margin = (high - threshold) / abs(threshold) if high is not None and threshold else None
    dropped = record.get("regions_dropped")
    names = sorted(name for name, count in dropped.items() if count) if isinstance(dropped, dict) else []
    return (
        key,
        entry.number,
        meta.received_ns,
        entry.file,
        kept_name(recording, meta.received_ns, entry.number, entry.file),
        text(record.get("instance_id")),
        whole(record.get("seq")),
        record.get("verdict") if record.get("verdict") in VERDICTS else None,
        text(record.get("reason")),
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
