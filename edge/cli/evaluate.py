"""``edge evaluate``: how good a model is on a labelled set, and how sure that is."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from edge.cli._bars import progress_bar
from edge.cli._options import ClusterOption
from edge.cli._sets import PartGapOption, described_set, hashed_set, tell_unreadable
from edge.cli._tables import print_table
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
    options = EvaluateOptions(
        side=side,
        threshold=threshold,
        false_rejects=false_rejects,
        tags=tuple(by or ()),
        values=tuple(values.split(",")) if values else (),
        workers=workers,
        cluster=cluster,
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
        tell_unreadable(path, judged[0].result.unreadable)
        if out is not None:
            _write(out, report, judged, source)
    if as_json:
        typer.echo(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        return
    show(report)
    if out is not None:
        Console(highlight=False).print(f"wrote {out}", soft_wrap=True)


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


def show(report: dict[str, Any]) -> None:
    """Print the report as tables."""
    console = Console(highlight=False)
    about = report["set"]
    side = f", side {about['side']}" if about["side"] else ""
    console.print(
        f"{about['path']}{side}: {about['good']} good, {about['defective']} defective, {about['parts']} parts",
        soft_wrap=True,
    )
    _headline(report["models"])
    for model in report["models"]:
        console.print(
            f"{model['name']}: threshold {model['threshold']['high']:.6g} from {model['threshold']['from']}", soft_wrap=True
        )
        _kinds(model)
        for tag, rows in model["by_tag"].items():
            _tag(tag, rows)
        for told in model["matrix"]:
            _matrix(told)
        _wrong_regions(console, model["false_positives"])
    if "comparison" in report:
        _comparison(report["comparison"])
    if "matrix" in report:
        console.print("each row with the model of its name", soft_wrap=True)
        _matrix(report["matrix"])
    for note in report["notes"]:
        console.print("[yellow]note:[/yellow] ", end="")
        console.print(note, soft_wrap=True, markup=False)


def _headline(models: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("figure (95 % interval over parts)")
    for model in models:
        table.add_column(model["name"], justify="right")
    rows: list[tuple[str, list[str]]] = []

    def row(name: str, of: Any) -> None:
        rows.append((name, [of(model) for model in models]))

    row("image AUROC", lambda m: figure(m["image"]["auroc"]))
    row("image AP", lambda m: figure(m["image"]["average_precision"]))
    row("image F1-max", lambda m: f"{number(m['image']['f1_max']['value'])} at {number(m['image']['f1_max']['threshold'])}")
    for index, told in enumerate(models[0]["image"]["recall_at_false_rejects"]):
        row(
            f"recall at {100 * told['rate']:g} % false rejects",
            lambda m, index=index: figure(m["image"]["recall_at_false_rejects"][index]),
        )
    for index, told in enumerate(models[0]["image"]["false_rejects_at_recall"]):
        row(
            f"false rejects at {100 * told['recall']:g} % recall",
            lambda m, index=index: figure(m["image"]["false_rejects_at_recall"][index]),
        )
    row("false rejects by verdict", lambda m: figure(m["verdicts"]["false_rejects"]))
    row("recall by verdict", lambda m: figure(m["verdicts"]["recall"]))
    if models[0]["pixel"] is not None:
        for key, name in (
            ("auroc", "pixel AUROC"),
            ("average_precision", "pixel AP"),
            ("au_pro_30", "AU-PRO 0.3"),
            ("au_pro_05", "AU-PRO 0.05"),
        ):
            row(name, lambda m, key=key: figure(m["pixel"][key]))
    row("ms a frame, median (95 %)", lambda m: _latency(m["latency_ms"]))
    for name, cells in rows:
        table.add_row(name, *cells)
    print_table(table)


def number(value: float | None) -> str:
    """A figure of the report; a dash where it isn't defined."""
    return "-" if value is None else f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"


def figure(told: dict[str, Any]) -> str:
    """A figure with its interval: ``0.912 (0.85 to 0.95)``."""
    if told["value"] is None:
        return "-"
    if told["low"] is None:
        return number(told["value"])
    return f"{told['value']:.3f} ({told['low']:.2f} to {told['high']:.2f})"


