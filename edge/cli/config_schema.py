"""``edge config-schema`` prints the JSON Schema of a line's YAML, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edge.config.editor_schema import editor_schema
from edge.storage.disk import write_whole


def config_schema(
    out: Annotated[Path | None, typer.Option("-o", "--out", help="File to write; standard output without it.")] = None,
) -> None:
    """Print the JSON Schema of a line's YAML, with which editors that have a YAML language server complete and check keys.

    Write it beside your configs and begin each with: # yaml-language-server: $schema=line.schema.json
    """
    text = editor_schema()
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_whole(out, text.encode())
