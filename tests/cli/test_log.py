"""``edge log`` and ``edge export`` as a person meets them."""

from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.commands import edge as in_a_process
from support.lines import loaded, make_line, run
from support.logs import HOUR, START, lines, lost, write
from support.recordings import recorded
from support.records import REGION, paths_in, with_value
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import UserError
from edge.report.log_rows import COLUMNS

HEAD = """\
6 records of 1 run(s) in 1 file(s), 2026-11-21 18:00:00 to 2026-11-21 19:00:00 (UTC)
1 file(s) that end in half a line, which is left out
"""


def edge(folder: Path, *arguments: str) -> Result:
    """One command, in ``folder``."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    finally:
        os.chdir(before)


def refused(result: Result) -> str:
    assert isinstance(result.exception, UserError)
    assert result.stdout == ""
    return str(result.exception)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    (tmp_path / "log").mkdir()
    told = [*lines("a", range(3)), *lines("a", range(3, 5), START + HOUR, verdict="invalid", reason="late")]
    path = write(tmp_path / "log" / "edge-cam1-20261121T180000Z-000000.jsonl", [*told, lost("a", 5, START + HOUR)])
    with path.open("ab") as file:
        file.write(b'{"schema":1')
    return tmp_path


def test_a_summary_for_people(log: Path) -> None:
    result = edge(log, "log", "log", "--utc")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(HEAD)
    rows = [" ".join(row.replace("│", " ").split()) for row in result.stdout.splitlines()]
    for row in ("pass 3", "invalid 2", "invalid: late 2", "skipped: frame_id_gap 2", "2026-11-21 18:00 3 0 0 0"):
        assert row in rows
    assert "2026-11-21 19:00 0 0 2 2" in rows
    assert "total 2.7 2.7 2.7 2.7" in rows


def test_text_in_a_record_is_shown_as_it_is_and_never_as_markup(tmp_path: Path) -> None:
    told = lines("a", range(1), verdict="invalid", reason="[/red] [b]:warning: \x1b[31m")
    write(tmp_path / "a.jsonl", told)
    result = edge(tmp_path, "log", "a.jsonl")
    assert result.exit_code == 0
    assert "  invalid: [/red] [b]:warning: \ufffd[31m" in result.stdout


@given(st.sampled_from(["[/]", "[/red]", "[b", ":x:", "\\[", 7, 1.5, None, True, [], {}, ["[/]"]]), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_at_any_place_of_a_record_is_shown_or_passed_over(
    tmp_path_factory: pytest.TempPathFactory, value: Any, data: st.DataObject
) -> None:
    """The table for people, whole: nothing that stands in a log makes the command fail."""
    message = orjson.loads(lines("a", range(1), verdict="fail", reason="late", regions=(REGION,))[0])
    place = data.draw(st.sampled_from(paths_in(message)))
    line = orjson.dumps(with_value(message, place, value))
    path = write(tmp_path_factory.mktemp("fuzz", numbered=True) / "a.jsonl", [*lines("a", range(1, 2)), line])
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["log", str(path)])
    assert result.exit_code == 0, result.exception


def test_a_summary_for_programs_over_a_lines_own_log(log: Path) -> None:
    loaded(log)
    told = orjson.loads(edge(log, "log", "cam1.yaml", "--json", "--until", "2026-11-21T19:00").stdout)
    assert told["verdicts"] == {"pass": 3}
    assert told["hours"] == {"2026-11-21T18:00:00Z": {"pass": 3}}
    assert (told["records"], told["torn_files"], told["missing_records"]) == (3, 1, 0)


def test_one_parts_records(log: Path) -> None:
    result = edge(log, "log", "log", "--part", "42", "--verdict", "invalid", "--records")
    found = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [(r["seq"], r["part_id"], r["verdict"]) for r in found] == [(3, 42, "invalid"), (4, 42, "invalid")]
    assert result.stderr == "1 file(s) that end in half a line, which is left out\n"
    whole = edge(log, "log", "log", "--part", "42", "--reason", "late").stdout
    assert whole.startswith('{\n  "schema": 1,\n  "kind": "inspection",\n')
    none = edge(log, "log", "log", "--part", "43")
    assert (none.exit_code, none.stdout) == (1, "")


def test_a_key_of_the_config_that_is_named_can_be_overridden(log: Path) -> None:
    loaded(log)
    (log / "log").rename(log / "other")
    told = orjson.loads(edge(log, "log", "cam1.yaml", "--set", "outputs.jsonl.dir=other", "--json").stdout)
    assert told["records"] == 6
    assert refused(edge(log, "log", "other", "--set", "camera=cam2")) == (
        "--set overrides a key of a line's config, and none is named\n"
        "  received: other\n  expected: a line's config (.yaml)"
    )


def test_mistakes(log: Path) -> None:
    loaded(log)
    (log / "log").rename(log / "other")
    assert refused(edge(log, "log", "cam1.yaml")) == (
        f"{log}/log: holds no log of camera cam1\n  fix: run the line first: edge run"
    )


def test_a_recording_is_exported_and_replayed(tmp_path: Path) -> None:
    loaded(tmp_path)
    recorded(tmp_path / "r")
    result = edge(tmp_path, "export", "r", "--format", "mcap", "-o", "r.mcap")
    assert (result.exit_code, result.stdout) == (0, "r.mcap: 2 pictures, 3 records\n")
    for source in ("r", "r.mcap"):
        replay = in_a_process(tmp_path, "replay", source, "-c", "cam1.yaml", "--out", f"out-{source}")
        assert replay.returncode == 0, replay.stderr
    stable = [
        [{k: v for k, v in orjson.loads(line).items() if not k.endswith("_ns")} for line in path.read_bytes().splitlines()]
        for path in (tmp_path / "out-r/records.jsonl", tmp_path / "out-r.mcap/records.jsonl")
    ]
    for ours, theirs in zip(*stable, strict=True):
        for name in ("instance_id", "latency_ms"):
            ours.pop(name, None), theirs.pop(name, None)
        assert ours == theirs
    assert len(stable[0]) == 4


def test_a_row_for_each_record_or_region_as_csv(tmp_path: Path) -> None:
    region = replace(REGION, bbox_xyxy=(1, 2, 30, 40))
    told = lines("run1", range(2)) + lines("run1", range(2, 3), verdict="fail", regions=(region, region))
    write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl", told)
    result = edge(tmp_path, "log", ".", "--csv")
    assert result.exit_code == 0
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["seq"], row["verdict"], row["regions"]) for row in rows] == [
        ("0", "pass", "0"),
        ("1", "pass", "0"),
        ("2", "fail", "2"),
    ]
    assert rows[0]["created"] == "2026-11-21T18:00:00.000Z"
    assert rows[0]["simulated"] == "false"
    found = edge(tmp_path, "log", ".", "--csv", "--regions", "--verdict", "fail")
    assert [(row["seq"], row["x0"], row["y1"]) for row in csv.DictReader(found.stdout.splitlines())] == [
        ("2", "1", "40")
    ] * 2
    empty = edge(tmp_path, "log", ".", "--csv", "--reason", "nope")
    assert (empty.exit_code, empty.stdout) == (1, ",".join(COLUMNS) + "\n")
    assert empty.stderr.startswith("no record matches in 1 file(s), which reach from 2026-11-2")
    assert refused(edge(tmp_path, "log", ".", "--regions")) == (
        "--regions: rows of what?\n  expected: with --csv\n  fix: edge log LOGS --csv --regions"
    )


def test_the_log_names_the_pictures_of_its_worst_regions(tmp_path: Path) -> None:
    config = loaded(tmp_path, "regions.threshold={high: 0.1}", "source.frames=2", "outputs.evidence={dir: kept}")
    assert run(make_line(config)) == 0
    result = edge(tmp_path, "log", "log", "--pictures", "kept", "--json", "--worst", "1")
    (worst,) = orjson.loads(result.stdout)["worst_regions"]
    assert f"-seq{worst['seq']}-" in worst["picture"]
    assert (tmp_path / worst["picture"]).exists()
    table = edge(tmp_path, "log", "log", "--pictures", "kept").stdout
    assert "pictures: kept" in table
    assert "picture" in table
    assert refused(edge(tmp_path, "log", "log", "--pictures", "nothing")) == (
        "--pictures nothing: no such folder\n  expected: a folder of evidence, or of a replay"
    )
