"""Answers are whole commands that name this line's own files, whatever those are called."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
import typer
from support.records import DRIFT

from edge.cli import app
from edge.shift.advice import ADVICE
from edge.web.shift.answers import LineFiles, advised, answers, to_begin

LINE = LineFiles("cam1", Path("/etc/edge/a b.yaml"), Path("/var/ev$x"), has_drift=True, reports=Path("/shifts"))


def test_commands_name_the_lines_own_files_and_quote_them() -> None:
    words = [shlex.split(one.command) for one in answers(LINE, None)]
    assert words[0] == ["edge", "gather", "/var/ev$x", "-o", "sets/cam1-now", "--most", "200"]
    assert words[2] == shlex.split(
        "edge shift lab=sets/lab line=sets/cam1-now -m '/etc/edge/a b.yaml' -o /shifts/cam1-now.html"
    )


def test_the_stress_is_of_the_causes_that_are_named() -> None:
    drift = DRIFT | {"causes": [{"cause": "defocus", "words": "defocus 1 px"}, {"cause": "unknown", "words": "unknown"}]}
    assert "edge stress sets/lab -m '/etc/edge/a b.yaml' --only defocus" in [one.command for one in answers(LINE, drift)]
    assert advised(drift)[0] == {"cause": "defocus", "words": "defocus 1 px", "advice": ADVICE["defocus"]}


def test_a_breach_that_no_block_has_named_yet_is_advised_too() -> None:
    assert [one["cause"] for one in advised(DRIFT | {"cause": "clipped", "causes": []})] == ["clipped"]


def test_a_line_without_evidence_records_frames_instead() -> None:
    first = answers(LineFiles("cam1", None, None, has_drift=True, reports=None), None)[0]
    assert first.command == "edge record -c cam1.yaml --frames 500 --out sets/cam1-now"


@pytest.mark.parametrize("line", [LINE, LineFiles("cam1", None, None, has_drift=False, reports=None)])
def test_every_command_is_one_that_edge_knows_with_options_that_it_takes(line: LineFiles) -> None:
    group = typer.main.get_command(app)
    for one in [*to_begin(line), *answers(line, DRIFT)]:
        program, name, *rest = shlex.split(one.command)
        if program == "drift:":
            continue
        command = group.get_command(click.Context(group), name)  # type: ignore[attr-defined]
        assert command is not None
        assert command.make_context(name, rest).params
