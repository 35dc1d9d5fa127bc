"""``edge unpack`` makes a line of a file that ``edge pack`` wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli._console import text_console
from edge.cli._json import JsonOption, print_json
from edge.service.pack import outside_paths
from edge.service.unpack import MOST_GB
from edge.service.unpack import unpack as unpack_line


def unpack(
    file: Annotated[Path, typer.Argument(metavar="LINE.edge.zip", help="The packed line.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="A new folder. Default: the name without .edge.zip."),
    ] = None,
    most_gb: Annotated[float, typer.Option(min=0.001, help="Most GB that it may have when unpacked.")] = MOST_GB,
    as_json: JsonOption = False,
) -> None:
    """Unpack a line into a new folder. Hashes are checked, and a file that is not what it says is refused whole."""
    folder = out or file.with_name(file.name.removesuffix(".zip").removesuffix(".edge"))
    loaded = unpack_line(file, folder, most_gb=most_gb)
    outside = outside_paths(loaded)
    if as_json:
        print_json({"config": loaded.path, "camera": loaded.config.camera, "outside": outside})
        return
    console = text_console()
    for key, path in outside.items():
        console.print(f"must be right on this machine: {key}: {path}")
    console.print(f"unpacked {loaded.path}\nnext: edge check {loaded.path}")
