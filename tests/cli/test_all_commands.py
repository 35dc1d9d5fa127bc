"""What holds for every command: words of a fixed set are choices, scripts get JSON, long commands can be hushed."""

from __future__ import annotations

import threading
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

import orjson
import pytest
from support.command_table import COMMANDS, is_completed, kind_of, options
from typer.testing import CliRunner

from edge.cli import app
from edge.cli._loudness import LONG
from edge.cli.log import OfVerdict
from edge.cli.replay import Drawn
from edge.cli.web import RoleOption
from edge.config.bundle_spec import ResizeKernel
from edge.models.fit.methods import METHODS, MethodName
from edge.preprocess.prepare import KERNELS
from edge.web.doors.roles import Role
from edge.wire.schema import VERDICTS

FREE: Final = {
    "a name, a place or a mark of the user's own": (
        *(
            "camera",
            "--camera",
            "name",
            "--name",
            "--cameras",
            "--owner",
            "--recipe",
            "--config-sha256",
            "--who",
            "endpoint",
        ),
        *("line", "--bind", "--publish", "--producer", "--serial", "--device-user-id", "--mac", "--ip", "--device"),
        *("--snapshot", "sets", "--model", "first", "second", "--frames", "--cluster", "--reason", "--side", "--as"),
    ),
    "numbers, or a moment": (
        *("--since", "--until", "--size", "--range", "--mean", "--std", "--map-to-image", "--tile", "--stride"),
        *("--values", "--part-gap", "--share"),
    ),
    "an expression, or names in the model or the set": (
        *(
            "--set",
            "--layers",
            "--until",
            "--map",
            "--score",
            "--by",
            "--tags",
            "--balance",
            "--illumination",
            "shift --only",
        ),
    ),
}
NOT_FOR_SCRIPTS: Final = {
    "it runs until it is stopped": ("run", "gateway modbus"),
    "it writes what it is asked for, and its one line is the result": (
        *("web user add", "web user revoke", "web token add", "web token revoke", "keys new", "keys allow", "keys revoke"),
        *("init", "install-service", "import-config", "backbone"),
    ),
    "it prints JSON as it is": ("config-schema",),
    "it is for a person": ("label", "demo"),
}


def test_a_word_of_a_fixed_set_is_a_choice_that_help_lists_and_shells_complete() -> None:
    free = {name for names in FREE.values() for name in names}
    open_texts = [
        f"edge {' '.join(words)} {parameter.opts[-1]}"
        for words, command in COMMANDS.items()
        for parameter in command.params
        if kind_of(parameter) is str
        and not is_completed(parameter)
        and not free & {*parameter.opts, f"{words[-1]} {parameter.opts[0]}"}
    ]
    assert open_texts == [], "make it a Literal or an Enum, or say in FREE why it is free text"


def test_no_choice_is_only_named_in_the_help() -> None:
    """A metavar such as ``png|rle`` promises a choice that nothing keeps; only names of kinds are in capitals."""
    promised = {
        f"{' '.join(words)} {parameter.opts[0]}"
        for words, command in COMMANDS.items()
        for parameter in command.params
        if parameter.metavar and "|" in parameter.metavar and not _is_choice(kind_of(parameter))
        if not any(word.strip("[]:").isupper() or "." in word for word in parameter.metavar.split("|"))
    }
    assert promised == set()


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Literal or (isinstance(kind, type) and issubclass(kind, Enum))


def test_the_choices_are_those_that_the_code_behind_them_knows() -> None:
    assert set(get_args(MethodName)) == {row.name for row in METHODS}
    assert set(get_args(ResizeKernel)) == set(KERNELS)
    assert [one.value for one in OfVerdict] == list(VERDICTS)
    assert {one.value for one in Drawn} == {*VERDICTS, "changed"}
    assert list(get_args(get_args(RoleOption)[0])) == [role.word for role in Role if role is not Role.OPEN]


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        ("fit x -o y --pose sideways", "'auto', 'fixed', 'texture'"),
        ("fit x -o y --method guess", "'residual', 'memory', 'cells', 'pixel'"),
        ("build x -o y --kernel sinc", "'area', 'linear', 'nearest', 'cubic', 'lanczos'"),
        ("build x -o y --channels 2", "'1', '3'"),
        ("fit x -o y --bits 11", "'10', '12', '14', '16'"),
        ("export r -o r.avi --format avi", "'mcap'"),
        ("log x --verdict good", "'pass', 'fail', 'invalid'"),
        ("install-service cam1 --drop-in amd", "'cuda', 'jetson'"),
        ("web user add ann --role owner", "'viewer', 'reviewer', 'engineer', 'admin'"),
        ("replay x -c y.yaml --masks jpg", "'png', 'rle'"),
    ],
)
def test_a_word_that_is_no_choice_is_answered_with_those_that_are(arguments: str, known: str) -> None:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments.split())
    assert result.exit_code == 2
    assert f"is not one of {known}." in result.output


def test_every_command_that_a_script_calls_speaks_json() -> None:
    silent = {" ".join(words) for words, command in COMMANDS.items() if "--json" not in options(command)}
    assert silent == {name for names in NOT_FOR_SCRIPTS.values() for name in names}


def test_every_long_command_takes_q_and_v() -> None:
    hushed = {words[0] for words, command in COMMANDS.items() if {"-q", "--quiet", "-v", "--verbose"} <= options(command)}
    assert hushed == set(LONG)


LINE = """camera: cam1
source: {kind: synthetic, fps: null, frames: 4}
model: {bundle: b}
regions: {threshold: {high: 6.0}}
"""


def test_q_leaves_json_and_errors_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edge.cli.record.stop_on_signals", threading.Event)
    (tmp_path / "line.yaml").write_text(LINE)
    run = CliRunner()
    loud = run.invoke(app, ["record", "line.yaml", "--frames", "2", "-o", "loud"])
    assert (loud.exit_code, loud.stdout) == (0, "2 frames recorded in loud; 0 lost on the way\n")
    quiet = run.invoke(app, ["record", "line.yaml", "--frames", "2", "-o", "quiet", "-q"])
    assert (quiet.exit_code, quiet.output) == (0, "")
    told = run.invoke(app, ["record", "line.yaml", "--frames", "2", "-o", "told", "-q", "--json"])
    assert orjson.loads(told.stdout) == {"recording": "told", "frames": 2, "lost": 0, "interrupted": False}
    short = run.invoke(app, ["record", "line.yaml", "--frames", "9", "-o", "short", "-q"])
    assert (short.exit_code, short.stdout) == (1, "")
    assert "4 of 9 frames recorded: the source ended" in short.stderr
    both = run.invoke(app, ["record", "line.yaml", "--frames", "2", "-o", "x", "-q", "-v"])
    assert str(both.exception) == "edge record: -q and -v\n  expected: one of them"
