"""Commands that read good frames share this: what to do with outliers, and notes about what was left out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

import typer
from rich.console import Console

from edge.cli._console import labelled
from edge.errors import UserError

LeaveOutOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--leave-out-outliers",
        help="Leave out the frames that are unlike the others. Default: they count, and one that would set a threshold is "
        "refused.",
    ),
]
LeaveOutOfFitOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--leave-out-outliers",
        help="Leave out all frames that are unlike the others. Default: one, or up to 5 % of the frames, are left out, and "
        "more are refused.",
    ),
]
KeepOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--keep-outliers", help="Use all frames that are unlike the others, too: somebody looked, and they are good."
    ),
]


def outliers_choice(*, leave_out: bool, keep: bool) -> Literal["refuse", "leave_out", "keep"]:
    """Return what the user chose to do with outliers. Raises UserError if both options are given."""
    if leave_out and keep:
        raise UserError("--leave-out-outliers and --keep-outliers exclude each other", fix="give one of them")
    return "leave_out" if leave_out else "keep" if keep else "refuse"


def show_notes(console: Console, notes: Iterable[str]) -> None:
    """Print each note on a line of its own, in yellow."""
    for note in notes:
        console.print(labelled("note:", "yellow", note))
