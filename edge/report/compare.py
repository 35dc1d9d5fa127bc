"""Two runs over the same frames are compared (pure): which verdicts changed.

Records are what ``edge.wire.read`` gives, of a daemon's log or of a replay. Frames are matched by the picture's path where
``frame_ref`` is one, else by ``frame_id`` and, where both sides know it, ``camera_ns``: a camera that was plugged in again
counts from the beginning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from edge.frames import FrameMeta
from edge.storage.pictures import frame_name

SKIP: Final = "skip"
_MOST_IN_A_SKIP: Final = 1_000_000
"""Most frames of one skip that are matched one by one; the frames beyond are counted, and match none."""
_FIELDS: Final = ("kind", "verdict", "reason", "map_max", "score", "threshold", "regions", "regions_dropped")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame is seen in a record; a skip has one for each of its frames. ``name`` is None if the record doesn't name
    it.
    """

    name: str | None
    camera_ns: int | None
    outcome: str


@dataclass(frozen=True, slots=True)
class FrameOutcomes:
    """A frame has an outcome now, and one ``before`` if an earlier run had the frame. ``name`` is None for a frame that its
    record doesn't name.
    """

    name: str | None
    before: str | None
    now: str
    seq: int


@dataclass(frozen=True, slots=True)
class OutcomeChange:
    """A frame's outcome (a verdict, or ``skip``) changed. ``seq`` is that of its present record."""

    name: str
    before: str
    after: str
    seq: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison counts frames by (outcome before, outcome now) in ``transitions``, equal ones included.

    The sum of ``transitions`` is the number of frames compared. ``only_before`` and ``only_now`` count frames that the
    other side doesn't have.
    """

    transitions: Mapping[tuple[str, str], int]
    changes: tuple[OutcomeChange, ...]
    only_before: int
    only_now: int


class Outcomes:
    """Outcomes remember what became of each frame in an earlier run; with several runs, the last one that has the frame
    counts.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]]) -> None:
        instances = set()
        self._by_name: dict[str, dict[int | None, dict[str, Any]]] = {}
        self.nameless = 0
        """Number of frames whose records don't say which frames they were."""
        for record in records:
            instances.add(record["instance_id"])
            kept = {field: record.get(field) for field in _FIELDS}
            for seen in _frames(record):
                if seen.name is None:
                    self.nameless += 1
                else:
                    self._by_name.setdefault(seen.name, {})[seen.camera_ns] = kept
        self.runs = len(instances)

    def __len__(self) -> int:
        return sum(len(frames) for frames in self._by_name.values())

    def of(self, meta: FrameMeta) -> dict[str, Any] | None:
        """Return what ``changed_picture`` needs of the frame's earlier record; None if there is none."""
        found = self._find(frame_name(meta.frame_ref, meta.frame_id), meta.camera_ns)
        return None if found is None else found[1]

    def compare(self, records: Iterable[Mapping[str, Any]]) -> Comparison:
        """Compare the records of the present run with the earlier ones."""
        transitions: Counter[tuple[str, str]] = Counter()
        changes: list[OutcomeChange] = []
        compared = only_now = 0
        for pair in self.paired(records):
            if pair.before is None or pair.name is None:
                only_now += 1
                continue
            compared += 1
            transitions[pair.before, pair.now] += 1
            if pair.before != pair.now:
                changes.append(OutcomeChange(pair.name, pair.before, pair.now, pair.seq))
        return Comparison(transitions, tuple(changes), len(self) + self.nameless - compared, only_now)

    def paired(self, records: Iterable[Mapping[str, Any]]) -> Iterator[FrameOutcomes]:
        """Yield each frame of the present run's records with its earlier outcome; one of an earlier run is used once."""
        used: set[tuple[str, int | None]] = set()
        for record in records:
            for seen in _frames(record):
                found = self._find(seen.name, seen.camera_ns)
                if found is None or found[0] in used:  # a name may stand for a frame in each of several runs
                    yield FrameOutcomes(seen.name, None, seen.outcome, record["seq"])
                    continue
                used.add(found[0])
                yield FrameOutcomes(seen.name, outcome(found[1]), seen.outcome, record["seq"])

    def _find(self, name: str | None, camera_ns: int | None) -> tuple[tuple[str, int | None], dict[str, Any]] | None:
        frames = None if name is None else self._by_name.get(name)
        if frames is None or name is None:
            return None
        for stamp in (camera_ns, None):
            if stamp in frames:
                return (name, stamp), frames[stamp]
        if camera_ns is None:  # a skip has no stamp of its own
            stamp = next(reversed(frames))
            return (name, stamp), frames[stamp]
        return None


def outcome(record: Mapping[str, Any]) -> str:
    """Return ``pass``, ``fail``, ``invalid`` or ``skip``."""
    return SKIP if record["kind"] == "skip" else str(record["verdict"])


def _frames(record: Mapping[str, Any]) -> Iterator[_Seen]:
    key = outcome(record)
    ref = record.get("frame_ref")
    if key != SKIP:
        yield _Seen(frame_name(ref, record["frame_id"]), record.get("camera_ns"), key)
        return
    count, first, last = record["count"], record["frame_id_first"], record["frame_id_last"]
    known = first is not None and last is not None and last - first + 1 == count and count <= _MOST_IN_A_SKIP
    for offset in range(count):
        yield _Seen(frame_name(ref, first + offset) if known else None, None, SKIP)
