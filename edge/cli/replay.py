"""``edge replay`` runs recorded frames through the live code."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from edge.cli._bars import build_bar, progress_bar
from edge.cli._incomplete import end_if_incomplete
from edge.cli._options import BitsOption, ConfigOption, SetOption, declared_bits
from edge.cli._tables import print_table
from edge.config.load import load_config
from edge.config.outputs import ZmqConfig
from edge.errors import ExitCode, UserError
from edge.line.line import Line
from edge.line.replay import ReplayOptions
from edge.line.replay import replay as run_replay
from edge.line.supervise import StageHealth
from edge.report.compare import Comparison, Outcomes
from edge.sources.recorded import RecordedSource
from edge.storage.log_files import read_records

LARGEST_BATCH = 256
NAMED = 8
"""Number of frames named for each kind of change."""


def replay(
    source: Annotated[Path, typer.Argument(help="A folder of pictures, a video file or a recording.")],
    config: ConfigOption,
    pace: Annotated[
        Literal["original", "max"], typer.Option(help="original: with the recording's own times; max: as fast as it goes.")
    ] = "max",
    overrides: SetOption = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="Draw each frame that does not pass.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Draw each frame's map, and why each candidate was dropped.")
    ] = False,
    masks: Annotated[
        Literal["png", "rle"] | None,
        typer.Option(help="png: write each frame's mask, in map pixels; rle: as run lengths, to masks.jsonl."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OLD.jsonl", help="List the verdicts that changed since this log, and draw those frames."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for all that is written. Default: ./replay-TIME.")
    ] = None,
    publish: Annotated[str | None, typer.Option(metavar="ENDPOINT", help="Also publish the records here.")] = None,
    bits: BitsOption = None,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST_BATCH, help="Frames that go through the model in one run, where it takes several. For GPUs."
        ),
    ] = 1,
) -> None:
    """Inspect recorded frames with the live code; write records.jsonl under --out."""
    if batch_size > 1 and pace != "max":
        raise UserError(
            "--batch-size: frames of a batch wait for each other, and with --pace original each comes at its own time",
            received=str(batch_size),
            expected="--pace max, or no --batch-size",
        )
    loaded = load_config(config, overrides or ())
    frames = RecordedSource(source, pace, 10.0, bits=declared_bits(bits, loaded.config.source))
    frames.open()  # before a folder is made for what it can't give
    frames.close()
    before = None if against is None else _outcomes(against)
    if out is not None and out.resolve() == source.resolve():
        raise UserError(f"--out {out}: is the source itself", fix="name another folder")
    folder = out or Path(f"replay-{time.strftime('%Y%m%d-%H%M%S')}")
    options = ReplayOptions(
        out=folder,
        overlays=overlays,
        masks=masks,
        publish=_endpoint(publish),
        explain=explain,
        before=before,
        batch_size=batch_size,
    )
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    left = TextColumn("left"), TimeRemainingColumn()
    with progress_bar(
        "replay", TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *left
    ) as step:

        def each_turn(line: Line, _health: StageHealth) -> None:
            step(line.tally.accounted, frames.total)

        try:
            with build_bar() as tell:
                code, line = run_replay(loaded, frames, options, stop, each_turn, tell)
        except UserError as error:
            raise loaded.located(error) from None
        step(line.tally.accounted, frames.total)
    if stop.is_set():
        total = f" of {frames.total}" if frames.total is not None else ""
        print(f"interrupted after {line.tally.accounted}{total} frames", file=sys.stderr)
    _summary(line, options.out)
    if before is not None:
        assert against is not None
        _show_changes(before.compare(read_records(folder / "records.jsonl")), before, against, folder / "changed")
    if code == ExitCode.OK and not stop.is_set():
        end_if_incomplete(_lacks(line, frames))
    raise typer.Exit(ExitCode.INTERRUPTED if stop.is_set() and code == ExitCode.OK else code)


def _lacks(line: Line, frames: RecordedSource) -> Iterator[str]:
    """Put into words what was not read, judged or written."""
    unread, total = line.tally.skipped_frames.get("unreadable", 0), line.tally.accounted
    if unread:
        yield f"{unread} of {total} frames could not be read"
    if frames.left_out:
        yield f"left out of {frames.path}: {frames.left_out}"
    for name, status in line.output_statuses().items():
        if status.lost:
            yield f"{status.lost} records could not be written to {name}: {status.last_fault or status.fault}"


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
    print_table(table)
    lost = line.output_statuses()["jsonl"].lost
    short = f" ({lost} could not be written)" if lost else ""
    console.print(f"records: {out / 'records.jsonl'}{short}", soft_wrap=True)
    for name in ("overlays", "masks", "explain", "changed"):
        if (out / name).is_dir():
            console.print(f"{name}: {out / name} ({sum(1 for _ in (out / name).glob('*.png'))} pictures)", soft_wrap=True)
    if (out / "masks.jsonl").exists():
        console.print(f"masks: {out / 'masks.jsonl'}", soft_wrap=True)


def _outcomes(path: Path) -> Outcomes:
    """Read the records of an old log. Raises UserError if it can't be read or holds no record."""
    counts: dict[str, int] = {}
    try:
        before = Outcomes(read_records(path, counts))
    except OSError as error:
        raise UserError(f"--against {path}: cannot be read: {error.strerror}") from None
    unreadable = counts["unreadable"]
    if not len(before) and not before.nameless:
        raise UserError(
            f"--against {path}: holds no record of a frame",
            received=f"{unreadable} line(s) that are no record" if unreadable else "no record",
            expected="a daemon's log or a replay's records.jsonl",
        )
    if unreadable:
        Console(stderr=True).print(f"{path}: {unreadable} line(s) that are no record are passed over", soft_wrap=True)
    return before


def _show_changes(comparison: Comparison, before: Outcomes, path: Path, pictures: Path) -> None:
    """Print what changed; ``pictures`` is the folder of the changed frames' pictures, whose names stand beside the
    frames'.
    """
    compared = sum(comparison.transitions.values())
    table = Table()
    for column in ("verdict", "frames", "which"):
        table.add_column(column, justify="right" if column == "frames" else "left", overflow="fold")
    for (was, now), count in sorted(comparison.transitions.items(), key=lambda item: (item[0][0] == item[0][1], -item[1])):
        changes = [change for change in comparison.changes if (change.before, change.after) == (was, now)]
        drawn = [(change.name, f"{change.seq:08d}.png") for change in changes]
        names = [f"{name} ({file})" if (pictures / file).exists() else name for name, file in drawn]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        label = f"{was} -> {now}" if was != now else f"{was}, as before"
        table.add_row(label, str(count), escape(", ".join(names[:NAMED]) + more))
    for text, count in ((f"only in {path.name}", comparison.only_before), ("only in this replay", comparison.only_now)):
        if count:
            table.add_row(escape(text), str(count), "")
    console = Console(highlight=False)
    headline = f"against {path}: {len(comparison.changes)} of {compared} frames changed"
    console.print(headline, soft_wrap=True, markup=False)
    print_table(table)
    if before.runs > 1:
        console.print(f"{path} holds {before.runs} runs: for each frame the last one counts", soft_wrap=True)


def _endpoint(publish: str | None) -> str | None:
    if publish is not None:
        try:
            ZmqConfig(bind=publish)
        except ValidationError as error:
            raise UserError(f"--publish: {error.errors()[0]['ctx']['error']}") from None
    return publish
