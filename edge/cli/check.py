"""``edge check`` checks everything that can be known before the line starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from edge.cli._bars import build_bar
from edge.cli._console import text_console
from edge.cli._either_way import IS_CONFIG
from edge.cli._golden import GoldenPictures, golden_as_json, show_golden
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._options import BitsOption, SetOption, declared_bits
from edge.cli._tables import print_table
from edge.config.bundle import load_bundle
from edge.config.load import Loaded, load_config
from edge.engines.protocol import Engine
from edge.errors import ExitCode, UserError
from edge.line.drift_watch import DriftWatch
from edge.line.open_watch import open_baseline, open_watched
from edge.models.golden import run_golden
from edge.models.golden_drift import GoldenMeter
from edge.regions.criteria import Criteria, check_calibration_is_there
from edge.service.logs import set_up_logs
from edge.sources.open import check_source
from edge.storage.disk import why_unwritable


def check(
    config: Annotated[Path, typer.Argument(help="The line's YAML file.", show_default=False), IS_CONFIG],
    golden: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also inspect known frames: all of DIR/good must pass, all of DIR/bad fail."),
    ] = None,
    overlays: Annotated[bool, typer.Option("--overlays", help="With --golden: draw the frames judged wrongly.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of these pictures. Default: ./golden-TIME.")
    ] = None,
    bits: BitsOption = None,
    as_json: JsonOption = False,
    overrides: SetOption = None,
) -> None:
    """Validate a config, its model, its calibration and its ROI without starting anything.

    What is missing is listed in the order in which to make it. Exit codes: 0 it can run, 2 it can't, 1 golden frames were
    judged wrongly or not all of them were judged.
    """
    if golden is None and (overlays or out is not None):
        raise UserError("--overlays, --out: are for --golden alone", fix="leave them out, or name a folder: --golden DIR")
    try:
        loaded, (engine, criteria, watch) = _opened(config, overrides or ())
    except UserError as error:
        if as_json:
            print_json({"can_run": False, "missing": [str(one) for one in getattr(error, "parts", (error,))]})
            raise typer.Exit(error.exit_code) from None
        raise
    answer: dict[str, Any] = {"can_run": True, "missing": [], **_facts(loaded, engine, criteria, watch), "golden": None}
    if golden is None:
        engine.close()
        print_json(answer) if as_json else _show(loaded, answer)
        return
    set_up_logs("info")
    drift = loaded.config.drift
    meter = None if drift is None else GoldenMeter(open_baseline(loaded, engine.bundle)[0], drift.limit)
    pictures = (
        GoldenPictures(out or Path(f"golden-{time.strftime('%Y%m%d-%H%M%S')}"), loaded, criteria) if overlays else None
    )
    try:
        result = run_golden(
            loaded,
            engine,
            criteria,
            golden,
            bits=declared_bits(bits, loaded.config.source),
            measure=meter or (lambda _: None),
            show=pictures or (lambda *_: None),
        )
    finally:
        engine.close()
    compared = None if meter is None else meter.compared()
    if as_json:
        answer["golden"] = golden_as_json(result) | {"drift": None if compared is None else compared.text}
        print_json(answer)
    else:
        _show(loaded, answer)
        show_golden(result, pictures)
        if compared is not None:
            console = text_console()
            console.print(compared.text, style="yellow" if compared.causes else "")
    if result.wrong:
        raise typer.Exit(ExitCode.NO)
    end_if_incomplete(result.left_out)


def _opened(config: Path, overrides: Sequence[str]) -> tuple[Loaded, tuple[Engine, Criteria, DriftWatch | None]]:
    loaded = load_config(config, overrides)
    check_parts(loaded)
    try:
        with build_bar() as tell:
            return loaded, open_watched(loaded, tell=tell)
    except UserError as error:
        raise loaded.located(error) from None


class SeveralMissingError(UserError):
    """Several things are missing before the line can start; ``parts`` has each in the order in which to make them."""

    def __init__(self, loaded: Loaded, parts: list[UserError]) -> None:
        lines = [f"{loaded.path}: {len(parts)} things are missing or wrong, in this order:"]
        for number, part in enumerate(parts, 1):
            first, *more = str(part).splitlines()
            lines += [f"{number}. {first}", *(f" {text}" for text in more)]
        super().__init__("\n".join(lines))
        self.parts = parts


def check_parts(loaded: Loaded) -> None:
    """Check what a line needs one by one: source, folders, model, calibration.

    Raises:
        UserError: one of them is missing.
        SeveralMissingError: several are.
    """
    found: list[UserError] = []
    config = loaded.resolved
    steps: tuple[Callable[[], object], ...] = (
        lambda: check_source(loaded.config.source, loaded.path.parent),
        lambda: _check_folders(loaded),
        lambda: load_bundle(config.model.bundle),
        lambda: check_calibration_is_there(config, loaded.path),
    )
    for step in steps:
        try:
            step()
        except UserError as error:
            found.append(loaded.located(error))
    if found:
        raise found[0] if len(found) == 1 else SeveralMissingError(loaded, found)


def _check_folders(loaded: Loaded) -> None:
    for name, section in loaded.config.outputs.sections.items():
        why = section.disk and why_unwritable(loaded.resolve(section.disk.dir))
        if why and why.startswith("this user"):  # the daemon's may: no reason to call the config wrong
            note = f"note: outputs.{name}.dir: {why}; the daemon's user must: try sudo -u edge edge check"
            text_console(stderr=True).print(note)
        elif why:
            raise UserError(f"outputs.{name}.dir: cannot be written: {why}", fix="choose another folder")


def _facts(loaded: Loaded, engine: Engine, criteria: Criteria, watch: DriftWatch | None) -> dict[str, Any]:
    """Return what will run, for programs."""
    config, spec = loaded.config, engine.bundle.spec
    return {
        "camera": config.camera,
        "source": config.source.kind,
        "model": {
            "name": spec.name,
            "size": spec.input.size,
            "channels": spec.input.channels,
            "sha256": engine.bundle.sha256,
        },
        "engine": {
            "name": engine.name,
            "precision": engine.precision,
            "threads": config.model.threads,
            "why": engine.why,
        },
        "threshold": {
            "high": criteria.high,
            "low": criteria.low,
            "from": "config" if criteria.calibration_sha256 is None else "calibration",
            "overrides_calibration": criteria.overridden,
        },
        "deadline_ms": config.deadline_ms,
        "drift": None if watch is None else watch.what,
        "outputs": list(config.outputs.sections),
        "config_sha256": loaded.sha256,
    }


def _show(loaded: Loaded, facts: Mapping[str, Any]) -> None:
    table = Table(title=f"{loaded.path}: can run; camera and ports were not asked", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    model, engine, threshold = facts["model"], facts["engine"], facts["threshold"]
    low = "none" if threshold["low"] is None else f"{threshold['low']:.6g}"
    size = model["size"] if isinstance(model["size"], str) else "x".join(map(str, model["size"]))
    rows = {
        "camera": facts["camera"],
        "source": facts["source"],
        "model": f"{model['name']}, {size}, {model['channels']} channel(s), sha256 {model['sha256'][:12]}",
        "engine": f"{engine['name']}, {engine['precision']}, {engine['threads']} thread(s); {engine['why']}",
        "threshold": f"high {threshold['high']:.6g}, low {low}"
        + (", explicit" if threshold["from"] == "config" else ", calibrated")
        + ("; overrides the calibration file" if threshold["overrides_calibration"] else ""),
        "deadline": "none" if facts["deadline_ms"] is None else f"{facts['deadline_ms']:g} ms",
        "drift": facts["drift"] or "off",
        "outputs": ", ".join(facts["outputs"]) or "none",
        "config sha256": facts["config_sha256"],
    }
    for key, value in rows.items():
        table.add_row(key, value)
    print_table(table)
