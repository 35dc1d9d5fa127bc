"""``edge check``: everything that can be known before the line starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from edge.cli.options import SetOption
from edge.configfile import Loaded, load_config
from edge.daemon import open_model
from edge.engines import Engine
from edge.rules import Rules


def check(
    config: Annotated[Path, typer.Argument(help="The line's YAML file.", show_default=False)],
    overrides: SetOption = None,
) -> None:
    """Validate a config, its model, its calibration and its ROI without starting anything. Exit code 2 if it can't run."""
    loaded = load_config(config, overrides or ())
    engine, rules = open_model(loaded)
    _show(loaded, engine, rules)
    engine.close()


def _show(loaded: Loaded, engine: Engine, rules: Rules) -> None:
    config, spec = loaded.config, engine.bundle.spec
    table = Table(title=f"{loaded.path}: can run", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    low = "none" if rules.low is None else f"{rules.low:.6g}"
    size = spec.input.size if isinstance(spec.input.size, str) else "x".join(map(str, spec.input.size))
    outputs = [name for name in ("zmq", "jsonl", "evidence") if getattr(config.outputs, name) is not None]
    rows = {
        "camera": config.camera,
        "source": config.source.kind,
        "model": f"{spec.name}, {size}, {spec.input.channels} channel(s), sha256 {engine.bundle.sha256[:12]}",
        "engine": f"{engine.name}, {engine.precision}, {config.model.threads} thread(s)",
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
