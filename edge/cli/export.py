"""``edge export`` writes a recording in a form that other programs show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.cli._bars import progress_bar
from edge.errors import UserError
from edge.storage.mcap_file import write_mcap


def export(
    recording: Annotated[Path, typer.Argument(help="A recording, or an evidence folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; must not be there yet.")],
    kind: Annotated[str, typer.Option("--format", help="mcap: for Foxglove and Lichtblick.")] = "mcap",
) -> None:
    """Write a recording with its records as one file, which edge replay reads, too. Needs the extra mcap."""
    if kind != "mcap":
        raise UserError("--format", received=kind, expected="mcap")
    with progress_bar("export") as step:
        pictures, records = write_mcap(recording, out, step)
    Console(highlight=False).print(f"{out}: {pictures} pictures, {records} records", soft_wrap=True)
