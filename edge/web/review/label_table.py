"""The label table has in SQLite what people said, so that frames are searched by it; ``set.jsonl`` is the truth.

The label book's worker writes it after each line of the set, and makes it anew from the set where it doesn't fit. The page
reads it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.models.sets.manifest import LabelLine
from edge.web.derived_database import all_or_nothing, check_read_by_others, open_derived, read_derived
from edge.web.review.places import LABELS

_LAYOUT: Final = 2
_TABLES: Final = """
create table if not exists books (camera text primary key, done integer not null, inode integer not null);
create table if not exists votes (camera text not null, file text not null, who text not null, label text not null,
  kinds text not null, mask text, at text not null, place integer not null,
  decided integer, counts integer not null, primary key (camera, file, who));
create table if not exists kinds (camera text not null, kind text not null, place integer not null,
  primary key (camera, kind));
create table if not exists labels (camera text not null, file text not null, state text not null, kinds text not null,
  mask text, at text not null, primary key (camera, file));
create index if not exists labels_by_file on labels (file);
"""

_OF_PERSON: Final = "from votes where camera = ? and file = ? and who = ?"


class LabelTable:
    """The table of all cameras' labels, for the one process that writes it."""

    def __init__(self, folder: Path) -> None:
        """Open or make it in the page's folder. Raises sqlite3.Error."""
        self._folder = folder
        self._database = open_derived(folder / LABELS, _TABLES, _LAYOUT)

    def close(self) -> None:
        self._database.close()

    def done(self, camera: str) -> tuple[int, int]:
        """Return how many bytes of a camera's set are in the table, and the inode of the file that they were read from."""
        row = self._database.execute("select done, inode from books where camera = ?", (camera,)).fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def check(self, camera: str) -> None:
        """Look whether another process finds a camera's set in the table. Raises sqlite3.DatabaseError: begin it anew."""
        check_read_by_others(self._folder / LABELS)
        if not has_book(self._folder, camera):
            raise sqlite3.DatabaseError("the table of labels can't be read: it was damaged or deleted")

    def masks(self, camera: str, file: str) -> dict[str, str]:
        """Return the name of each person's mask of a frame, in the order in which they were drawn."""
        ask = "select who, mask from votes where camera = ? and file = ? and mask is not null and counts order by place"
        return dict(self._database.execute(ask, (camera, file)).fetchall())

    def own_mask(self, camera: str, file: str, who: str) -> str | None:
        """Return the name of a person's mask of a frame, which another's decision may have put aside; None without one."""
        row = self._database.execute(f"select mask {_OF_PERSON}", (camera, file, who)).fetchone()
        return None if row is None or row[0] is None else str(row[0])

    def decides(self, camera: str, file: str, who: str) -> bool:
        """Return whether a person's word on a frame puts the earlier ones of others aside."""
        row = self._database.execute(f"select decided {_OF_PERSON}", (camera, file, who)).fetchone()
        return row is not None and row[0] is not None

    def forget(self, camera: str) -> None:
        """Begin a camera's labels anew."""
        with all_or_nothing(self._database):
            self._clear(camera)

    def _clear(self, camera: str) -> None:
        for table in ("books", "votes", "kinds", "labels"):
            self._database.execute(f"delete from {table} where camera = ?", (camera,))  # noqa: S608

    def take(
        self, camera: str, lines: Iterable[tuple[LabelLine, int]], done: tuple[int, int], *, anew: bool = False
    ) -> None:
        """Take words in their order, each with its place in the set; ``done`` is what the next ``done`` returns. With
        ``anew`` they take the place of all that the table has of the camera, and no reader sees it empty in between.
        """
        with all_or_nothing(self._database):
            if anew:
                self._clear(camera)
            touched: dict[str, None] = {}
            for line, place in lines:
                self._vote(camera, line, place)
                touched[line.file] = None
            for file in touched:
                self._settle(camera, file)
            self._database.execute("insert or replace into books values (?, ?, ?)", (camera, *done))

    def _vote(self, camera: str, line: LabelLine, place: int) -> None:
        of_person = (camera, line.file, line.by)
        row = self._database.execute(f"select decided {_OF_PERSON}", of_person).fetchone()
        self._database.execute(f"delete {_OF_PERSON}", of_person)
        if line.label != "withdrawn":
            decided = place if line.decides else row and row[0]
            values = (*of_person, line.label, orjson.dumps(line.defects).decode(), line.mask, line.at, place, decided)
            self._database.execute("insert into votes values (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)", values)
        named = [(camera, kind, place) for kind in line.defects]
        self._database.executemany("insert or ignore into kinds values (?, ?, ?)", named)

    def _settle(self, camera: str, file: str) -> None:
        """Say what all words on one frame come to, as ``last_words`` and ``SetFrame`` do."""
        where = "where camera = ? and file = ?"
        decided = f"select coalesce(max(decided), 0) from votes {where}"  # noqa: S608
        counts = f"update votes set counts = place >= ({decided}) {where}"  # noqa: S608
        self._database.execute(counts, (camera, file) * 2)
        ask = f"select label, kinds, mask, at from votes {where} and counts order by place"  # noqa: S608
        rows = self._database.execute(ask, (camera, file)).fetchall()
        self._database.execute("delete from labels where camera = ? and file = ?", (camera, file))
        if not rows:
            return
        words = {label for label, *_ in rows if label != "unsure"}
        state = "disputed" if len(words) > 1 else next(iter(words), "unsure")
        kinds = sorted({kind for _, text, *_ in rows for kind in orjson.loads(text)})
        masks = [mask for _, _, mask, _ in rows if mask is not None]
        shown = f",{','.join(kinds)}," if kinds else ""
        values = (camera, file, state, shown, masks[-1] if masks else None, rows[-1][3])
        self._database.execute("insert into labels values (?, ?, ?, ?, ?, ?)", values)


