"""``edge check``: everything that can be known before the line starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.cli.options import SetOption
from edge.configfile import Loaded, load_config
from edge.daemon import open_model
from edge.engines import Engine
from edge.logs import set_up_logs
from edge.models.golden import Golden, run_golden
from edge.rules import Rules


def check(
    config: Annotated[Path, typer.Argument(help="The line's YAML file.", show_default=False)],
    golden: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also inspect known frames: all of DIR/good must pass, all of DIR/bad fail."),
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Validate a config, its model, its calibration and its ROI without starting anything.

    Exit codes: 0 it can run, 2 it can't, 1 golden frames were judged wrongly.
    """
    loaded = load_config(config, overrides or ())
    engine, rules = open_model(loaded)
    try:
        if golden is None:
            _show(loaded, engine, rules)
            return
        set_up_logs("info")
        result = run_golden(loaded, engine, rules, golden)
    finally:
        engine.close()
    _show(loaded, engine, rules)
    _show_golden(result, rules)
    if result.wrong:
        raise typer.Exit(1)


def _show(loaded: Loaded, engine: Engine, rules: Rules) -> None:
    config, spec = loaded.config, engine.bundle.spec
    table = Table(title=f"{loaded.path}: can run; camera and ports were not asked", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    low = "none" if rules.low is None else f"{rules.low:.6g}"
    size = spec.input.size if isinstance(spec.input.size, str) else "x".join(map(str, spec.input.size))
    outputs = [name for name in ("zmq", "jsonl", "evidence") if getattr(config.outputs, name) is not None]
    rows = {
        "camera": config.camera,
        "source": config.source.kind,
        "model": f"{spec.name}, {size}, {spec.input.channels} channel(s), sha256 {engine.bundle.sha256[:12]}",
        "engine": f"{engine.name}, {engine.precision}, {config.model.threads} thread(s); {engine.why}",
        "threshold": f"high {rules.high:.6g}, low {low}"
        + (", explicit" if rules.calibration_sha256 is None else ", calibrated")
        + ("; overrides the calibration file" if rules.overridden else ""),
        "deadline": "none" if config.deadline_ms is None else f"{config.deadline_ms:g} ms",
        "outputs": ", ".join(outputs) or "none",
        "config sha256": loaded.sha256,
    }
    for key, value in rows.items():
        table.add_row(key, value)
    Console().print(table)


def _show_golden(result: Golden, rules: Rules) -> None:
    console = Console(highlight=False)
    for verdict, count in (("pass", result.good), ("fail", result.bad)):
        right = count - sum(j.expected == verdict for j in result.wrong)
        console.print(f"{'good' if verdict == 'pass' else 'bad'} frames: {right} of {count} {verdict}")
    if not result.wrong:
        return
    table = Table(title="judged wrongly", title_justify="left")
    for column in ("frame", "expected", "verdict", "map max", "high", "dropped"):
        table.add_column(column, overflow="fold", justify="right" if column in ("map max", "high") else "left")
    for judgement in result.wrong:
        verdict = judgement.found + (f": {judgement.reason}" if judgement.reason else "")
        highest = "" if judgement.map_max is None else f"{judgement.map_max:.6g}"
        dropped = ", ".join(f"{key} {count}" for key, count in judgement.dropped.items())
        table.add_row(escape(judgement.name), judgement.expected, verdict, highest, f"{rules.high:.6g}", dropped)
    console.print(table)
