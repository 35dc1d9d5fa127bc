"""``edge shift``: why one set of frames differs from another, in words, figures and one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.table import Table

from edge.cli._bars import progress_bar
from edge.cli._console import labelled, text_console
from edge.cli._sets import ByOption, PartGapOption, chosen_by_tags, described_set, end_if_lacking, set_named
from edge.cli._tables import print_table
from edge.errors import UserError
from edge.shift.points import cameras_of_sets, points_of, without_camera
from edge.shift.report_file import report_bytes
from edge.shift.shift import Shift, compare_sets, report_of
from edge.shift.subject import open_subject
from edge.storage.disk import write_whole

_SHOWN = 8


def shift(
    first: Annotated[str, typer.Argument(metavar="[NAME=]A", help="What is usual: a folder, recording or set.")],
    second: Annotated[str, typer.Argument(metavar="[NAME=]B", help="What may have changed.")],
    model: Annotated[
        Path | None,
        typer.Option(
            "-m", "--model", metavar="BUNDLE|LINE.yaml", help="Also what this model, or the line that runs it, says."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Write a .html page (extra report) and the .json beside it; or .json."
        ),
    ] = None,
    by: ByOption = None,
    part_gap: PartGapOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="[A|B:]TAG=V,W", help="Only frames with these values of a tag.")
    ] = None,
    umap: Annotated[bool, typer.Option("--umap", help="Also draw UMAP (extra umap); takes a minute.")] = False,
    seed: Annotated[int, typer.Option(help="Of samples, folds and drawings.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say why the frames of B differ from those of A: the cause with its size, what to do, and how sure that is."""
    if out is not None and out.suffix not in (".html", ".json"):
        raise UserError(f"--out {out}", received=out.suffix or "no ending", expected="a name that ends in .html or .json")
    subject = None if model is None else open_subject(model)
    names, sources = [], []
    for letter, text in (("A", first), ("B", second)):
        name, path = set_named(text)
        names.append(name)
        sources.append(chosen_by_tags(described_set(path, by, part_gap), letter, only or []))
    if names[0] == names[1]:
        names = [f"{name} {letter}" for name, letter in zip(names, "AB", strict=True)]
    with progress_bar("comparing", transient=True) as step:
        done = compare_sets(
            (names[0], names[1]), (sources[0], sources[1]), subject, seed=seed, progress=lambda _w, d, t: step(d, t)
        )
    report = report_of(done)
    if out is not None:
        _write(out, done, report, with_umap=umap, seed=seed)
    if as_json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        _show(report)
        if out is not None:
            beside = f" and {out.with_suffix('.json')}" if out.suffix == ".html" else ""
            text_console().print(f"wrote {out}{beside}")
    end_if_lacking(*(side.source.lacking(len(side.unreadable)) for side in done.sides))


def _write(out: Path, done: Shift, report: dict[str, Any], *, with_umap: bool, seed: int) -> None:
    points = points_of(done, with_umap=with_umap, seed=seed)
    pictures = None if points is None or not all(points.pictures) else out.with_suffix(".jpegs")
    drawn = None if points is None else points.as_json(None if pictures is None else pictures.name)
    data = report_bytes(report | {"cameras": cameras_of_sets(done), "without_camera": without_camera(done)}, drawn)
    try:
        if out.suffix == ".html":
            from edge.shift.shift_page import page_of_shift  # needs the extra report

            write_whole(out, page_of_shift(done, report, points))
        if points is not None and pictures is not None:
            write_whole(pictures, b"".join(points.pictures))
        write_whole(out.with_suffix(".json"), data)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None


def _show(report: dict[str, Any]) -> None:
    console = text_console()
    console.print(report["headline"])
    for one in report["sets"]:
        console.print(f"{one['name']}: {one['frames']} frames of {one['parts']} parts, {one['path']}")
    apart = report["separability"]
    if apart is not None:
        auroc = apart["auroc"]
        console.print(
            f"told apart by {apart['embedding']}: AUROC {auroc['value']:.3f} ({auroc['low']:.2f} to {auroc['high']:.2f}), "
            f"MMD p {apart['mmd']['p']:.3g}, Mahalanobis {apart['mahalanobis_ratio']:.2f} times the usual",
        )
    table = Table()
    for column in ("statistic", "A", "B", "z", "Cliff's delta", ""):
        table.add_column(column, justify="left" if column in ("statistic", "") else "right")
    for row in report["statistics"][:_SHOWN]:
        a, b = row["middles"]
        name = f"{row['name'].replace('_', ' ')} [{row['unit']}]"
        table.add_row(
            name, f"{a:.4g}", f"{b:.4g}", f"{row['z']:+.1f}", f"{row['delta']:+.2f}", "changed" if row["changed"] else ""
        )
    print_table(table)
    if (judged_by := report["model"]) is not None:
        shares = ", ".join(f"{100 * share:.1f} % of {name}" for name, share in judged_by["rejected"].items())
        high = judged_by["threshold"]
        console.print(f"{judged_by['name']} rejects {shares}, at {high['high']:.6g} from {high['from']}")
    for note in report["notes"]:
        console.print(labelled("note:", "yellow", note))
