"""Records are searched in the index: newest first, a page at a time, by time, verdict, reason, part, seq and camera."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.storage.log_files import PACKED
from edge.web.column_values import MOST_NUMBER
from edge.web.derived_database import read_derived
from edge.web.logs.record_index import FILE, line_at, packed_lines
from edge.wire.record_fields import VERDICTS

MOST: Final = 1000
_DIGITS: Final = len(str(MOST_NUMBER))
_COLUMNS: Final = (
    "r.rowid, r.at, u.camera, u.instance, r.seq, r.verdict, r.reason, r.part, r.part_last, r.map_max, r.total_ms, "
    "f.path, r.place"
)

_OF_PART: Final = (
    "r.rowid in (select rowid from records where part = ? union all"
    " select rowid from records where part_last > part and part < ? and part_last >= ?)"
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is searched for; None everywhere: any. ``since_ns`` counts, ``until_ns`` no longer; both UTC."""

    camera: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    verdict: str | None = None
    reason: str | None = None
    part: int | None = None
    seq: int | None = None
    instance: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A hit is one record of the log in brief, and where it lies. ``cursor`` continues a search behind it."""

    at: int
    camera: str
    instance: str
    seq: int
    verdict: str
    reason: str | None
    part: int | None
    part_last: int | None
    map_max: float | None
    total_ms: float | None
    path: Path
    place: int
    cursor: str

    def whole(self) -> bytes | None:
        """Return the record as it stands in the log; None if retention took the file, or it was changed."""
        try:
            return line_at(self.path, self.place)
        except OSError:
            return None

    def as_json(self) -> dict[str, Any]:
        names = ("at", "camera", "instance", "seq", "verdict", "reason", "part", "part_last", "map_max", "total_ms")
        return {name: getattr(self, name) for name in names}


def search(folder: Path, wish: Wish, cameras: Iterable[str], cursor: str | None = None, limit: int = 100) -> list[Hit]:
    """Return the newest records that fit, of these cameras alone, at most ``limit`` (1,000).

    ``cursor`` is that of the last hit before. Raises UserError: a wrong verdict or cursor, or there is no index yet.
    """
    conditions, values = _conditions(wish, tuple(cameras))
    if cursor is not None:
        at, _, row = cursor.partition("-")
        if not (_is_number(at) and _is_number(row)):
            raise UserError("cursor", received=cursor, expected="the cursor that an answer gave")
        conditions.append("(r.at, r.rowid) < (?, ?)")
        values += [int(at), int(row)]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    text = (
        f"select {_COLUMNS} from records r join runs u on u.id = r.run join files f on f.id = r.file{where}"  # noqa: S608
        " order by r.at desc, r.rowid desc limit ?"
    )
    return [_hit(row) for row in ask(folder, text, [*values, min(max(limit, 1), MOST)])]


def each(folder: Path, wish: Wish, cameras: Iterable[str], most: int) -> Iterator[Hit]:
    """Yield the hits page by page, at most ``most``."""
    cameras, cursor = tuple(cameras), None
    while most > 0 and (hits := search(folder, wish, cameras, cursor, min(most, MOST))):
        yield from hits
        most -= len(hits)
        cursor = hits[-1].cursor


def as_logged(hits: Iterable[Hit]) -> Iterator[bytes]:
    """Yield each hit as its line stands in the log, in brief if it is gone; a packed file is unpacked once for 1,000."""
    hits = iter(hits)
    while page := list(itertools.islice(hits, MOST)):
        places: dict[Path, set[int]] = defaultdict(set)
        for hit in page:
            if hit.path.name.endswith(PACKED):
                places[hit.path].add(hit.place)
        unpacked: dict[Path, dict[int, bytes]] = {}
        for path, wanted in places.items():
            with contextlib.suppress(OSError):  # retention took it
                unpacked[path] = packed_lines(path, wanted)
        for hit in page:
            line = unpacked.get(hit.path, {}).get(hit.place) if hit.path in places else hit.whole()
            yield line if line is not None else orjson.dumps(hit.as_json()) + b"\n"


def indexed(folder: Path) -> tuple[int, int]:
    """Return how many records and files the index holds, (0, 0) before there is one."""
    try:
        ((records, files),) = ask(folder, "select (select count(*) from records), (select count(*) from files)", [])
    except UserError:
        return 0, 0
    return records, files


def _conditions(wish: Wish, cameras: tuple[str, ...]) -> tuple[list[str], list[Any]]:
    conditions = [f"r.run in (select id from runs where camera in ({', '.join('?' * len(cameras))}))"]  # noqa: S608
    values: list[Any] = [*cameras]
    if wish.verdict is not None and wish.verdict not in VERDICTS:
        raise UserError("verdict", received=wish.verdict, expected=", ".join(VERDICTS))
    verdict = None if wish.verdict is None else VERDICTS.index(wish.verdict)
    for condition, value in (
        ("u.camera = ?", wish.camera),
        ("r.at >= ?", wish.since_ns),
        ("r.at < ?", wish.until_ns),
        ("r.verdict = ?", verdict),
        ("r.reason = ?", wish.reason),
        ("r.seq = ?", wish.seq),
        ("u.instance = ?", wish.instance),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if verdict:
        conditions.append("r.verdict > 0")  # what the key over fails and invalids covers
    if wish.part is not None:  # a skip stands for several parts
        conditions.append(_OF_PART)
        values += [wish.part] * 3
    return conditions, values


def _is_number(text: str) -> bool:
    """Return True for digits of a number that SQLite can hold."""
    return text.isdecimal() and len(text) <= _DIGITS and int(text) <= MOST_NUMBER


def ask(folder: Path, text: str, values: list[Any]) -> list[tuple[Any, ...]]:
    """Return the rows that the index answers with. Raises UserError, which passes: there is no index yet."""
    with read_derived(folder / FILE, "the log's index") as database:
        return database.execute(text, values).fetchall()


def _hit(row: tuple[Any, ...]) -> Hit:
    number, at, camera, instance, seq, verdict, reason, part, last, map_max, total, path, place = row
    return Hit(
        at=at,
        camera=camera,
        instance=instance,
        seq=seq,
        verdict=VERDICTS[verdict],
        reason=reason,
        part=part,
        part_last=last,
        map_max=map_max,
        total_ms=total,
        path=Path(path),
        place=place,
        cursor=f"{at}-{number}",
    )
