"""Every command of the command line, by its words, with what it takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import typer

from edge.cli import app


def _walk(group: Any, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "commands"):
            yield from _walk(command, (*prefix, name))
        else:
            yield (*prefix, name), command


GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[tuple[str, ...], Any] = dict(_walk(GROUP))


def options(command: Any) -> set[str]:
    """Return the names of its options, long and short."""
    return {name for parameter in command.params if parameter.param_type_name == "option" for name in parameter.opts}


def kind_of(parameter: Any) -> Any:
    """Return the type of one value of an option or argument: that of each, where it can be given several times."""
    annotation = parameter.type_descriptor.annotation
    return get_args(annotation)[0] if get_origin(annotation) is list else annotation


def is_completed(parameter: Any) -> bool:
    """Return True if the shell gets the words that it takes."""
    return parameter.type_descriptor.parameter_info.autocompletion is not None
