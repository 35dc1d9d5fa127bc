"""``edge pack`` puts a whole line into one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.cli._console import text_console
from edge.cli._json import JsonOption, print_json
from edge.cli._options import ConfigOption, SetOption
from edge.config.load import load_config
from edge.errors import UserError
from edge.service.pack import pack as pack_line


def pack(
    config: ConfigOption,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="The file. Default: LINE.edge.zip beside the config.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    as_json: JsonOption = False,
    overrides: SetOption = None,
) -> None:
    """Pack a line into one file: config, bundle, calibration, mask picture, sample frames, with their hashes.

    Their paths are relative in it; keys (CURVE, TLS) and what only this machine has are not packed, and are named.
    """
    loaded = load_config(config, overrides or ())
    try:
        packed = pack_line(loaded, out or config.with_name(f"{config.stem}.edge.zip"), force=force)
    except UserError as error:
        raise loaded.located(error) from None
    if as_json:
        print_json({"file": packed.path, "files": packed.files, "outside": packed.outside})
        return
    console = text_console()
    total = sum(file["bytes"] for file in packed.files.values())
    for name, file in packed.files.items():
        console.print(f"  {name}  {file['bytes']:,} bytes")
    for key, path in packed.outside.items():
        console.print(f"not packed, must be right on the other machine: {key}: {path}")
    size = packed.path.stat().st_size
    console.print(f"wrote {packed.path}: {len(packed.files)} files, {total:,} bytes, {size:,} packed")
