"""A log is summarised over hours and days: verdicts per hour, latency, losses and the worst regions."""

from __future__ import annotations

import heapq
import itertools
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.errors import UserError
from edge.frames import STAGES
from edge.report.drift_over_time import DriftOverTime, Span, is_drift
from edge.report.moments import utc
from edge.report.overruled import LOG_LOST, overruled_later
from edge.storage.log_files import NAME, read_messages, segments
from edge.wire.schema import RECORD_KINDS

SHARES: Final = (0.5, 0.95, 0.99)
_HOUR_NS: Final = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter chooses records: made in [since_ns, until_ns), UTC, of this part, with these verdicts and this reason."""

    since_ns: int | None = None
    until_ns: int | None = None
    part_id: int | None = None
    verdicts: frozenset[str] = frozenset()
    reason: str | None = None

    def takes(self, record: Mapping[str, Any]) -> bool:
        made = record["created_ns"]
        return (
            (self.since_ns is None or made >= self.since_ns)
            and (self.until_ns is None or made < self.until_ns)
            and (self.part_id is None or _is_of(record, self.part_id))
            and (not self.verdicts or record["verdict"] in self.verdicts)
            and (self.reason is None or record["reason"] == self.reason)
        )

    def takes_drift(self, line: Mapping[str, Any]) -> bool:
        """Return True for a line of drift that is sound and not too late; what began earlier may still be in force."""
        made, drift = line["created_ns"], line["drift"]
        sound = _is_int(made) and 0 <= made < 1 << 62 and (drift is None or is_drift(drift))
        return sound and (self.until_ns is None or made < self.until_ns) and self.part_id is None


@dataclass(slots=True)
class LogDamage:
    """Damage counts what couldn't be read: files that end in half a line, lines that are no record, records that stand
    twice.

    ``missing_records`` counts holes in the numbers of each run, over all records that were read, wanted or not; before its
    first one too, if no older file was left out.
    """

    torn_files: int = 0
    unreadable_lines: int = 0
    repeated: int = 0
    runs: dict[str, _Numbers] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)
    """Runs of which no older file was left out."""
    reach: tuple[int, int] | None = None
    """When the first and the last record were made, UTC in ns, of all that were read, wanted or not; None without any."""

    @property
    def missing_records(self) -> int:
        before = sum(self.runs[run].first for run in self.whole)
        return before + sum(numbers.missing for numbers in self.runs.values())

    def as_json(self) -> dict[str, int]:
        return {
            "torn_files": self.torn_files,
            "unreadable_lines": self.unreadable_lines,
            "repeated_records": self.repeated,
            "missing_records": self.missing_records,
        }


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Return log files in their order; each path is a file, or a folder of log files.

    Raises:
        UserError: no such path, or a folder without segments.
    """
    found: list[Path] = []
    for path in paths:
        try:
            here = segments(path) if path.is_dir() else [path]
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        if not here:
            raise UserError(f"{path}: holds no log", expected="files edge-CAMERA-START-N.jsonl, or .jsonl.zst")
        if not path.exists():
            raise UserError(f"{path}: no such file or folder", expected="a log file, a folder of them, or a line's config")
        found += here
    return found


