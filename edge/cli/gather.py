"""``edge gather``: a set from evidence, recordings and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from edge.cli._bars import progress_bar
from edge.cli._console import text_console
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._sets import ByOption, PartGapOption, tell_unreadable
from edge.cli._tables import print_table
from edge.errors import UserError
from edge.models.sets.gather import BALANCED, Gathered
from edge.models.sets.gather import gather as gather_frames
from edge.models.sets.metadata import described, parse_gap


def gather(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SOURCE...", help="Evidence, recordings, folders of pictures, sets, videos.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="SET", help="The set's folder; one that is there grows.")],
    most: Annotated[int | None, typer.Option(min=1, help="Frames to take, balanced. Default: all.")] = None,
    balance: Annotated[str, typer.Option(help="Tags that --most is balanced over.")] = ",".join(BALANCED),
    by: ByOption = None,
    part_gap: PartGapOption = None,
    as_json: JsonOption = False,
) -> None:
    """Gather frames into a set: copied, no picture twice, with parts, tags, labels and hashes in its manifest."""
    if by == "content":
        raise UserError("--by", received=by, expected="names or tables; parts are found by content when the set is split")
    gap = parse_gap(part_gap)
    with progress_bar("gathering", transient=True) as step:
        result = gather_frames(
            sources,
            out,
            most=most,
            tags=[tag for tag in balance.split(",") if tag],
            described=lambda frames: described(frames, by, gap),
            seen=lambda done: step(done, None),
        )
    damaged = len(result.unreadable)
    lacks = [*result.lacks, f"{damaged} picture{'s' * (damaged != 1)} can't be read" if damaged else ""]
    tell_unreadable(out, result.unreadable)
    if as_json:
        print_json(_as_json(out, result))
    else:
        _show(out, result, balance)
    end_if_incomplete(lacks)


def _as_json(out: Path, result: Gathered) -> dict[str, Any]:
    return {
        "set": out,
        "taken": result.taken,
        "frames": len(result.frames),
        "parts": len({frame.part for frame in result.frames.frames if frame.part is not None}),
        "twice": result.twice,
        "passed_over": result.passed_over,
        "unreadable": result.unreadable,
        "groups": result.groups,
    }


def _show(out: Path, result: Gathered, balance: str) -> None:
    table = Table()
    table.add_column(", ".join(balance.split(",")))
    table.add_column("new frames", justify="right")
    for name, count in result.groups.items():
        table.add_row(name, str(count))
    if result.groups:
        print_table(table)
    console = text_console()
    parts = {frame.part for frame in result.frames.frames if frame.part is not None}
    known = f"{len(parts)} parts" if parts else "parts unknown"
    console.print(
        f"{result.taken} new frames, {len(result.frames)} altogether, {known}; left out: {result.twice} pictures that were "
        f"there already, {result.passed_over} beyond --most",
    )
    console.print(f"wrote {out}; next: edge label {out}, edge split {out}")
