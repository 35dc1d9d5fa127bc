"""``edge replay``: recorded frames through the live code."""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edge.cli.options import ConfigOption, SetOption
from edge.config import ZmqConfig
from edge.configfile import load_config
from edge.errors import UserError
from edge.line import Line
from edge.replay import Options
from edge.replay import replay as run_replay
from edge.sources.recorded import RecordedSource
from edge.supervise import Health


def replay(
    source: Annotated[Path, typer.Argument(help="A folder of pictures, a video file or a recording.")],
    config: ConfigOption,
    pace: Annotated[str, typer.Option(help="original: with the recording's own times; max: as fast as it goes.")] = "max",
    overrides: SetOption = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="Draw each frame that does not pass.")] = False,
    masks: Annotated[str | None, typer.Option(help="png: write each frame's mask, in map pixels.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for all that is written. Default: ./replay-TIME.")] = None,
    publish: Annotated[str | None, typer.Option(metavar="ENDPOINT", help="Also publish the records here.")] = None,
) -> None:
    """Inspect recorded frames with the live code; write records.jsonl under --out."""
    if pace not in ("original", "max"):
        raise UserError("--pace", received=pace, expected="original or max")
    if masks not in (None, "png"):
        raise UserError("--masks", received=masks, expected="png")
    loaded = load_config(config, overrides or ())
    frames = RecordedSource(source, _pace(pace), 10.0)
    options = Options(out or Path(f"replay-{time.strftime('%Y%m%d-%H%M%S')}"), overlays, masks == "png", _endpoint(publish))
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task("replay", total=None)

    def each_turn(line: Line, _health: Health) -> None:
        bar.start()  # not before the source is open: an error stands alone
        bar.update(task, completed=line.tally.accounted, total=frames.total)

    try:
        code, line = run_replay(loaded, frames, options, stop, each_turn)
        bar.update(task, completed=line.tally.accounted, total=frames.total)
    finally:
        bar.stop()
    _summary(line, options.out)
    raise typer.Exit(code)


def _summary(line: Line, out: Path) -> None:
    tally = line.tally
    table = Table(title=f"{tally.accounted} frames", title_justify="left")
    for column in ("result", "frames"):
        table.add_column(column, justify="right" if column == "frames" else "left")
    for verdict, count in tally.verdicts.items():
        table.add_row(verdict, str(count))
    for reason, count in {**tally.invalid_reasons}.items():
        table.add_row(f"  invalid: {reason}", str(count))
    for reason, count in tally.skipped_frames.items():
        table.add_row(f"skipped: {reason}", str(count))
    console = Console()
    console.print(table)
    console.print(f"records: {out / 'records.jsonl'}", soft_wrap=True)
    for name in ("overlays", "masks"):
        if (out / name).is_dir():
            console.print(f"{name}: {out / name} ({sum(1 for _ in (out / name).iterdir())} pictures)", soft_wrap=True)


def _pace(text: str) -> Literal["original", "max"]:
    return "original" if text == "original" else "max"


def _endpoint(publish: str | None) -> str | None:
    if publish is not None:
        try:
            ZmqConfig(bind=publish)
        except ValidationError as error:
            raise UserError(f"--publish: {error.errors()[0]['ctx']['error']}") from None
    return publish