@contextlib.contextmanager
def open_labels(folder: Path) -> Iterator[sqlite3.Connection]:
    """Open the table to read it. Raises UserError, which passes: there is none, or it is damaged."""
    with read_derived(folder / LABELS, "the table of labels") as database:
        yield database


def summary(folder: Path, camera: str) -> dict[str, Any]:
    """Return how many frames have which label, and the kinds of defect in the order in which they were first named."""
    try:
        with open_labels(folder) as database:
            ask = "select state, count(*) from labels where camera = ? group by state"
            counts = dict(database.execute(ask, (camera,)).fetchall())
            ask = "select kind from kinds where camera = ? order by place, kind"
            kinds = [kind for (kind,) in database.execute(ask, (camera,))]
    except UserError:
        return {"counts": {}, "kinds": []}
    return {"counts": counts, "kinds": kinds}


def has_book(folder: Path, camera: str) -> bool:
    """Return True if a camera's set was taken into the table, which is begun anew where it is damaged."""
    try:
        with open_labels(folder) as database:
            return database.execute("select 1 from books where camera = ?", (camera,)).fetchone() is not None
    except UserError:
        return False


def votes_on(folder: Path, camera: str, files: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return each person's word that counts on these frames, by the frame's name in the set."""
    names = list(files)
    marks = ", ".join("?" * len(names))
    ask = (
        "select file, who, label, kinds, mask, at, decided from votes"  # noqa: S608
        f" where camera = ? and file in ({marks}) and counts order by place"
    )
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        with open_labels(folder) as database:
            for file, who, label, kinds, mask, at, decided in database.execute(ask, (camera, *names)):
                word = {"by": who, "label": label, "kinds": orjson.loads(kinds), "mask": mask is not None, "at": at}
                word["decides"] = decided is not None
                found.setdefault(file, []).append(word)
    except UserError:
        return {}
    return found
