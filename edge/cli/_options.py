"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from edge.errors import UserError

ConfigOption: TypeAlias = Annotated[Path, typer.Option("-c", "--config", help="The line's YAML file.", show_default=False)]
SetOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the config: regions.min_area_px=16. Repeatable."),
]


def check_overrides(overrides: Sequence[str], named: Sequence[str]) -> None:
    """Raises UserError where there are overrides and nothing of what was ``named`` is a config."""
    if overrides and not any(name.endswith((".yaml", ".yml")) for name in named):
        raise UserError(
            "--set overrides a key of a line's config, and none is named",
            received=", ".join(named),
            expected="a line's config (.yaml)",
        )
