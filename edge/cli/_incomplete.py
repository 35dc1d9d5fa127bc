"""A command that read or wrote less than it was asked to says so at its end, and does not exit with 0."""

from __future__ import annotations

from collections.abc import Iterable

import typer

from edge.cli._console import text_console
from edge.errors import ExitCode


def end_if_incomplete(lacks: Iterable[str]) -> None:
    """Print what is missing, a line each. Raises ``typer.Exit(1)`` if anything is."""
    texts = [text for text in lacks if text]
    for text in texts:
        text_console(stderr=True).print(f"incomplete: {text}")
    if texts:
        raise typer.Exit(ExitCode.NO)
