"""``edge check`` checks everything that can be known before the line starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.cli._bars import build_bar
from edge.cli._either_way import IS_CONFIG
from edge.cli._incomplete import end_if_incomplete
from edge.cli._options import BitsOption, SetOption, declared_bits
from edge.cli._tables import print_table
from edge.config.load import Loaded, load_config
from edge.engines.protocol import Engine
from edge.errors import ExitCode, UserError
from edge.line.drift_watch import DriftWatch
from edge.line.open_watch import open_baseline, open_watched
from edge.models.golden import Golden, run_golden
from edge.models.golden_drift import GoldenMeter
from edge.regions.criteria import Criteria
from edge.service.logs import set_up_logs
from edge.sources.open import check_source
from edge.storage.disk import why_unwritable


def check(
    config: Annotated[Path, typer.Argument(help="The line's YAML file.", show_default=False), IS_CONFIG],
    golden: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also inspect known frames: all of DIR/good must pass, all of DIR/bad fail."),
    ] = None,
    bits: BitsOption = None,
    overrides: SetOption = None,
) -> None:
    """Validate a config, its model, its calibration and its ROI without starting anything.

    Exit codes: 0 it can run, 2 it can't, 1 golden frames were judged wrongly or not all of them were judged.
    """
    loaded = load_config(config, overrides or ())
    try:
        check_source(loaded.config.source, loaded.path.parent)
        _check_folders(loaded)
        with build_bar() as tell:
            engine, criteria, watch = open_watched(loaded, tell=tell)
    except UserError as error:
        raise loaded.located(error) from None
    try:
        if golden is None:
            _show(loaded, engine, criteria, watch)
            return
        set_up_logs("info")
        meter = _golden_meter(loaded, engine)
        result = run_golden(
            loaded,
            engine,
            criteria,
            golden,
            bits=declared_bits(bits, loaded.config.source),
            measure=meter or (lambda _: None),
        )
    finally:
        engine.close()
    _show(loaded, engine, criteria, watch)
    _show_golden(result)
    drift = None if meter is None else meter.compared()
    if drift is not None:
        Console(highlight=False).print(drift.text, style="yellow" if drift.causes else "", soft_wrap=True, markup=False)
    if result.wrong:
        raise typer.Exit(ExitCode.NO)
    end_if_incomplete(result.left_out)


def _check_folders(loaded: Loaded) -> None:
    for name, section in loaded.config.outputs.sections.items():
        why = section.disk and why_unwritable(loaded.resolve(section.disk.dir))
        if why and why.startswith("this user"):  # the daemon's may: no reason to call the config wrong
            note = f"note: outputs.{name}.dir: {why}; the daemon's user must: try sudo -u edge edge check"
            Console(stderr=True).print(note, soft_wrap=True, markup=False, highlight=False)
        elif why:
            raise UserError(f"outputs.{name}.dir: cannot be written: {why}", fix="choose another folder")


def _golden_meter(loaded: Loaded, engine: Engine) -> GoldenMeter | None:
    """What measures the good frames against the calibration's; None where the line has no drift."""
    drift = loaded.config.drift
    return None if drift is None else GoldenMeter(open_baseline(loaded, engine.bundle)[0], drift.limit)


def _show(loaded: Loaded, engine: Engine, criteria: Criteria, watch: DriftWatch | None) -> None:
    config, spec = loaded.config, engine.bundle.spec
    table = Table(title=f"{loaded.path}: can run; camera and ports were not asked", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    low = "none" if criteria.low is None else f"{criteria.low:.6g}"
    size = spec.input.size if isinstance(spec.input.size, str) else "x".join(map(str, spec.input.size))
    rows = {
        "camera": config.camera,
        "source": config.source.kind,
        "model": f"{spec.name}, {size}, {spec.input.channels} channel(s), sha256 {engine.bundle.sha256[:12]}",
        "engine": f"{engine.name}, {engine.precision}, {config.model.threads} thread(s); {engine.why}",
        "threshold": f"high {criteria.high:.6g}, low {low}"
        + (", explicit" if criteria.calibration_sha256 is None else ", calibrated")
        + ("; overrides the calibration file" if criteria.overridden else ""),
        "deadline": "none" if config.deadline_ms is None else f"{config.deadline_ms:g} ms",
        "drift": "off" if watch is None else watch.what,
        "outputs": ", ".join(config.outputs.sections) or "none",
        "config sha256": loaded.sha256,
    }
    for key, value in rows.items():
        table.add_row(key, value)
    print_table(table)


def _show_golden(result: Golden) -> None:
    console = Console(highlight=False)
    for verdict, count in (("pass", result.good), ("fail", result.bad)):
        right = count - sum(j.expected == verdict for j in result.wrong)
        console.print(f"{'good' if verdict == 'pass' else 'bad'} frames: {right} of {count} {verdict}")
    if result.kept is not None:
        console.print(f"kept in {os.path.normpath(result.kept)}", soft_wrap=True, markup=False)
    if not result.wrong:
        return
    table = Table(title="judged wrongly", title_justify="left")
    numbers = ("map max", "smoothed", "high")
    for column in ("frame", "expected", "verdict", *numbers, "why"):
        table.add_column(column, overflow="fold", justify="right" if column in numbers else "left")
    for judgement in result.wrong:
        verdict = judgement.found + (f": {judgement.reason}" if judgement.reason else "")
        highest = "" if judgement.map_max is None else f"{judgement.map_max:.4g}"
        smoothed, high = ("", "") if judgement.compared is None else (f"{value:.4g}" for value in judgement.compared)
        table.add_row(escape(judgement.name), judgement.expected, verdict, highest, smoothed, high, judgement.why)
    print_table(table)
