"""``edge split``: five disjoint sides of a set, and no part on two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edge.cli._console import labelled, text_console
from edge.cli._json import JsonOption, print_json
from edge.cli._sets import ByOption, PartGapOption, described_set, end_if_lacking, hashed_set
from edge.cli._tables import print_table
from edge.errors import UserError
from edge.models.sets.frame_set import write_set
from edge.models.sets.manifest import MANIFEST, SIDES, SplitLine, now
from edge.models.sets.split import BALANCED, SHARES, Split
from edge.models.sets.split import split as split_frames


def split(
    path: Annotated[Path, typer.Argument(metavar="SET", help="A set, a folder of pictures or a recording.")],
    by: ByOption = None,
    part_gap: PartGapOption = None,
    share: Annotated[
        list[str] | None,
        typer.Option("--share", metavar="SIDE=SHARE", help=f"Share of the good frames; only sides named so. {SHARES}"),
    ] = None,
    balance: Annotated[str, typer.Option(help="Tags to keep in balance, besides kinds.")] = ",".join(BALANCED),
    seed: Annotated[int, typer.Option(help="The same frames and seed give the same split.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="SET.jsonl", help=f"The manifest to write. Default: SET/{MANIFEST}."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Split a set into fit, adapt, calibrate, validation and test, with no part on two sides."""
    frames = hashed_set(described_set(path, by, part_gap))
    result = split_frames(frames.frames, seed=seed, shares=_shares(share), tags=[t for t in balance.split(",") if t])
    target = out or frames.manifest or path / MANIFEST
    line = SplitLine(at=now(), seed=seed, by=frames.parts_by or "the set", sides=result.sides)
    write_set(frames, target, line)
    if as_json:
        print_json({"manifest": target, "seed": seed, "by": line.by, "parts": result.parts, "notes": result.notes})
    else:
        _show(result)
        _tell(result, line, target)
    end_if_lacking(frames)


def _tell(result: Split, line: SplitLine, target: Path) -> None:
    console = text_console()
    for note in result.notes:
        console.print(labelled("note:", "yellow", note))
    console.print(f"{sum(result.parts.values())} parts by {line.by}; seed {line.seed}")
    console.print(f"wrote {target}")


def _shares(texts: list[str] | None) -> dict[str, float]:
    if not texts:
        return dict(SHARES)
    shares = {}
    for text in texts:
        side, _, number = text.partition("=")
        try:
            shares[side] = float(number)
        except ValueError:
            shares[side] = 0.0
        if side not in SIDES or not shares[side] > 0:
            raise UserError("--share", received=text, expected=f"SIDE=NUMBER above 0; the sides are {', '.join(SIDES)}")
    return shares


def _show(result: Split) -> None:
    table = Table()
    table.add_column("frames of")
    for side in result.sides:
        table.add_column(side, justify="right")
    table.add_row("parts", *(str(result.parts[side]) for side in result.sides))
    table.add_row("all", *(str(len(files)) for files in result.sides.values()), end_section=True)
    for name, counts in result.columns:
        table.add_row(name, *(str(counts[side]) for side in result.sides))
    print_table(table)
