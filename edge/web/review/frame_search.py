"""Frames are searched by what their records say and by what people said about them: ids first, then one page of details.

The ids of a search stay as they are while somebody labels, so that nothing moves under the fingers.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.storage.overlay_names import is_overlay_of
from edge.web.derived_database import read_derived
from edge.web.review.label_table import votes_on
from edge.web.review.places import FRAMES, LABELS
from edge.wire.record_fields import VERDICTS

LABEL_WORDS: Final = ("any", "none", "good", "defect", "unsure", "disputed")
MOST_IDS: Final = 200_000
MOST_DETAILS: Final = 200
_COLUMNS: Final = (
    "f.id, f.number, f.at, f.file, f.kept, f.instance, f.seq, f.verdict, f.reason, f.part, f.map_max, f.threshold, f.why, "
    "f.dropped, f.boxes, f.width, f.height, f.bits, f.ref, r.folder, r.name"
)
_SHOWN: Final = ("id", "number", "instance", "seq", "verdict", "reason", "part", "map_max", "threshold", "why")


@dataclass(frozen=True, slots=True)
class FrameWish:
    """What is searched for; None everywhere: any. ``since_ns`` counts, ``until_ns`` no longer; both UTC.

    ``near``: the distance of ``map_max`` from the threshold, at most this share of the threshold. ``dropped``: a filter
    that dropped a region of the frame. ``numbers`` are those of a recording's frames. ``label`` is one of ``LABEL_WORDS``,
    ``kind`` a kind of defect that somebody named.
    ``disagree``: label and verdict say different things. ``without``: a person who has no word on the frame yet.
    """

    since_ns: int | None = None
    until_ns: int | None = None
    verdict: str | None = None
    reason: str | None = None
    part: int | None = None
    seq: int | None = None
    instance: str | None = None
    near: float | None = None
    dropped: str | None = None
    recording: str | None = None
    numbers: tuple[int, ...] = ()
    label: str | None = None
    kind: str | None = None
    without: str | None = None
    disagree: bool = False


@dataclass(frozen=True, slots=True)
class FoundFrame:
    """A frame of the index: what is shown of it, and where its picture lies (``folder`` and ``file`` under it).

    ``kept`` is the name that its copy has in the camera's set once it is labelled.
    """

    shown: dict[str, Any]
    folder: Path
    file: str
    kept: str

    def as_message(self) -> dict[str, Any]:
        """Return what the worker needs to read the frame and to keep it."""
        names = ("number", "part", "instance", "seq", "why", "ref", "at", "bits")
        return {"folder": str(self.folder), "file": self.file, "kept": self.kept} | {n: self.shown[n] for n in names}


def frame_ids(folder: Path, camera: str, wish: FrameWish) -> tuple[list[int], bool]:
    """Return the ids of a camera's frames that fit, newest first, and whether there are more than 200,000.

    Raises:
        UserError: a verdict or label that is none; there is no index yet.
    """
    conditions, values = _conditions(wish)
    by_label = wish.label not in (None, "any") or wish.kind or wish.disagree or wish.without
    joined = " left join said.labels l on l.camera = r.camera and l.file = f.kept" if by_label else ""
    where = "".join(f" and {condition}" for condition in conditions)
    ask = (
        f"select f.id from frames f join recordings r on r.key = f.recording{joined}"  # noqa: S608
        f" where r.camera = ?{where} order by f.at desc, f.id desc limit ?"
    )
    with _index(folder, labels=bool(by_label)) as database:
        ids = [row[0] for row in database.execute(ask, (camera, *values, MOST_IDS + 1))]
    return ids[:MOST_IDS], len(ids) > MOST_IDS


def frame_details(folder: Path, camera: str, ids: Sequence[int], *, votes: bool = True) -> list[FoundFrame]:
    """Return those of these frames that are still there, in this order; with ``votes``, with each person's word."""
    ids = list(ids)[:MOST_DETAILS]
    ask = (
        f"select {_COLUMNS} from frames f join recordings r on r.key = f.recording"  # noqa: S608
        f" where r.camera = ? and f.id in ({', '.join('?' * len(ids))})"
    )
    with _index(folder) as database:
        found = {row[0]: _found(row) for row in database.execute(ask, (camera, *ids))}
    said = votes_on(folder, camera, [one.kept for one in found.values()]) if votes else {}
    for one in found.values():
        one.shown["votes"] = said.get(one.kept, [])
    return [found[number] for number in ids if number in found]


