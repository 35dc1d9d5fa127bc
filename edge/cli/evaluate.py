"""``edge evaluate``: how good a model is on a labelled set, and how sure that is."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from edge.cli._bars import progress_bar
from edge.cli._console import text_console
from edge.cli._evaluation_tables import show
from edge.cli._options import ClusterOption, finished_shards
from edge.cli._sets import PartGapOption, described_set, end_if_lacking, hashed_set, without_unreadable
from edge.config.load import load_config
from edge.errors import UserError
from edge.models.evaluate.contest import Contestant, EvaluateOptions, JudgedModel
from edge.models.evaluate.evaluation import chosen_frames
from edge.models.evaluate.evaluation import evaluate as evaluate_set
from edge.models.evaluate.refit import refitted
from edge.models.sets.frame_set import FrameSet

MOST_MODELS = 12
_SIDE_BY_SIDE = 2


def evaluate(
    path: Annotated[Path, typer.Argument(metavar="SET", help="A labelled set, or folders in MVTec AD's layout.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            metavar="[NAME=]BUNDLE",
            help="A bundle or a line's YAML. Twice: side by side. Named after values of --by: a matrix.",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by", metavar="KEY", help="A tag, such as lighting, camera or day: figures and a matrix. Repeatable."
        ),
    ] = None,
    tags: Annotated[
        str | None,
        typer.Option("--tags", metavar="EXPRESSION", help="Where the set has no tags: as edge split's --by."),
    ] = None,
    part_gap: PartGapOption = None,
    values: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Only frames whose first --by tag is one of these.")
    ] = None,
    side: Annotated[str | None, typer.Option(help="Side of the split to judge on. Default: test.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Threshold of the map. Default: the line's, else measured.")
    ] = None,
    false_rejects: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Share of good calibrate frames that a measured threshold may reject.")
    ] = 0.01,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the figures don't depend on it.")] = 1,
    cluster: ClusterOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished shards beside --out, and go on from those that are there.")
    ] = False,
    replicates: Annotated[int, typer.Option(min=10, help="Draws of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    pixels: Annotated[bool, typer.Option("--pixels/--no-pixels", help="Pixel metrics; they take most of the time.")] = True,
    refit: Annotated[
        bool,
        typer.Option("--refit", help="With --by: fit the model of -m anew for each value; the matrix's rows are these."),
    ] = False,
    seen_before: Annotated[
        bool, typer.Option("--seen-before", help="Judge frames that the model was fitted on all the same.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write a .html page (extra report) or .json file.")
    ] = None,
) -> None:
    """Judge one or two models on a labelled set: ranking, pixels, kinds, false positives, with intervals over parts."""
    if not model or len(model) > MOST_MODELS or (len(model) > _SIDE_BY_SIDE and not by):
        raise UserError(
            "-m",
            received=f"{len(model or ())} models",
            expected="one, two to be compared side by side, or with --by one for each value, named after it",
        )
    if out is not None and out.suffix not in (".html", ".json"):
        raise UserError(f"--out {out}", received=out.suffix or "no ending", expected="a name that ends in .html or .json")
    parts = finished_shards(out, resume=resume)
    options = EvaluateOptions(
        side=side,
        threshold=threshold,
        false_rejects=false_rejects,
        tags=tuple(by or ()),
        values=tuple(values.split(",")) if values else (),
        workers=workers,
        cluster=cluster,
        kept_in=parts,
        replicates=replicates,
        seed=seed,
        pixels=pixels,
        seen_before=seen_before,
    )
    contestants = _contestants(model)
    source = hashed_set(described_set(path.absolute() if cluster else path, tags, part_gap))
    for tag in options.tags:
        known = sorted({name for frame in source.frames for name in frame.tags})
        if tag not in known:
            raise UserError("--by", received=tag, expected=f"one of the set's tags: {', '.join(known) or 'it has none'}")
    with ExitStack() as stack:
        step = stack.enter_context(progress_bar("evaluating", transient=True))
        if refit:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            contestants = _refitted(source, contestants, options, folder)
        report, judged = evaluate_set(source, contestants, options, lambda _what, done, total: step(done, total))
        source = without_unreadable(source, judged[0].result.unreadable)
        if out is not None:
            _write(out, report, judged, source)
        if parts is not None:
            shutil.rmtree(parts, ignore_errors=True)
    if as_json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    else:
        show(report)
        if out is not None:
            text_console().print(f"wrote {out}")
    end_if_lacking(source)


def _refitted(source: FrameSet, models: list[Contestant], options: EvaluateOptions, into: Path) -> list[Contestant]:
    if len(models) != 1 or not options.tags:
        raise UserError(
            "--refit",
            received=f"{len(models)} models, {'no ' if not options.tags else ''}--by",
            expected="one -m, which is fitted anew for each value of --by",
        )
    values = sorted({f.tags[options.tags[0]] for f in chosen_frames(source, options) if options.tags[0] in f.tags})
    if len(values) > MOST_MODELS:
        raise UserError("--refit", received=f"{len(values)} values of {options.tags[0]}", expected=f"up to {MOST_MODELS}")
    return refitted(source, models[0].bundle, options.tags[0], values, into, workers=options.workers)


def _contestants(texts: list[str]) -> list[Contestant]:
    contestants = [_contestant(text) for text in texts]
    if len({contestant.name for contestant in contestants}) < len(contestants):
        contestants = [
            Contestant(f"{one.name} {number}", one.bundle, one.line) for number, one in enumerate(contestants, 1)
        ]
    return contestants


def _contestant(text: str) -> Contestant:
    """The model that ``[NAME=]BUNDLE`` or ``[NAME=]LINE.yaml`` means."""
    name, equals, place = text.partition("=")
    if not equals or Path(text).exists():
        name, place = "", text
    path = Path(place)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        loaded = load_config(path)
        return Contestant(name or path.stem, loaded.resolve(loaded.config.model.bundle), loaded)
    return Contestant(name or path.absolute().name, path.absolute())


def _write(out: Path, report: dict[str, Any], judged: list[JudgedModel], source: Any) -> None:
    if out.suffix == ".json":
        data = orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    else:
        from edge.models.evaluate.evaluation_page import page_of  # needs the extra report

        data = page_of(report, judged, source)
    try:
        out.write_bytes(data)
    except OSError as error:
        raise UserError(f"{out}: cannot be written: {error.strerror}") from None
