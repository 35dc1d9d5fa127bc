"""``edge export``: a recording in a form that other programs show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from edge.errors import UserError
from edge.mcapfile import write_mcap


def export(
    recording: Annotated[Path, typer.Argument(help="A recording, or an evidence folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; must not be there yet.")],
    kind: Annotated[str, typer.Option("--format", help="mcap: for Foxglove and Lichtblick.")] = "mcap",
) -> None:
    """Write a recording with its records as one file; edge replay reads it, too. Needs the extra mcap."""
    if kind != "mcap":
        raise UserError("--format", received=kind, expected="mcap")
    bar = Progress(console=Console(stderr=True))
    task = bar.add_task("export", total=None)

    def progress(done: int, total: int) -> None:
        bar.start()  # not before there is something to write: an error stands alone
        bar.update(task, completed=done, total=total)

    try:
        pictures, records = write_mcap(recording, out, progress)
    finally:
        bar.stop()
    Console(highlight=False).print(f"{out}: {pictures} pictures, {records} records", soft_wrap=True)
