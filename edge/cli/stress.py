"""``edge stress``: what a model stands, step by step, at the threshold that it runs at."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from edge.cli._bars import progress_bar
from edge.cli._console import labelled, text_console
from edge.cli._options import ClusterOption, completing, finished_shards
from edge.cli._sets import end_if_lacking, without_unreadable
from edge.cli._tables import print_table
from edge.disturb.corruptions import CORRUPTIONS
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.open import open_set
from edge.shift.coverage import Covered, augment_text, coverage, mended, read_augment, read_measured
from edge.shift.stress import LineLimits, Stress, StressCurve, StressRun, run_stress
from edge.shift.stress_task import ways_of
from edge.shift.subject import Subject, open_subject
from edge.storage.disk import write_whole

MOST_FRAMES = 40


def stress(
    path: Annotated[Path, typer.Argument(metavar="SET", help="A labelled set; without defects some are planted.")],
    model: Annotated[
        Path, typer.Option("-m", "--model", metavar="BUNDLE|LINE.yaml", help="The model, or the line that runs it.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="CORRUPTION",
            help="Such as defocus or gradient. Repeatable.",
            autocompletion=completing(lambda: CORRUPTIONS),
        ),
    ] = None,
    covers: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--covers",
            metavar="AUGMENT.yaml SHIFT.json",
            help="Which measured ranges the training's augmentation does not cover; stresses by these causes.",
        ),
    ] = None,
    mend: Annotated[
        Path | None, typer.Option("--mend", metavar="FILE", help="With --covers: write the augmentation that covers all.")
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Threshold of the map. Default: the one that it runs at.")] = None,
    false_rejects: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share of good frames that may be rejected.")
    ] = 0.05,
    recall_loss: Annotated[float, typer.Option(min=0.0, max=1.0, help="How far recall may fall.")] = 0.10,
    frames: Annotated[int, typer.Option(min=10, help="Most frames of each class; others are left out by their hash.")] = 40,
    seed: Annotated[int, typer.Option(help="Of directions, places and noise.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the figures don't depend on it.")] = 1,
    cluster: ClusterOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished shards beside --out, and go on from those that are there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a .html page (extra report) or .json file.")
    ] = None,
) -> None:
    """Corrupt frames in five steps and say at which strength the line's limits break."""
    if out is not None and out.suffix not in (".html", ".json"):
        raise UserError(f"--out {out}", received=out.suffix or "no ending", expected="a name that ends in .html or .json")
    if mend is not None and covers is None:
        raise UserError("--mend: writes what --covers finds", fix="give --covers AUGMENT.yaml SHIFT.json, too")
    parts = finished_shards(out, resume=resume)
    rows = _coverage(covers, mend)
    limits = LineLimits(false_rejects, recall_loss)
    names = list(only or ()) or [row.cause for row in rows if row.state in ("covered", "too narrow", "not there")]
    if covers is not None and not names:
        _show_coverage(rows, mend)
        return
    ways = ways_of(names)
    subject = open_subject(model.absolute() if cluster else model, threshold)
    source = open_set(path.absolute() if cluster else path)
    run = StressRun(workers, cluster, parts)
    with progress_bar("stressing", transient=True) as step:
        result = run_stress(subject, source, chosen(source, frames), ways, limits=limits, seed=seed, run=run, say=step)
    source = without_unreadable(source, result.unreadable)
    if out is not None:
        _write(out, result, subject, limits, seed, rows)
    if parts is not None:
        shutil.rmtree(parts, ignore_errors=True)
    if as_json:
        report = result.to_json(subject, limits, seed) | ({"covers": _covers_json(rows)} if covers else {})
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        show(result, subject, limits)
        _show_coverage(rows, mend)
        if out is not None:
            text_console().print(f"wrote {out}")
    end_if_lacking(source)


