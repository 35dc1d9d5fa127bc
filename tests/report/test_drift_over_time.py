"""A log's lines of drift become spans of one cause at one level."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.logs import HOUR, START, lines, write
from support.records import DRIFT, IDENTITY
from typer.testing import CliRunner

from edge.cli import app
from edge.report.drift_over_time import is_drift
from edge.report.log_summary import Filter, LogDamage, Summary, read_log
from edge.wire.encode import Wire

LOCKED = DRIFT | {
    "level": "lock",
    "locks": ["out_of_focus"],
    "words": "out of focus; frames are invalid: drift_out_of_focus",
}


def drift(run: str, seq: int, at_ns: int, told: dict[str, Any] | None) -> bytes:
    return Wire(replace(IDENTITY, instance_id=run)).drift(seq, told, at_ns)


def log_in(folder: Path) -> Path:
    """A warning over two files, then a lock, then well; a second run begins well, and ends in a drift."""
    write(
        folder / "edge-cam1-20261121T180000Z-000000.jsonl",
        [*lines("a", range(3)), drift("a", 3, START + HOUR, DRIFT), *lines("a", range(3, 5), START + HOUR)],
    )
    write(
        folder / "edge-cam1-20261121T190000Z-000001.jsonl",
        [
            drift("a", 5, START + 2 * HOUR, DRIFT),
            *lines("a", range(5, 6), START + 2 * HOUR),
            drift("a", 6, START + 3 * HOUR, LOCKED),
            *lines("a", range(6, 8), START + 3 * HOUR),
        ],
    )
    write(
        folder / "edge-cam1-20261121T200000Z-000002.jsonl",
        [
            *lines("b", range(2), START + 4 * HOUR),
            drift("b", 2, START + 5 * HOUR, DRIFT | {"level": "info"}),
            *lines("b", range(2, 3), START + 5 * HOUR),
            drift("b", 3, START + 6 * HOUR, None),
            *lines("b", range(3, 4), START + 6 * HOUR),
        ],
    )
    return folder


def spans(folder: Path, **wanted: Any) -> list[tuple[str, int, int | None]]:
    summary = Summary()
    for record in read_log(sorted(folder.glob("*.jsonl")), Filter(**wanted), LogDamage(), summary.drift.add):
        summary.add(record)
    hours = [(s.level, s.since_ns, s.until_ns) for s in summary.spans()]
    return [(level, (a - START) // HOUR, None if b is None else (b - START) // HOUR) for level, a, b in hours]


def test_spans_go_over_files_and_end_with_their_run(tmp_path: Path) -> None:
    assert spans(log_in(tmp_path)) == [("warn", 1, 3), ("lock", 3, 3), ("info", 5, 6)]


def test_a_span_that_began_before_the_wanted_time_is_told(tmp_path: Path) -> None:
    log_in(tmp_path)
    assert spans(tmp_path, since_ns=START + 2 * HOUR, until_ns=START + 3 * HOUR) == [("warn", 1, None)]
    assert spans(tmp_path, since_ns=START + 4 * HOUR, until_ns=START + 5 * HOUR) == []
    assert spans(tmp_path, part_id=42) == []


def test_edge_log_shows_drift_over_time(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["log", str(log_in(tmp_path))], env={"COLUMNS": "120"})
    assert told.exit_code == 0, told.output
    assert "drift from" in told.output
    rows = [line for line in told.output.splitlines() if "warn" in line or "lock " in line]
    assert len(rows) == 2
    assert "18 % more light to the right" in rows[0]
    assert "invalid: drift_out_of_focus" in told.output
    assert "1 more, single blocks among them" in told.output
    as_json = CliRunner().invoke(app, ["log", str(tmp_path), "--json"])
    summary = orjson.loads(as_json.output)
    assert [(s["level"], s["cause"], s["locks"]) for s in summary["drift"]] == [
        ("warn", "gradient", []),
        ("lock", "gradient", ["out_of_focus"]),
        ("info", "gradient", []),
    ]
    lines_told = CliRunner().invoke(app, ["log", str(tmp_path), "--records"]).output.splitlines()
    assert {orjson.loads(line)["kind"] for line in lines_told} == {"inspection"}


@pytest.mark.parametrize(
    "broken", [[], {}, DRIFT | {"level": 3}, DRIFT | {"locks": None}, DRIFT | {"locks": [1]}, DRIFT | {"words": None}]
)
def test_a_line_of_drift_that_says_something_else_is_passed_over(tmp_path: Path, broken: Any) -> None:
    assert not is_drift(broken)
    line = orjson.dumps(orjson.loads(drift("a", 1, START, DRIFT)) | {"drift": broken})
    write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl", [line, *lines("a", range(2))])
    assert spans(tmp_path) == []
