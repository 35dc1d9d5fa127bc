"""Commands that a script calls say on standard output what they say to people, as one JSON object, with ``--json``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import orjson
import typer

JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="One JSON object instead of text, for scripts.")]


def print_json(result: Mapping[str, Any]) -> None:
    """Print one object, indented; paths and tuples are taken, NaN becomes null."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    sys.stdout.write(orjson.dumps(result, option=options, default=_plain).decode() + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
