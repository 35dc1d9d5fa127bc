"""Verdicts of labelled frames, class by class (pure): what was caught, what was missed, what was rejected for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.report.compare import FrameOutcomes, Outcomes

GOOD: Final = "good"


@dataclass(slots=True)
class Verdicts:
    """Counts of frames: ``failed``, ``passed``, and ``undecided`` for those without a verdict (invalid, or skipped)."""

    failed: int = 0
    passed: int = 0
    undecided: int = 0

    def add(self, outcome: str) -> None:
        """Count one more frame."""
        if outcome == "fail":
            self.failed += 1
        elif outcome == "pass":
            self.passed += 1
        else:
            self.undecided += 1

    def as_json(self, *, good: bool) -> dict[str, int]:
        """Return the counts under the names that they have for good frames, or for defective ones."""
        fail, passed = ("false_rejects", "passed") if good else ("caught", "missed")
        return {fail: self.failed, passed: self.passed, "no_verdict": self.undecided}


@dataclass(slots=True)
class ClassRow:
    """What became of the frames of one class, ``good`` or a kind of defect.

    ``before`` counts what an earlier run said of those frames that it had, too; None if there is no earlier run.
    ``began`` and ``stopped`` name the frames that fail now and did not, and those that failed and do not any more: of a
    class of defects the latter are lost.
    """

    name: str
    frames: int = 0
    now: Verdicts = field(default_factory=Verdicts)
    before: Verdicts | None = None
    began: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.name == GOOD

    @property
    def lost(self) -> tuple[str, ...]:
        """Names of defective frames that were caught before and are not now."""
        return () if self.good else tuple(self.stopped)

    def as_json(self) -> dict[str, Any]:
        """Return the row for programs."""
        entry: dict[str, Any] = {"class": self.name, "frames": self.frames, "now": self.now.as_json(good=self.good)}
        if self.before is not None:
            began, stopped = ("newly_rejected", "no_longer_rejected") if self.good else ("newly_caught", "lost")
            entry["before"] = self.before.as_json(good=self.good)
            entry |= {began: self.began, stopped: self.stopped}
        return entry


def by_class(pairs: Iterable[FrameOutcomes], kinds: Mapping[str, str], *, compared: bool) -> list[ClassRow]:
    """Return a row for each class that has frames: ``good`` first, then the kinds of defect by name.

    ``kinds`` maps the frames' names to ``good`` or a kind of defect; frames without one are in no row. ``compared`` says
    whether there is an earlier run.
    """
    rows: dict[str, ClassRow] = {}
    for pair in pairs:
        kind = None if pair.name is None else kinds.get(pair.name)
        if kind is None or pair.name is None:
            continue
        row = rows.setdefault(kind, ClassRow(kind, before=Verdicts() if compared else None))
        row.frames += 1
        row.now.add(pair.now)
        if pair.before is None or row.before is None:
            continue
        row.before.add(pair.before)
        if pair.now == "fail" and pair.before != "fail":
            row.began.append(pair.name)
        elif pair.before == "fail" and pair.now != "fail":
            row.stopped.append(pair.name)
    return sorted(rows.values(), key=lambda row: (not row.good, row.name))


def pairs_of(records: Iterable[Mapping[str, Any]], before: Outcomes | None) -> Iterable[FrameOutcomes]:
    """Yield each frame of the records with its outcome, and with that of an earlier run if there is one."""
    return (before or Outcomes(())).paired(records)
