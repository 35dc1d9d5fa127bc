"""Every command takes the line's config both ways, ``edge check LINE.yaml`` and ``edge check -c LINE.yaml``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from edge.errors import UserError


class IsConfig:
    """The parameter whose type is annotated with this names the line's config."""


IS_CONFIG: Final = IsConfig()
_DECLARED: Final = (ArgumentInfo, OptionInfo)
_OTHER: Final = "config_the_other_way"
_HELP: Final = "The line's YAML file"


def either_way(name: str, command: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command that takes its config as an option and as an argument, though it declares one of the two.

    Commands without a parameter that is annotated with ``IS_CONFIG`` stay as they are.
    """
    hints = get_type_hints(command, include_extras=True)
    key = next((key for key, hint in hints.items() if IS_CONFIG in get_args(hint)), None)
    if key is None:
        return command
    signature = inspect.signature(command)
    declared = signature.parameters[key]
    needed = declared.default is inspect.Parameter.empty
    shown = getattr(next(one for one in get_args(hints[key]) if isinstance(one, _DECLARED)), "metavar", None) or "CONFIG"
    several = get_origin(get_args(hints[key])[0]) is list
    row = None if several else _row_of_arguments(hints)

    @functools.wraps(command)
    def taken(**values: Any) -> Any:
        other = values.pop(_OTHER) if row is None else _taken_from(values, row)
        given = values[key]
        if other is not None and given and not several:
            named = all(Path(one).suffix in (".yaml", ".yml") for one in (given, other))
            raise UserError(
                f"edge {name}: the config is named twice",
                received=f"{given} and {other}",
                expected="CONFIG or -c CONFIG",
                # the rest of a value that the shell cut in two stands where a config does
                fix=None if named else "quote a value with spaces: --set 'regions.threshold={high: 4}'",
            )
        if several:
            values[key] = [*(given or ()), *(() if other is None else (other,))]
        elif other is not None:
            values[key] = str(other) if _takes_text(hints[key]) else other
        if needed and not values[key]:
            raise UserError(
                f"edge {name}: {'nothing to read' if several else 'no config'} is named",
                expected=f"{shown} or -c CONFIG",
                fix=f"edge {name} -c LINE.yaml; edge {name} -h",
            )
        if not values[key]:
            values[key] = declared.default
        return command(**values)

    annotation, extra = _optional(hints[key])
    parameters = [
        p.replace(default=None, annotation=annotation) if p.name == key else p.replace(annotation=hints[p.name])
        for p in signature.parameters.values()
    ]
    if row is None:  # nothing can stand behind arguments that are as many as one likes
        parameters.append(inspect.Parameter(_OTHER, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=extra))
    keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    taken.__signature__ = signature.replace(parameters=keywords)  # type: ignore[attr-defined]
    taken.__annotations__ = {p.name: p.annotation for p in parameters}
    return taken


def _row_of_arguments(hints: dict[str, Any]) -> str | None:
    """Return the parameter that takes as many arguments as there are, None if no parameter does."""
    for key, hint in hints.items():
        kind, *rest = get_args(hint) or (None,)
        if get_origin(kind) is list and any(isinstance(one, ArgumentInfo) for one in rest):
            return key
    return None


def _taken_from(values: dict[str, Any], row: str) -> Path | None:
    """Take the last of these arguments as the config if it is a YAML file and others stand before it."""
    given = list(values[row] or ())
    if len(given) < 2 or given[-1].suffix not in (".yaml", ".yml"):
        return None
    values[row] = given[:-1]
    return Path(given[-1])


def _optional(hint: Any) -> tuple[Any, Any]:
    """Return the annotation that need not be given, and that of the parameter for the other way."""
    kind, *rest = get_args(hint)
    info = next(one for one in rest if isinstance(one, _DECLARED))
    if isinstance(info, OptionInfo):
        extra = typer.Argument(metavar="CONFIG", help=f"{_HELP}, if it isn't given by -c.", show_default=False)
    else:
        extra = typer.Option("-c", "--config", help=f"{_HELP}; the same as the argument.", show_default=False)
    return Annotated[kind | None, info], Annotated[Path | None, extra]


def _takes_text(hint: Any) -> bool:
    return get_args(hint)[0] is str
