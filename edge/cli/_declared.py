"""Some parts of a bundle are declared on the command line: ``--illumination`` and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from edge.config.illumination_spec import ILLUMINATION_PRESETS, IlluminationSpec
from edge.config.validate import validate
from edge.config.yaml_reader import parse_yaml, read_yaml
from edge.errors import UserError

IlluminationOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--illumination",
        metavar="STEPS",
        help=f"What evens out the light before the model: {', '.join(ILLUMINATION_PRESETS)}, a YAML file, "
        "or keys as {gamma: 0.8}. "
        "Repeatable: later keys win.",
    ),
]


def illumination_of(texts: list[str] | None) -> IlluminationSpec | None:
    """Combine presets, files and keys into one declaration; return None if there are none.

    Raises:
        UserError: no such preset or file, an unknown key, a value that is out of range.
    """
    if not texts:
        return None
    keys: dict[str, Any] = {}
    for text in texts:
        keys |= _keys(text)
    return validate(IlluminationSpec, keys, "--illumination")


def _keys(text: str) -> dict[str, Any]:
    if text in ILLUMINATION_PRESETS:
        return ILLUMINATION_PRESETS[text]
    if text.startswith("{"):
        data: Any = parse_yaml(text, "--illumination")[0]
    elif Path(text).is_file():
        data = read_yaml(Path(text))[0]
    else:
        raise UserError(
            "--illumination",
            received=text,
            expected=f"{', '.join(ILLUMINATION_PRESETS)}, a YAML file, or keys as {{gamma: 0.8}}",
        )
    if not isinstance(data, dict):
        raise UserError(
            f"--illumination {text}: no mapping of keys",
            expected="for example {white_balance: gray_world}",
        )
    return data
