"""``edge replay`` runs recorded frames through the live code."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from edge.cli._bars import build_bar, progress_bar, words_column
from edge.cli._console import text_console
from edge.cli._good_frames import show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._leave import stop_on_signals
from edge.cli._options import BitsOption, ConfigOption, SetOption, declared_bits
from edge.cli._recalibrated import recalibrated
from edge.cli._replayed import Replayed
from edge.config.load import Loaded, load_config
from edge.config.outputs import ZmqConfig
from edge.errors import ExitCode, UserError
from edge.line.line import Line
from edge.line.replay import ReplayOptions
from edge.line.replay import replay as run_replay
from edge.line.stop_sign import StopFlag
from edge.line.supervise import StageHealth
from edge.models.sets.frame_labels import FrameLabels, frame_labels
from edge.outputs.replay_pictures import CHANGED, WantedPictures
from edge.report.colour_scale import read_ends
from edge.report.compare import Outcomes
from edge.sources.recorded import RecordedSource
from edge.storage.log_files import read_records

LARGEST_BATCH = 256


class Drawn(str, Enum):
    """These words say which frames are drawn."""

    PASS = "pass"  # noqa: S105  (a verdict)
    FAIL = "fail"
    INVALID = "invalid"
    CHANGED = CHANGED


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
    heatmap: Annotated[bool, typer.Option("--heatmap", help="Lay the map over the overlays; implies --overlays.")] = False,
    only: Annotated[
        list[Drawn] | None,
        typer.Option(help="Draw only frames with this verdict, or whose verdict changed. Repeatable."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most pictures of each kind.")] = None,
    png: Annotated[bool, typer.Option("--png", help="Write pictures lossless, ten times as large as JPEG.")] = False,
    ends: Annotated[
        str | None,
        typer.Option("--range", metavar="LOW,HIGH", help="Ends of the map's colours. Default: 0 to twice the threshold."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="OLD.jsonl", help="List the verdicts that changed since this log, and draw those frames."),
    ] = None,
    recalibrate: Annotated[
        Path | None,
        typer.Option(metavar="GOOD", help="Measure the thresholds anew on these good frames, for this replay alone."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for all that is written. Default: ./replay-TIME.")
    ] = None,
    publish: Annotated[str | None, typer.Option(metavar="ENDPOINT", help="Also publish the records here.")] = None,
    as_json: JsonOption = False,
    bits: BitsOption = None,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST_BATCH, help="Frames that go through the model in one run, where it takes several. For GPUs."
        ),
    ] = 1,
) -> None:
    """Inspect recorded frames with the live code; write records.jsonl under --out.

    Labels count: of folders as in MVTec AD or good/ and bad/, of a labels.csv, of a set. With another ROI, border,
    smoothing or zones than the calibration's, a replay warns and takes its thresholds all the same, or --recalibrate.
    """
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
    if frames.masks:
        show_notes(text_console(stderr=True), [f"not judged, for they are masks: {frames.masks}"])
    before = None if against is None else _outcomes(against)
    labels = _labels(source)
    if out is not None and out.resolve() == source.resolve():
        raise UserError(f"--out {out}: is the source itself", fix="name another folder")
    folder = out or Path(f"replay-{time.strftime('%Y%m%d-%H%M%S')}")
    pictures = WantedPictures(
        overlays=overlays or heatmap,
        masks=masks,
        explain=explain,
        before=before,
        heatmap=heatmap,
        only=frozenset(drawn.value for drawn in only or ()),
        limit=limit,
        png=png,
        range=None if ends is None else read_ends(ends),
    )
    _check_only(pictures, against)
    options = ReplayOptions(folder, pictures, _endpoint(publish), batch_size, warn=_warn)
    if recalibrate is not None:
        loaded, measured = recalibrated(loaded, recalibrate, folder, declared_bits(bits, loaded.config.source))
        show_notes(text_console(stderr=True), [measured])
    stop = stop_on_signals()
    code, line = _run(loaded, frames, options, stop)
    if stop.is_set():
        total = f" of {frames.total}" if frames.total is not None else ""
        print(f"interrupted after {line.tally.accounted}{total} frames", file=sys.stderr)
    done = Replayed(line, options.out, labels=labels, before=before, against=against)
    if as_json:
        print_json({**done.as_json(), "interrupted": stop.is_set(), "incomplete": list(_lacks(line, frames))})
    else:
        done.show()
    if code == ExitCode.OK and not stop.is_set():
        end_if_incomplete(_lacks(line, frames))
    raise typer.Exit(ExitCode.INTERRUPTED if stop.is_set() and code == ExitCode.OK else code)


def _run(loaded: Loaded, frames: RecordedSource, options: ReplayOptions, stop: StopFlag) -> tuple[ExitCode, Line]:
    """Replay under a bar."""
    left = words_column("left"), TimeRemainingColumn()
    with progress_bar("replay", words_column(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *left) as step:

        def each_turn(line: Line, _health: StageHealth) -> None:
            step(line.tally.accounted, frames.total)

        try:
            with build_bar() as tell:
                code, line = run_replay(loaded, frames, options, stop, each_turn, tell)
        except UserError as error:
            raise loaded.located(error) from None
        step(line.tally.accounted, frames.total)
    return code, line


def _warn(stale: str) -> None:
    """Say that thresholds and regions are not of one kind: ``edge run`` would refuse."""
    text = f"{stale}: its thresholds are taken all the same; --recalibrate GOOD_FRAMES measures new ones; edge run refuses"
    show_notes(text_console(stderr=True), [text])


def _check_only(pictures: WantedPictures, against: Path | None) -> None:
    """Refuse choices among pictures that nobody asked for."""
    chosen = {"--only": pictures.only, "--limit": pictures.limit, "--png": pictures.png}
    given = [option for option, value in chosen.items() if value]
    if given and not pictures.any:
        raise UserError(
            f"{given[0]}: no pictures were asked for",
            expected="with --overlays, --heatmap, --explain, --masks or --against",
        )
    if CHANGED in pictures.only and against is None:
        raise UserError("--only changed: changed since when?", expected="with --against OLD.jsonl")
    if pictures.range is not None and not (pictures.explain or pictures.heatmap):
        raise UserError("--range: no map is drawn", expected="with --explain or --heatmap")


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


def _labels(source: Path) -> FrameLabels | None:
    """Read what says which of the frames are good. What can't be read of it is said, and costs no replay."""
    try:
        return frame_labels(source)
    except UserError as error:
        show_notes(text_console(stderr=True), [f"labels are not counted: {error}"])
        return None


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
        text_console(stderr=True).print(f"{path}: {unreadable} line(s) that are no record are passed over")
    return before


def _endpoint(publish: str | None) -> str | None:
    if publish is not None:
        try:
            ZmqConfig(bind=publish)
        except ValidationError as error:
            raise UserError(f"--publish: {error.errors()[0]['ctx']['error']}") from None
    return publish