def overlay_of(frame: FoundFrame) -> bytes | None:
    """Return the overlay that evidence has beside a fail's frame, as JPEG; None if it has none."""
    number, seq, at = frame.shown["number"], frame.shown["seq"], int(frame.shown["at"])
    if seq is None:
        return None
    try:
        with os.scandir(frame.folder / "overlays") as inside:
            of_frame = (one for one in inside if is_overlay_of(one.name, number, seq, at))
            name = next((one.name for one in of_frame if one.is_file(follow_symlinks=False)), None)
        return None if name is None else (frame.folder / "overlays" / name).read_bytes()
    except OSError:
        return None


def choices(folder: Path, camera: str) -> dict[str, Any]:
    """Return what a camera's frames can be searched by: recordings, reasons, filters, and how many frames there are."""
    with _index(folder) as database:
        of_camera = "from frames f join recordings r on r.key = f.recording where r.camera = ?"
        recordings = database.execute("select id, name from recordings where camera = ? order by key", (camera,)).fetchall()
        reasons = database.execute(f"select distinct f.reason {of_camera} and f.reason is not null", (camera,)).fetchall()
        dropped = database.execute(f"select distinct f.dropped {of_camera} and f.dropped <> ''", (camera,)).fetchall()
        ((count,),) = database.execute(f"select count(*) {of_camera}", (camera,)).fetchall()
    return {
        "frames": count,
        "recordings": [{"id": name, "name": shown} for name, shown in recordings],
        "reasons": sorted(reason for (reason,) in reasons),
        "filters": sorted({name for (text,) in dropped for name in text.strip(",").split(",")}),
    }


def _conditions(wish: FrameWish) -> tuple[list[str], list[Any]]:
    _check(wish)
    pairs: tuple[tuple[str, object], ...] = (
        ("f.at >= ?", wish.since_ns),
        ("f.at < ?", wish.until_ns),
        ("f.verdict = ?", wish.verdict),
        ("f.reason = ?", wish.reason),
        ("f.part = ?", wish.part),
        ("f.seq = ?", wish.seq),
        ("f.instance = ?", wish.instance),
        ("abs(f.margin) <= ?", wish.near),
        ("instr(f.dropped, ?) > 0", None if wish.dropped is None else f",{wish.dropped},"),
        ("r.id = ?", wish.recording),
        ("instr(l.kinds, ?) > 0", None if wish.kind is None else f",{wish.kind},"),
        (
            "not exists (select 1 from said.votes v where v.camera = r.camera and v.file = f.kept and v.who = ?)",
            wish.without,
        ),
    )
    conditions = [condition for condition, value in pairs if value is not None]
    values = [value for _, value in pairs if value is not None]
    if wish.numbers:
        conditions.append(f"f.number in ({', '.join('?' * len(wish.numbers))})")
        values += wish.numbers
    if wish.label == "none":
        conditions.append("l.state is null")
    elif wish.label not in (None, "any"):
        conditions.append("l.state = ?")
        values.append(wish.label)
    if wish.disagree:
        conditions.append("((l.state = 'good' and f.verdict <> 'pass') or (l.state = 'defect' and f.verdict = 'pass'))")
    return conditions, values


def _check(wish: FrameWish) -> None:
    if wish.verdict is not None and wish.verdict not in VERDICTS:
        raise UserError("verdict", received=wish.verdict[:40], expected=", ".join(VERDICTS))
    if wish.label is not None and wish.label not in LABEL_WORDS:
        raise UserError("label", received=wish.label[:40], expected=", ".join(LABEL_WORDS))


@contextlib.contextmanager
def _index(folder: Path, *, labels: bool = False) -> Iterator[sqlite3.Connection]:
    with read_derived(folder / FRAMES, "the index of frames") as database:
        if labels:
            database.execute("attach ? as said", (f"file:{folder / LABELS}?mode=ro",))
        yield database


def _found(row: Iterable[Any]) -> FoundFrame:
    number, of_recording, at, file, kept, instance, seq, verdict, reason, part, high, threshold, why, *rest = row
    dropped, boxes, width, height, bits, ref, folder, recording = rest
    values = (number, of_recording, instance, seq, verdict, reason, part, high, threshold, why)
    shown = dict(zip(_SHOWN, values, strict=True)) | {
        "at": str(at),
        "dropped": dropped.strip(",").split(",") if dropped else [],
        "boxes": orjson.loads(boxes),
        "size": [width, height],
        "bits": bits,
        "ref": ref,
        "recording": recording,
    }
    return FoundFrame(shown, Path(folder), file, kept)
