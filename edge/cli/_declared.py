"""What of a bundle is declared on the command line: ``--illumination`` and the like."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import orjson
import typer
from pydantic import ValidationError

from edge.config.bundle import explain
from edge.config.bundle_spec import ILLUMINATION_PRESETS, IlluminationSpec
from edge.config.yaml_reader import Section, parse_yaml, read_yaml
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
Spec = TypeVar("Spec", bound=Section)


def illumination_of(texts: list[str] | None) -> IlluminationSpec | None:
    """The declaration that presets, files and keys make together; None where there is none.

    Raises:
        UserError: no such preset or file, an unknown key, a value that is out of range.
    """
    if not texts:
        return None
    keys: dict[str, Any] = {}
    for text in texts:
        keys |= _keys(text)
    return declared(IlluminationSpec, keys, "--illumination")


def declared(kind: type[Spec], keys: dict[str, Any], option: str) -> Spec:
    """``keys`` as a section of a bundle; ``option`` names who brought them."""
    try:
        # through JSON: strict mode then still takes lists for tuples
        return kind.model_validate_json(orjson.dumps(keys))
    except ValidationError as error:
        raise UserError("\n".join(explain(e, {}, option) for e in error.errors())) from None


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
        raise UserError(f"--illumination {text}: no mapping of keys", expected="white_balance: gray_world, say")
    return data
