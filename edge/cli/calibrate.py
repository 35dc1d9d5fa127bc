"""``edge calibrate`` measures the threshold on good frames."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edge.cli._bars import build_bar, spread_bar
from edge.cli._console import labelled, text_console
from edge.cli._drift_reference import calibrate_drift
from edge.cli._good_frames import KeepOption, LeaveOutOption, outliers_choice, show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._options import BitsOption, ClusterOption, ConfigOption, SetOption, declared_bits
from edge.cli._tables import print_table
from edge.config.calibrated_text import calibrated_text, lines_to_paste
from edge.config.calibration import Calibration
from edge.config.load import Loaded, load_config, parse_config
from edge.errors import UserError
from edge.models.calibrate.measure import measure
from edge.models.calibrate.outliers import calibration_outlier_folder, write_outliers
from edge.models.calibrate.spread_measure import SpreadRun
from edge.models.calibrate.thresholds import DISPLAY, CalibrationResult, Candidate, OutlierError
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import good_frames
from edge.storage.calibration_file import save_calibration
from edge.storage.disk import write_whole


def calibrate(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Good frames: a folder of pictures, a video or a recording."),
    ],
    config: ConfigOption,
    false_rejects: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="Share of good frames that may be rejected.")
    ] = 0.001,
    quantile: Annotated[
        float, typer.Option(min=0.5, max=0.999999, help="Quantile of good pixels where regions end (low).")
    ] = 0.999,
    leave_out: LeaveOutOption = False,
    keep: KeepOption = False,
    seen_before: Annotated[
        bool, typer.Option("--seen-before", help="Measure on frames that the model was fitted on all the same.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The calibration file. Default: the config's `calibration`.")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Let the config use it: its `calibration` and `regions.threshold`.")
    ] = False,
    drift: Annotated[
        bool,
        typer.Option(
            "--drift", help="Learn what is usual on the line, for the section drift, from one or several recordings of it."
        ),
    ] = False,
    every: Annotated[
        int | None,
        typer.Option(min=1, help="With --drift: frames to each one measured. Default: so that 4,000 are, or drift.every."),
    ] = None,
    signatures: Annotated[
        int | None,
        typer.Option(min=1, help="With --drift: disturbed frames to learn causes from. Default: 4,500, fewer if large."),
    ] = None,
    bits: BitsOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes. Default: one for each core, where there are frames enough.")
    ] = None,
    cluster: ClusterOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep finished shards beside the file, and go on from those that are there.")
    ] = False,
    as_json: JsonOption = False,
    overrides: SetOption = None,
) -> None:
    """Measure the line's model on good frames and write its thresholds into the calibration file.

    With --drift: learn what is usual on the running line, and what changes of it would look like, and add that to the file.
    """
    loaded = load_config(config, overrides or ())
    if out is None and write and loaded.config.calibration is None:
        out = config.with_name(f"{loaded.config.camera}.calibration.yaml")
    if out is None:
        if loaded.config.calibration is None:
            raise UserError(
                f"{config}: names no calibration file",
                fix=f"add 'calibration: {loaded.config.camera}.calibration.yaml' to it, or give --out FILE or --write",
            )
        out = loaded.resolve(loaded.config.calibration)
    if drift:
        calibrate_drift(loaded, sources, out, every=every, signatures=signatures, bits=bits, workers=workers)
        return
    source = _only(sources, every, signatures)
    console = text_console()
    good = good_frames(source, declared_bits(bits, loaded.config.source), side="calibrate")
    show_notes(text_console(stderr=True) if as_json else console, good.notes)
    parts = out.with_name(f"{out.name}.parts")

    try:
        with build_bar() as tell, spread_bar() as bar:
            calibration, result = measure(
                loaded.resolved,
                lambda: iter(good),
                source=str(source),
                false_rejects=false_rejects,
                quantile=quantile,
                outliers=outliers_choice(leave_out=leave_out, keep=keep),
                seen_before=seen_before,
                tell=tell,
                run=SpreadRun(FrameSequence.of(good).absolute(), workers, cluster, parts if resume else None, bar),
            )
    except OutlierError as error:
        pictures = write_outliers(loaded.resolved, good, error.result, calibration_outlier_folder(out))
        _show(console, error.result, pictures)
        raise loaded.located(error) from None
    except UserError as error:
        raise loaded.located(error) from None
    calibration = _with_drift(calibration, out)
    save_calibration(calibration, out)
    if resume:
        shutil.rmtree(parts, ignore_errors=True)
    pictures = write_outliers(loaded.resolved, good, result, calibration_outlier_folder(out))
    if as_json:
        used = _let_config_use_it(None, loaded, out, write=write)
        print_json({**_as_json(calibration, result, pictures), "file": out, "config_uses_it": used})
    else:
        _show(console, result, pictures)
        _show_calibration(console, calibration, out)
        _let_config_use_it(console, loaded, out, write=write)
    end_if_incomplete(good.lacks)


def _as_json(calibration: Calibration, result: CalibrationResult, pictures: Sequence[Path]) -> dict[str, Any]:
    """Return what was measured, for programs."""
    outliers = [
        {"frame": outlier.name, "maximum": outlier.maximum, "z": outlier.z, "picture": picture}
        for outlier, picture in zip(result.outliers, pictures, strict=True)
    ]
    return {
        "high": calibration.high,
        "low": calibration.low,
        "score_high": calibration.score_high,
        "frames": calibration.frames,
        "left_out": calibration.left_out,
        "outliers": outliers,
        "candidates": [{"threshold": row.threshold, "rejected": row.rejected} for row in result.table],
        "note": calibration.note,
    }


def _show_calibration(console: Console, calibration: Calibration, out: Path) -> None:
    low = "off" if calibration.low is None else f"{calibration.low:.6g}"
    measured_on = f"{calibration.frames} frame{'s' * (calibration.frames != 1)}"
    score = "" if calibration.score_high is None else f", score.high {calibration.score_high:.6g}"
    console.print(f"high {calibration.high:.6g}, low {low}{score}, from {measured_on}")
    if calibration.note:
        console.print(labelled("note:", "yellow", calibration.note))
    console.print(f"wrote {out}")


def _let_config_use_it(console: Console | None, loaded: Loaded, out: Path, *, write: bool) -> bool:
    """Write what makes the config use the calibration, or print it to be pasted; True if the config uses it now."""
    config, whole = loaded.config, Path(os.path.abspath(out))
    if config.regions.threshold == "calibrated" and config.calibration and loaded.resolve(config.calibration) == whole:
        return True
    folder = loaded.path.absolute().parent
    name = str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)
    if not write:
        if console is not None:
            sentence = f"to use it, in {loaded.path}, or with --write:\n{lines_to_paste(name)}"
            console.print(sentence)
        return False
    plain = load_config(loaded.path)
    changes = {"calibration": Path(name), "regions": plain.config.regions.model_copy(update={"threshold": "calibrated"})}
    text = calibrated_text(plain.text, name)
    try:
        same = parse_config(text, loaded.path) == plain.config.model_copy(update=changes)
    except UserError:
        same = False
    if not same:
        raise UserError(
            f"{loaded.path}: written in a way that --write can't change",
            fix=f"paste these lines into it:\n{lines_to_paste(name)}",
        )
    write_whole(loaded.path, text.encode(), mode=loaded.path.stat().st_mode & 0o777)
    if console is not None:
        console.print(f"{loaded.path} uses it now")
    return True


def _only(sources: Sequence[Path], every: int | None, signatures: int | None) -> Path:
    if every is not None or signatures is not None:
        raise UserError("--every, --signatures: are for --drift alone", fix="leave them out, or give --drift, too")
    if len(sources) > 1:
        raise UserError(
            "thresholds are measured on one source",
            received=", ".join(str(source) for source in sources),
            fix="put the pictures into one folder, or give --drift to learn what is usual on several recordings",
        )
    return sources[0]


def _with_drift(calibration: Calibration, out: Path) -> Calibration:
    """The drift reference of the file that is replaced is kept where it is of the same model."""
    try:
        old = Calibration.load(out).drift if out.exists() else None
    except UserError:
        return calibration
    if old is None or old.model_sha256 != calibration.key.model_sha256:
        return calibration
    return calibration.model_copy(update={"drift": old})


def _show_candidates(title: str, candidates: Sequence[Candidate], high: float, frames: int) -> None:
    table = Table(title=title, title_justify="left")
    for column in ("", "threshold", "good frames rejected", "share", "what"):
        table.add_column(column, justify="right" if column in ("threshold", "good frames rejected", "share") else "left")
    for candidate in candidates:
        threshold = "just above 0" if 0 < candidate.threshold < 1e-30 else f"{candidate.threshold:.5g}"
        chosen, share = candidate.threshold == high, f"{candidate.rejected / frames:.1%}"
        cells = (
            "->" if chosen else "",
            threshold,
            f"{candidate.rejected} of {frames}",
            share,
            _what(candidate, chosen=chosen),
        )
        table.add_row(*cells, style="bold" if chosen else "")
    print_table(table)


def _what(candidate: Candidate, *, chosen: bool) -> str:
    """Say what a candidate is; most are just the next good frame's value."""
    if chosen:
        return "chosen"
    return "the bundle's own, which its maker set" if candidate.why == DISPLAY else ""


def _show(console: Console, result: CalibrationResult, pictures: Sequence[Path]) -> None:
    _show_candidates("candidates for high", result.table, result.high, result.frames)
    score = result.score
    if score is not None:
        _show_candidates("candidates for score.high", score.table, score.high, score.frames)
        for outlier in score.outliers:
            left = " (left out)" if outlier.name in score.left_out else ""
            text = f"{outlier.name}: {outlier.maximum:.6g}, {outlier.z:.0f} times the usual spread{left}"
            console.print(labelled("outlier of the score:", "yellow", text))
    for outlier, picture in zip(result.outliers, pictures, strict=True):
        left = " (left out)" if outlier.name in result.left_out else ""
        text = f"{outlier.name}: maximum {outlier.maximum:.6g}, {outlier.z:.0f} times the usual spread{left}; {picture}"
        console.print(labelled("outlier:", "yellow", text))
