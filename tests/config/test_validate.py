"""One voice for the mistakes in a config, a bundle and a calibration file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, model_validator

from edge.config.validate import validate
from edge.config.yaml_reader import Section, parse_yaml
from edge.errors import UserError


class Inner(Section):
    kind: Literal["inner"] = "inner"
    width: Annotated[int, Field(ge=1)]


class Outer(Section):
    schema_: Annotated[int, Field(alias="schema")] = 1
    name: str = "a"
    sizes: tuple[Inner, ...] = ()
    either: tuple[int, int] | Literal["any"] = "any"

    @model_validator(mode="after")
    def _named(self) -> Outer:
        if self.name == "nobody":
            raise ValueError("Nobody is no name")
        return self


def refusal(text: str, **keys: Any) -> str:
    data, lines = parse_yaml(text, "x.yaml")
    with pytest.raises(UserError) as caught:
        validate(Outer, data, "x.yaml", lines=lines, **keys)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nme: b", "x.yaml:1: nme: unknown key\n  expected: did you mean 'name'?"),
        ("shcema: 1", "x.yaml:1: shcema: unknown key\n  expected: did you mean 'schema'?"),
        ("sizes: [{width: 1, widht: 2}]", "x.yaml:1: sizes.0.widht: unknown key\n  expected: did you mean 'width'?"),
        ("sizes: [{width: 1, z: 2}]", "x.yaml:1: sizes.0.z: unknown key\n  expected: one of kind, width"),
        ("sizes: [{}]", "x.yaml:1: sizes.0.width: missing\n  expected: a value: this key has no default"),
        ("name: 7", "x.yaml:1: name\n  received: 7\n  expected: text: write it in quotes, exactly as it stands there"),
        (
            "schema: 1\nsizes: [{width: 0}]\nnmae: b",
            "x.yaml:2: sizes.0.width\n  received: 0\n  expected: input should be greater than or equal to 1\n"
            "x.yaml:3: nmae: unknown key\n  expected: did you mean 'name'?",
        ),
    ],
)
def test_each_mistake_names_line_key_and_what_was_expected(text: str, expected: str) -> None:
    assert refusal(text) == expected


def test_what_no_key_is_to_blame_for_is_said_of_the_whole() -> None:
    assert refusal("name: nobody", whole="thing", fix="find another") == (
        "x.yaml: thing: nobody is no name\n  fix: find another"
    )
    assert refusal("name: nobody") == "x.yaml: nobody is no name"


def test_lists_become_tuples_and_the_section_comes_back() -> None:
    assert validate(Outer, {"either": [1, 2], "sizes": [{"width": 3}]}, "--option") == Outer(
        either=(1, 2), sizes=(Inner(width=3),)
    )
