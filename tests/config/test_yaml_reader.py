"""YAML as its version 1.2 has it, and errors that name the place of what is wrong with a value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge.config.yaml_reader import parse_value, parse_yaml, read_yaml
from edge.errors import UserError


def refusal(text: str) -> str:
    with pytest.raises(UserError) as caught:
        parse_value(text, ("regions", "min_score_max"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (".nan", "--set: regions.min_score_max: not a finite number\n  received: .nan"),
        ("{high: .inf}", "--set: regions.min_score_max.high: not a finite number\n  received: .inf"),
        ("[1, [-.inf]]", "--set: regions.min_score_max.1.0: not a finite number\n  received: -.inf"),
        (
            "18446744073709551616",
            "--set: regions.min_score_max: an integer beyond 64 bits\n  received: 18446744073709551616",
        ),
        (
            "-9223372036854775809",
            "--set: regions.min_score_max: an integer beyond 64 bits\n  received: -9223372036854775809",
        ),
        ("9" * 9000, f"--set: regions.min_score_max: an integer beyond 64 bits\n  received: {'9' * 37}..."),
        ("!!int x", "--set: not valid YAML: invalid literal for int() with base 10: 'x'"),
        (
            "{a: 1, a: 2}",
            "--set: regions.min_score_max.a: the key stands twice\n  received: line 1 and line 1\n  fix: keep one of them",
        ),
    ],
)
def test_a_bad_value_from_the_command_line_names_its_key(text: str, error: str) -> None:
    assert refusal(text) == error


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("0xffffffffffffffff", 2**64 - 1),
        ("0o17", 15),
        ("007", 7),
        ("+5", 5),
        ("On", "On"),
        ("1e3", 1000.0),
    ],
)
def test_a_value_is_what_it_would_be_in_a_file(text: str, value: Any) -> None:
    assert parse_value(text) == value


def test_in_a_file_the_line_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb: {c: 99999999999999999999}\n")
    with pytest.raises(UserError) as caught:
        read_yaml(path)
    assert str(caught.value) == f"{path}:2: b.c: an integer beyond 64 bits\n  received: 99999999999999999999"
    assert parse_yaml("a: 1\nb: [2]\n", "x")[1] == {("a",): 1, ("b",): 2, ("b", 0): 2}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("a: 1\n---\nb: 2\n", "x:2: not valid YAML: expected a single document in the stream, but found another document"),
        ("a: *b\n", "x:1: not valid YAML: found undefined alias 'b'"),
        (
            'a: 1\nb: "c\n',
            "x:3: not valid YAML: found unexpected end of stream, while scanning a quoted scalar that begins in line 2",
        ),
    ],
)
def test_bad_syntax_is_told_in_a_whole_sentence(text: str, error: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_yaml(text, "x")
    assert str(caught.value) == error
