"""``edge export`` writes a recording in a form that other programs show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from edge.cli._bars import progress_bar
from edge.cli._console import text_console
from edge.cli._json import JsonOption, print_json
from edge.storage.mcap_file import write_mcap


def export(
    recording: Annotated[Path, typer.Argument(help="A recording, or an evidence folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write; must not be there yet.")],
    _kind: Annotated[Literal["mcap"], typer.Option("--format", help="mcap: for Foxglove and Lichtblick.")] = "mcap",
    as_json: JsonOption = False,
) -> None:
    """Write a recording with its records as one file, which edge replay reads, too. Needs the extra mcap."""
    with progress_bar("export") as step:
        pictures, records = write_mcap(recording, out, step)
    if as_json:
        print_json({"file": out, "pictures": pictures, "records": records})
    else:
        text_console().print(f"{out}: {pictures} pictures, {records} records")
