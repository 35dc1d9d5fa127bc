"""``edge import-config`` turns pyimgano's infer_config.json into a line's config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge.cli._console import labelled, text_console
from edge.cli._tables import print_table
from edge.errors import UserError
from edge.models.pyimgano.import_config import import_config as convert
from edge.models.pyimgano.import_config import read_infer_config
from edge.models.pyimgano.infer_config_reader import Note


def import_config(
    infer_config: Annotated[Path, typer.Argument(metavar="INFER_CONFIG.json", help="What pyimgano-train exported.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="LINE.yaml", help="The line's config to write.")],
    bundle: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The bundle that the config names. Default: 'bundle' beside it.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write pyimgano's defect settings as a line's config, and list settings that mean something else here, or nothing."""
    data = read_infer_config(infer_config)
    if out.exists() and not force:
        raise UserError(f"{out}: exists already", fix="choose another name, or give --force")
    named = Path("bundle") if bundle is None else Path(os.path.relpath(bundle, out.parent))  # the config's own folder
    imported = convert(data, str(infer_config), named)
    try:
        out.write_text(imported.text, "utf-8")
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
    console = text_console()
    _table("means something else here", imported.differs, there_and_here=True)
    _table("ignored", imported.ignored, there_and_here=False)
    for key in imported.unknown:
        console.print(labelled("unknown:", "yellow", key))
    if imported.build_options:
        shown = f"edge build MODEL.onnx -o {bundle or out.parent / 'bundle'} {imported.build_options}"
        console.print(f"build the bundle with: {shown}")
    console.print(f"wrote {out}: set its camera and source, then edge check {out}")


def _table(title: str, notes: Sequence[Note], *, there_and_here: bool) -> None:
    if not notes:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("setting", overflow="fold")
    for column in ("there", "here") if there_and_here else ():
        table.add_column(column, overflow="fold")
    table.add_column("why", overflow="fold")
    for note in notes:
        values = (note.there, note.here) if there_and_here else ()
        table.add_row(note.key, *values, note.text)
    print_table(table)
