"""A command that read or wrote less than it was asked to says so at its end, and does not exit with 0."""

from __future__ import annotations

from collections.abc import Iterable

import typer
from rich.console import Console

from edge.errors import ExitCode


def end_if_incomplete(lacks: Iterable[str]) -> None:
    """Print what is missing, a line each. Raises ``typer.Exit(1)`` if anything is."""
    texts = [text for text in lacks if text]
    for text in texts:
        Console(stderr=True, highlight=False).print(f"incomplete: {text}", soft_wrap=True, markup=False)
    if texts:
        raise typer.Exit(ExitCode.NO)