def _latency(told: dict[str, Any]) -> str:
    if told["infer"] is None:
        return "-"
    total = told["infer"]["p50"] + told["judge"]["p50"]
    return f"{total:.1f} ({told['infer']['p95'] + told['judge']['p95']:.1f}), {told['engine']}"


def _kinds(model: dict[str, Any]) -> None:
    table = Table()
    for column in ("defects", "frames", "parts", "recall by verdict", "AUROC"):
        table.add_column(column, justify="right" if column in ("frames", "parts") else "left")
    for row in model["by_kind"]:
        recall = row["recall"]
        table.add_row(row["kind"], str(recall["count"]), str(recall["parts"]), figure(recall), figure(row["auroc"]))
    for name, rows in model["by_defect"].items():
        for number_, row in enumerate(rows):
            recall = row["recall"]
            table.add_row(
                f"{name}: {row['class']}",
                str(recall["count"]),
                str(recall["parts"]),
                figure(recall),
                "",
                end_section=number_ == len(rows) - 1,
            )
    print_table(table)


def _tag(tag: str, rows: list[dict[str, Any]]) -> None:
    table = Table()
    for column in (tag, "AUROC", "false rejects", "recall"):
        table.add_column(column)
    for row in rows:
        table.add_row(row["value"], figure(row["auroc"]), figure(row["false_rejects"]), figure(row["recall"]))
    print_table(table)


def _matrix(told: dict[str, Any]) -> None:
    table = Table(title=f"threshold of the row's {told['tag']} on the column's", title_justify="left")
    table.add_column(told["tag"])
    for column in told["values"]:
        table.add_column(column)
    cells = {(cell["row"], cell["column"]): cell for cell in told["cells"]}
    for row in told["values"]:
        texts = []
        for column in told["values"]:
            cell = cells[row, column]
            names = {"AUROC": "auroc", "false rejects": "false_rejects", "recall": "recall"}
            texts.append("\n".join(f"{name} {figure(cell[key])}" for name, key in names.items()))
        table.add_row(row, *texts, end_section=True)
    print_table(table)
    console = Console(highlight=False)
    drop = told["average_relative_drop"]
    console.print(f"average relative drop of the AUROC: {'-' if drop is None else f'{100 * drop:.1f} %'}")
    console.print(f"thresholds from: {told['thresholds_from']}", soft_wrap=True)


def _wrong_regions(console: Console, told: dict[str, Any]) -> None:
    console.print(
        f"{told['regions_on_good_frames']} regions on good frames, {told['regions_beside_defects']} beside defects",
        soft_wrap=True,
    )
    if not told["groups"]:
        return
    table = Table()
    for column in ("where", "look", "regions", "worst"):
        table.add_column(column, justify="right" if column == "regions" else "left", overflow="fold")
    for row in told["groups"][:12]:
        table.add_row(row["where"].replace("_", " "), row["look"], str(row["regions"]), row["worst"])
    print_table(table)


def _comparison(told: dict[str, Any]) -> None:
    first, second = told["names"]
    table = Table()
    for column in ("figure", first, second, "difference", "interval", ""):
        table.add_column(column)
    for row in told["metrics"]:
        interval = "-" if row["low"] is None else f"{row['low']:+.3f} to {row['high']:+.3f}"
        table.add_row(
            row["metric"].replace("_", " "),
            number(row["first"]),
            number(row["second"]),
            "-" if row["difference"] is None else f"{row['difference']:+.3f}",
            interval,
            "" if row["told_apart"] else "can't be told apart",
        )
    print_table(table)
    verdicts = told["verdicts"]
    Console(highlight=False).print(
        f"both right {verdicts['both_right']}, both wrong {verdicts['both_wrong']}, only {first} right "
        f"{len(verdicts['only_first_right'])}, only {second} right {len(verdicts['only_second_right'])}",
        soft_wrap=True,
        markup=False,
    )
