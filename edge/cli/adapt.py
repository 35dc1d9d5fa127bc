"""``edge adapt``: every answer to a shift tried on frames of the factory, and the best one as a new version."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.table import Table
from rich.text import Text

from edge.cli._bars import progress_bar
from edge.cli._console import labelled, text_console
from edge.cli._options import completing
from edge.cli._sets import end_if_lacking
from edge.cli._tables import print_table
from edge.config.bundle import load_bundle
from edge.errors import UserError
from edge.models.fit.continued import backbone_of
from edge.models.sets.open import open_set
from edge.models.train.go_on import as_fitted
from edge.models.write import check_target
from edge.shift.adaptation import Adaptation
from edge.shift.adaptation import adapt as adapt_model
from edge.shift.answers.table import ANSWERS, answers_of
from edge.shift.bundle_trial import Trial
from edge.shift.rank import Tried, ranked
from edge.shift.subject import open_subject
from edge.shift.version import copy_bundle, refuse_own, report, undo, write_version


def adapt(
    model: Annotated[
        Path, typer.Option("-m", "--model", metavar="BUNDLE|LINE.yaml", help="The model, or the line that runs it.")
    ],
    frames: Annotated[
        Path | None, typer.Option("--frames", metavar="SET", help="Confirmed good frames of the factory: 28 or more.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="NEW", help="The new version's folder.")] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="ANSWER",
            help=f"Try this answer alone: {', '.join(row.name for row in ANSWERS)}. Repeatable.",
            autocompletion=completing(lambda: (row.name for row in ANSWERS)),
        ),
    ] = None,
    lab: Annotated[
        Path | None, typer.Option("--lab", metavar="SET", help="Good frames of the lab, where the bundle keeps none.")
    ] = None,
    backbone: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The bundle's backbone, if it is a file: answers that fit anew ask for it."),
    ] = None,
    adapt_frames: Annotated[
        int | None, typer.Option(min=4, help="How many frames to adapt by; the others measure. Default: 2 of 7.")
    ] = None,
    limit: Annotated[float, typer.Option(min=0.0, max=0.9, help="False rejects that the line can live with.")] = 0.05,
    threshold: Annotated[float | None, typer.Option(help="Threshold of the map. Default: the one that it runs at.")] = None,
    undo_it: Annotated[
        bool, typer.Option("--undo", help="Give back the version that the bundle was adapted from; -o: write it there.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle at NEW.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Try all answers to a shift, rank them by false rejects and recall on frames they never saw, and write the best."""
    if undo_it:
        _undo(model, out, force=force)
        return
    if frames is None:
        raise UserError("--frames: no frames to adapt by", expected="--frames SET of confirmed good frames, or --undo")
    answers = answers_of(only or ())
    subject = open_subject(model, threshold)
    if backbone is not None:
        backbone_of(as_fitted(subject.bundle), backbone)  # before anything is computed
    if out is not None:
        refuse_own(out, subject.bundle)
        check_target(out, force=force)
    with progress_bar("trying answers", transient=True) as step:
        done = adapt_model(
            subject,
            open_set(frames),
            answers,
            limit=limit,
            adapt_frames=adapt_frames,
            lab=None if lab is None else open_set(lab),
            backbone=backbone.absolute() if backbone is not None and backbone.exists() else backbone,
            say=lambda _what, number, total: step(number, total),
        )
    written = None if out is None or done.choice.taken is None else write_version(out, done, force=force)
    if as_json:
        answer = report(done) | {"written": None if written is None else {"folder": str(out), "sha256": written.sha256}}
        typer.echo(orjson.dumps(answer, option=orjson.OPT_INDENT_2))
        end_if_lacking(done.factory.source)
        return
    show(done)
    console = text_console()
    if written is not None:
        assert done.choice.taken is not None
        assert done.choice.taken.trial is not None
        console.print(f"wrote {out}, model {written.sha256[:12]}; the old one is {subject.bundle.sha256[:12]}")
        console.print("to run it: name it in the line's YAML (model.bundle), then")
        line = "LINE.yaml" if subject.line is None else str(subject.line.path)
        console.print(f"  edge calibrate OTHER_GOOD_FRAMES -c {line} && edge reload {line}")
        console.print(f"the way back: edge adapt --undo -m {out}")
    elif done.choice.taken is not None:
        console.print("nothing is written: give -o NEW")
    end_if_lacking(done.factory.source)


def show(done: Adaptation) -> None:
    """Print what was tried, best first, and what is taken."""
    console, factory = text_console(), done.factory
    judged = f", {len(factory.judged)} to judge on" if factory.judged else ""
    console.print(
        f"{done.subject.bundle.spec.name}: {len(factory.adapt)} frames to adapt by, {len(factory.threshold)} for the "
        f"threshold{judged}; frozen threshold {done.subject.threshold:.4g} ({done.subject.threshold_from})",
    )
    for note in factory.notes:
        console.print(labelled("note:", "yellow", note))
    for name, why in done.suspects.items():
        console.print(labelled("left out:", "yellow", f"{name}: {why}"))
    table = Table()
    for column in ("answer", "false rejects", "recall", "ms", "what"):
        table.add_column(column, overflow="fold")
    table.add_row("(as it is)", _rejects(done.frozen), f"{done.frozen.recall:.2f}", f"{done.frozen.ms:.1f}", "")
    for one in ranked(done.tried):
        _add(table, one, taken=one is done.choice.taken)
    print_table(table)
    for one in done.tried:
        if one.trial is None:
            console.print(f"{one.row.name}: {one.why_not or ''}", style="dim")
    lab = "" if done.lab_recall is None else f" (in the lab {done.lab_recall:.2f})"
    low, high = (f"{100 * contrast:.0f}" for contrast in (done.contrasts[0], done.contrasts[-1]))
    console.print(f"recall: of pasted defects of 4 to 12 px at {low} to {high} % contrast{lab}")
    console.print(done.choice.why)


def _add(table: Table, one: Tried, *, taken: bool) -> None:
    assert one.trial is not None
    assert one.proposal is not None
    cells = (one.row.name, _rejects(one.trial), f"{one.trial.recall:.2f}", f"{one.trial.ms:.1f}", one.proposal.summary)
    table.add_row(*(Text(cell, "bold green") if taken and number < 4 else cell for number, cell in enumerate(cells)))


def _rejects(trial: Trial) -> str:
    low, high = trial.interval
    return f"{trial.false_rejects:.0%} ({low:.0%}-{high:.0%})"


def _undo(model: Path, out: Path | None, *, force: bool) -> None:
    bundle = load_bundle(model)
    old = undo(bundle)
    console = text_console()
    console.print(f"{model} was adapted from {old.folder}, model {old.sha256[:12]}; its files are as they were")
    if out is not None:
        again = copy_bundle(old, out, force=force)
        console.print(f"wrote {out}, model {again.sha256[:12]}")
    place = old.folder if out is None else out
    console.print(f"to run it: name {place} in the line's YAML (model.bundle) with its calibration, then edge reload")
