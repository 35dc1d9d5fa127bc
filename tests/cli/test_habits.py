"""Habits that all commands share: ``-h``, the config both ways, words of other programs, local time, tables that fit."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest
from support.command_table import COMMANDS, options
from support.commands import edge
from support.logs import lines, write
from typer.testing import CliRunner

from edge.cli import ELSEWHERE, NAMES, app
from edge.cli._tables import PIPE_WIDTH


@pytest.mark.parametrize("words", list(COMMANDS), ids=" ".join)
def test_h_is_help(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*words, "-h"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_who_takes_a_config_takes_it_both_ways() -> None:
    # the page's settings are no line's, may be left out, and its words are commands
    either = {words: c for words, c in COMMANDS.items() if "--config" in options(c) and words[0] != "web"}
    assert {words[0] for words in either} >= {"run", "record", "replay", "calibrate", "check", "doctor", "reload", "log"}
    for words, command in either.items():
        if words[0] == "web":  # a group of commands, whose file is the page's, not a line's
            continue
        arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
        assert arguments, words
        assert "-c" in options(command), words
        assert not any(p.required for p in command.params if "--config" in p.opts), words


def test_who_writes_takes_o_and_out() -> None:
    writing = {words for words, command in COMMANDS.items() if {"-o", "--out"} & options(command)}
    assert {words[0] for words in writing} >= {"fit", "build", "calibrate", "replay", "record", "export", "demo", "gather"}
    assert [words for words in writing if not {"-o", "--out"} <= options(COMMANDS[words])] == []


@pytest.mark.parametrize("way", [["cam1.yaml"], ["-c", "cam1.yaml"], ["--config", "cam1.yaml"]], ids=" ".join)
@pytest.mark.parametrize("command", ["check", "reload", "doctor", "subscribe", "record --frames 1 -o out"])
def test_each_way_names_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, way: list[str]
) -> None:
    (tmp_path / "cam1.yaml").write_text("camera: 3\n")
    monkeypatch.chdir(tmp_path)
    name, *more = command.split()
    result = CliRunner().invoke(app, [name, *way, *more])
    assert "cam1.yaml:1: camera" in f"{result.output}{result.exception}"


def test_a_config_that_is_named_twice_or_not_at_all(tmp_path: Path) -> None:
    twice = edge(tmp_path, "check", "a.yaml", "-c", "b.yaml")
    assert (twice.returncode, twice.stderr) == (
        2,
        "edge check: the config is named twice\n  received: a.yaml and b.yaml\n  expected: CONFIG or -c CONFIG\n",
    )
    cut = CliRunner().invoke(app, ["check", "-c", "a.yaml", "--set", "regions.threshold={high:", "4}"])
    assert str(cut.exception).endswith("fix: quote a value with spaces: --set 'regions.threshold={high: 4}'")
    none = edge(tmp_path, "run")
    assert (none.returncode, none.stderr) == (
        2,
        "edge run: no config is named\n  expected: CONFIG or -c CONFIG\n  fix: edge run -c LINE.yaml; edge run -h\n",
    )
    nothing = edge(tmp_path, "log")
    assert nothing.stderr.startswith("edge log: nothing to read is named\n  expected: LOGS or -c CONFIG\n")


@pytest.mark.parametrize("word", list(ELSEWHERE))
def test_a_word_of_another_program_is_answered(word: str) -> None:
    result = CliRunner().invoke(app, [word])
    assert str(result.exception).startswith(f"edge has no {word}\n  fix: ")
    assert word not in NAMES
    named = {name.strip(";,") for name in ELSEWHERE[word].split()}
    assert named & {*NAMES, "--version", "--help", "systemctl"}


def test_a_misspelt_command_is_answered() -> None:
    result = CliRunner().invoke(app, ["replai"])
    assert result.exit_code == 2
    assert "replay" in result.output


@pytest.mark.parametrize(("columns", "width"), [("60", 60), (None, PIPE_WIDTH)])
def test_a_table_in_a_pipe_is_as_wide_as_it_may_be(tmp_path: Path, columns: str | None, width: int) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    code = (
        "from rich.table import Table; from edge.cli._tables import print_table; t = Table('a', 'b'); "
        "t.add_row('x' * 50, 'word ' * 60); print_table(t)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment | ({} if columns is None else {"COLUMNS": columns}),
    )
    assert max(map(len, told.stdout.splitlines())) == width


def test_a_log_is_shown_in_local_time_and_in_json_as_utc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl", lines("a", range(3)))  # 18:00 UTC
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    told = edge(tmp_path, "log", ".").stdout
    assert "2026-11-22 03:00:00 to 2026-11-22 03:00:00 (local time, UTC+09:00)" in told
    assert "2026-11-22 03:00" in told.split("hour")[1]
    assert "2026-11-21 18:00:00 to 2026-11-21 18:00:00 (UTC)" in edge(tmp_path, "log", ".", "--utc").stdout
    assert orjson.loads(edge(tmp_path, "log", ".", "--json").stdout)["first"] == "2026-11-21T18:00:00Z"
    for words, count in (
        (["--since", "2026-11-22T03:00"], 3),
        (["--since", "2026-11-22T03:01"], 0),
        (["--since", "2026-11-21T18:00", "--utc"], 3),
        (["--since", "2026-11-21T18:00:00Z"], 3),
        (["--until", "2026-11-22T03:00"], 0),
        (["--until", "2026-11-22T03:00+00:00"], 3),
    ):
        assert orjson.loads(edge(tmp_path, "log", ".", "--json", *words).stdout)["records"] == count, words


def test_a_part_without_a_record_is_said_and_since_when_the_log_reaches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl", lines("a", range(3)))
    run = CliRunner()
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    reach = "which reach from 2026-11-22 03:00:00 to 2026-11-22 03:00:00 (local time, UTC+09:00)"
    for words in (["--part", "777"], ["--csv", "--part", "777"], ["--reason", "none"], ["--since", "2027-01-01"]):
        result = run.invoke(app, ["log", str(tmp_path), *words])
        assert result.exit_code == 1
        assert f"no record matches in 1 file(s), {reach}\n" in (result.stderr or result.stdout), words
    in_utc = run.invoke(app, ["log", str(tmp_path), "--part", "777", "--utc"])
    assert in_utc.stderr.endswith("which reach from 2026-11-21 18:00:00 to 2026-11-21 18:00:00 (UTC)\n")
    (tmp_path / "edge-cam1-20261121T180000Z-000000.jsonl").write_bytes(b"")
    empty = run.invoke(app, ["log", str(tmp_path), "--part", "777"])
    assert empty.stderr == "no record matches in 1 file(s), which hold none\n"
    monkeypatch.undo()
    time.tzset()


def test_the_version_says_what_is_installed() -> None:
    told = CliRunner().invoke(app, ["--version"]).output.splitlines()
    assert told[0].startswith("edge-inspect ")
    assert told[1].startswith("engines: onnx")