def chosen(source: FrameSet, most: int) -> list[SetFrame]:
    """Up to ``most`` good and as many defective frames: of the side ``test`` if there is one, spread over the set.

    Raises:
        UserError: no frame is labelled good, though some are labelled.
    """
    frames = source.of("test") if "test" in source.sides else source.frames
    labelled = any(frame.label for frame in frames)
    good = [frame for frame in frames if frame.label == ("good" if labelled else None)]
    bad = [frame for frame in frames if frame.label == "defect"]
    if not good:
        raise UserError(
            f"{source.path}: no frame of it is labelled good, so false rejects can't be counted",
            received=f"{len(frames)} frames",
            fix="label it: edge label",
        )
    if not labelled:
        good = [replace(frame, votes=()) for frame in good]
    return _spread_out(good, most) + _spread_out(bad, most)


def _spread_out(frames: list[SetFrame], most: int) -> list[SetFrame]:
    if len(frames) <= most:
        return frames
    return [frames[round(at * (len(frames) - 1) / (most - 1))] for at in range(most)]


def show(result: Stress, subject: Subject, limits: LineLimits) -> None:
    """Print up to where the model stands each corruption, with the figures at the five steps."""
    console = text_console()
    console.print(
        f"{subject.bundle.spec.name} at threshold {subject.threshold:.4g} ({subject.threshold_from}): "
        f"{result.good} good frames, {result.defective} with a defect ({result.defects_source})",
    )
    first = result.curves[0].points[0]
    console.print(f"as they are: false rejects {first.false_rejects:.0%}, recall {first.recall:.0%}")
    broken = first.false_rejects > limits.false_rejects
    if broken:
        console.print(labelled("note:", "yellow", "the frames as they are break the line's limit already: edge adapt"))
    for note in result.notes(limits):
        console.print(labelled("note:", "yellow", note))
    table = Table()
    for column in ("corruption", "breaks", "false rejects, %", "recall, %"):
        table.add_column(column)
    for curve in result.curves:
        table.add_row(curve.way.name, _breaks(curve), _steps(curve, "false_rejects"), _steps(curve, "recall"))
    print_table(table)
    console.print(
        f"breaks: false rejects above {limits.false_rejects:.0%}, or recall {limits.recall_loss:.0%} lower; steps: --json"
    )


def _breaks(curve: StressCurve) -> str | Text:
    if curve.breach is None:
        return f"not at {curve.way.words(curve.points[-1].strength)}"
    colour = "red" if curve.breach.strength <= curve.points[3].strength else "yellow"
    return labelled(curve.way.words(curve.breach.strength), colour, f"({curve.breach.what})")


def _steps(curve: StressCurve, name: str) -> str:
    return " ".join(f"{100 * getattr(point, name):.0f}" for point in curve.points[1:])


def _coverage(covers: tuple[Path, Path] | None, mend: Path | None) -> tuple[Covered, ...]:
    if covers is None:
        return ()
    spec, measured = read_augment(covers[0]), read_measured(covers[1])
    rows = coverage(spec, measured)
    if mend is not None:
        try:
            write_whole(mend, augment_text(mended(spec, rows)).encode())
        except OSError as error:
            raise UserError(f"{mend}: cannot be written: {error.strerror}") from None
    return rows


def _show_coverage(rows: tuple[Covered, ...], mend: Path | None) -> None:
    if not rows:
        return
    console = text_console()
    gaps = [row.cause for row in rows if row.is_gap]
    console.print(f"not covered by the augmentation: {', '.join(gaps) or 'nothing'}")
    for row in rows:
        console.print(f"  {row.cause}: {row.summary}")
    if mend is not None:
        console.print(f"wrote {mend}, which covers them")


def _covers_json(rows: tuple[Covered, ...]) -> list[dict[str, object]]:
    return [{"cause": row.cause, "state": row.state, "told": row.summary} for row in rows]


def _write(out: Path, result: Stress, subject: Subject, limits: LineLimits, seed: int, rows: tuple[Covered, ...]) -> None:
    if out.suffix == ".json":
        report = result.to_json(subject, limits, seed) | ({"covers": _covers_json(rows)} if rows else {})
        data = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    else:
        from edge.shift.stress_page import stress_page  # needs the extra report

        data = stress_page(result, subject, limits, rows)
    try:
        write_whole(out, data)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
