"""The sum rule, as every fault's test ends: frames announced = inspections + counts of skips, each frame in one record."""

from __future__ import annotations

from typing import Any

from edge.line.line import Line
from support.lines import frame_ids


def sum_rule(found: list[dict[str, Any]], announced: int | None = None) -> None:
    """``found``: one run's records, of frames with ids from 1. ``announced``: by its source; None where it was killed."""
    assert len({r["instance_id"] for r in found}) == 1
    assert [r["seq"] for r in found] == list(range(len(found)))
    ids = frame_ids(found)
    assert ids == list(range(1, len(ids) + 1))
    assert announced is None or len(ids) == announced


def sum_rule_of(line: Line, found: list[dict[str, Any]]) -> None:
    """The same of a line that has ended, against what its source announced and its own books."""
    announced = line.source.status().announced
    assert announced == line.tally.accounted
    assert line.tally.sum_fault is None
    sum_rule(found, announced)