def read_log(
    files: Iterable[Path],
    wanted: Filter,
    damage: LogDamage,
    drift: Callable[[dict[str, Any]], object] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """Yield the records that ``wanted`` takes from all files, in order; each once, though a failed sync may have written it
    twice. Of one that was overruled after it was written the later version is the one that was published. ``drift`` hears,
    at its place among them, each line that says which drift is in force from there on.

    Raises:
        UserError: a file can't be read.
    """
    files = list(files)
    overruled = overruled_later(files)
    for path in files:
        counts: dict[str, int] = {}
        try:
            if wanted.since_ns is not None and path.stat().st_mtime_ns < wanted.since_ns:
                continue  # its last record is older
            for record in read_messages(path, counts):
                if record["kind"] == "drift" and wanted.takes_drift(record):
                    drift(record)
                if record["kind"] not in RECORD_KINDS:
                    continue
                if not _is_sound(record):
                    damage.unreadable_lines += 1
                    continue
                made, (first, last) = record["created_ns"], damage.reach or (record["created_ns"],) * 2
                damage.reach = min(first, made), max(last, made)
                if record["instance_id"] not in damage.runs and wanted.since_ns is None and _is_first(path, files):
                    damage.whole.add(record["instance_id"])
                if record["reason"] != LOG_LOST and (record["instance_id"], record["seq"]) in overruled:
                    damage.repeated += 1
                    continue
                if not damage.runs.setdefault(record["instance_id"], _Numbers()).add(record["seq"]):
                    damage.repeated += 1
                elif wanted.takes(record):
                    yield record
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
        damage.torn_files += counts["torn"]
        damage.unreadable_lines += counts["unreadable"]


@dataclass
class Summary:
    """A summary counts records. ``hours`` holds verdicts and lost frames by the hour's first moment, UTC."""

    worst: int = 10
    records: int = 0
    runs: set[str] = field(default_factory=set)
    verdicts: Counter[str] = field(default_factory=Counter)
    invalid: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    hours: dict[int, Counter[str]] = field(default_factory=dict)
    first_ns: int | None = None
    last_ns: int | None = None
    drift: DriftOverTime = field(default_factory=DriftOverTime)
    _latency: dict[str, array[float]] = field(default_factory=lambda: {stage: array("f") for stage in STAGES})
    _worst: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    _regions: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record."""
        self.drift.record(record["instance_id"], record["created_ns"])
        self.records += 1
        self.runs.add(record["instance_id"])
        made = record["created_ns"]
        self.first_ns = made if self.first_ns is None else min(made, self.first_ns)
        self.last_ns = made if self.last_ns is None else max(made, self.last_ns)
        hour = self.hours.setdefault(made - made % _HOUR_NS, Counter())
        if record["kind"] == "skip":
            self.skipped[record["reason"]] += record["count"]
            hour["skipped"] += record["count"]
            return
        self.verdicts[record["verdict"]] += 1
        hour[record["verdict"]] += 1
        if record["reason"] is not None:
            self.invalid[record["reason"]] += 1
        for stage in STAGES:
            self._latency[stage].append(record["latency_ms"][stage])
        for region in record["regions"]:
            self._see(region, record)

    def latency_ms(self) -> dict[str, dict[str, float]]:
        """Return p50, p95, p99 (nearest rank) and max of each stage, in ms; empty without inspections."""
        found = {}
        for stage, values in self._latency.items():
            if values:
                ms = np.sort(np.frombuffer(values, np.float32))
                ranks = {f"p{share:.0%}"[:-1]: ms[min(int(share * len(ms)), len(ms) - 1)] for share in SHARES}
                found[stage] = {name: round(float(value), 3) for name, value in {**ranks, "max": ms[-1]}.items()}
        return found

    def spans(self) -> list[Span]:
        """Return the drifts that were in force at some record."""
        return self.drift.within(self.first_ns, self.last_ns) if self.records else []

    def worst_regions(self) -> list[dict[str, Any]]:
        """Return the regions with the highest ``score_max``, highest first, each with what names its frame."""
        return [region for _, _, region in sorted(self._worst, key=lambda entry: entry[:2], reverse=True)]

    def as_json(self) -> dict[str, Any]:
        return {
            "records": self.records,
            "runs": len(self.runs),
            "first": None if self.first_ns is None else utc(self.first_ns),
            "last": None if self.last_ns is None else utc(self.last_ns),
            "verdicts": dict(self.verdicts),
            "invalid": dict(self.invalid),
            "skipped_frames": dict(self.skipped),
            "hours": {utc(start): dict(self.hours[start]) for start in sorted(self.hours)},
            "drift": [span.as_json() for span in self.spans()],
            "latency_ms": self.latency_ms(),
            "worst_regions": self.worst_regions(),
        }

    def _see(self, region: Mapping[str, Any], record: Mapping[str, Any]) -> None:
        score = region["score_max"]
        self._regions += 1
        if score is None or not self.worst or (len(self._worst) == self.worst and score <= self._worst[0][0]):
            return
        facts = {name: record[name] for name in ("created_ns", "instance_id", "seq", "frame_id", "frame_ref", "part_id")}
        facts |= {name: region[name] for name in ("score_max", "area_px", "bbox_xyxy")}
        entry = (
            score,
            -self._regions,
            facts,
        )  # of equals the first stays; never the same twice, for a dict has no order
        if len(self._worst) < self.worst:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heapreplace(self._worst, entry)


def _is_first(path: Path, files: Sequence[Path]) -> bool:
    """Return True if all older files of this log that are still there are among those that are read."""
    name = NAME.fullmatch(path.name)
    if name is None:
        return True
    older = itertools.takewhile(lambda other: other != path, segments(path.parent, name["camera"]))
    return set(older) <= set(files)


class _Numbers:
    """Remembers which of 0, 1, 2 ... were seen, as runs of numbers; an unbroken log has one run."""

    def __init__(self) -> None:
        self._runs: list[list[int]] = []

    def add(self, number: int) -> bool:
        """Add a number; return False if it was seen before."""
        runs = self._runs
        at = len(runs)
        while at and runs[at - 1][0] > number:
            at -= 1
        before = runs[at - 1] if at else None
        if before is not None and number <= before[1]:
            return False
        if before is not None and number == before[1] + 1:
            before[1] = number
        else:
            runs.insert(at, [number, number])
            before = runs[at]
            at += 1
        if at < len(runs) and runs[at][0] == before[1] + 1:
            before[1] = runs.pop(at)[1]
        return True

    @property
    def first(self) -> int:
        return self._runs[0][0]

    @property
    def missing(self) -> int:
        return sum(later[0] - earlier[1] - 1 for earlier, later in zip(self._runs, self._runs[1:], strict=False))


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Return True if the fields that are counted or shown are what the schema says: a file may hold anything."""
    made, reason = record["created_ns"], record["reason"]
    if not _is_int(made) or not 0 <= made < 1 << 62 or not isinstance(reason, (str, type(None))):
        return False
    if record["kind"] == "skip":
        return _is_int(record["count"]) and reason is not None
    took, regions, part_id = record["latency_ms"], record["regions"], record["part_id"]
    return (
        _is_int(record["frame_id"])
        and (part_id is None or _is_int(part_id))
        and isinstance(record["frame_ref"], (str, type(None)))
        and isinstance(took, dict)
        and all(_is_number(took.get(stage)) for stage in STAGES)
        and isinstance(regions, list)
        and all(isinstance(region, dict) and _is_region(region) for region in regions)
    )


def _is_region(region: Mapping[str, Any]) -> bool:
    score, box = region.get("score_max", ""), region.get("bbox_xyxy")
    return (
        (score is None or _is_number(score))
        and _is_number(region.get("area_px"))
        and isinstance(box, list)
        and len(box) == 4
        and all(map(_is_number, box))
    )


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_of(record: Mapping[str, Any], part_id: int) -> bool:
    if record["kind"] == "inspection":
        return bool(record["part_id"] == part_id)
    first, last = record["part_id_first"], record["part_id_last"]
    return _is_int(first) and _is_int(last) and bool(first <= part_id <= last)
