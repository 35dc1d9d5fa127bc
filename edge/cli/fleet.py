"""``edge fleet`` shows every daemon of this machine in one table."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.cli._tables import width_of_pipe
from edge.cli.subscribe import VERDICT_COLOURS
from edge.client import Subscriber
from edge.config.load import load_config
from edge.errors import ExitCode, UserError
from edge.service.find_line import find_keys
from edge.service.fleet import Fleet, Row
from edge.service.instances import Instance, instances
from edge.service.runtime_folder import INSTANCE

SETTLE_S = 1.2
"""Wait of two heartbeats: with ``--once`` a rate needs both."""
DRIFT_STYLES = {"info": "dim not bold", "warn": "yellow not bold", "lock": "bold red"}
_WELL = ("Ready", "ContinuousExecution")


def fleet(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="More runtime folders, for configs with a runtime_dir of their own.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the table once.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per daemon, once.")] = False,
    key: Annotated[
        Path | None,
        typer.Option(help="Your secret key (.key_secret), for daemons with CURVE keys.", show_default=False),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this many seconds.")] = None,
) -> None:
    """Show every daemon of this machine: its state, verdicts, rate, losses and faults, live until Ctrl-C.

    Exit codes: 0; with --once or --json 1 where one is not running, not ready or has a fault.
    """
    for folder in folders or ():
        if not (folder / INSTANCE).is_file():
            raise UserError(f"{folder}: no daemon has run here", expected="a daemon's runtime folder, its runtime_dir")
    watched = Fleet(lambda: instances(folders or ()), partial(_open, key))
    end = None if seconds is None else time.monotonic() + seconds
    try:
        rows = watched.look()
        if once or as_json:
            if rows:
                time.sleep(SETTLE_S)
            rows = watched.look()
            if as_json:
                for row in rows:
                    sys.stdout.write(orjson.dumps(as_dict(row)).decode() + "\n")
            else:
                Console(highlight=False, width=width_of_pipe()).print(table(rows) if rows else "no daemon has run here")
            if any(not well(row) for row in rows):
                raise typer.Exit(ExitCode.NO)
            return
        with Live(table(rows), refresh_per_second=4, screen=sys.stdout.isatty()) as live:
            while end is None or time.monotonic() < end:
                time.sleep(0.25)
                live.update(table(watched.look()))
    except KeyboardInterrupt:
        pass
    finally:
        watched.close()


def well(row: Row) -> bool:
    """Return True if the daemon inspects or waits for a trigger, and nothing is wrong."""
    return row.state in _WELL and not row.text


def as_dict(row: Row) -> dict[str, object]:
    """Return a daemon's row as plain data, for scripts."""
    return {
        "camera": row.instance.camera,
        "pid": row.instance.pid,
        "state": row.state,
        "source": row.source,
        **{name: row.counts.get(name) for name in ("pass", "fail", "invalid")},
        "lost": row.lost,
        "per_minute": None if row.per_minute is None else round(row.per_minute, 1),
        "p50_ms": row.p50_ms,
        "ring_fill": row.ring_fill,
        "last": row.last,
        "simulated": row.simulated,
        "drift": row.drift,
        "faults": row.text,
        "folder": str(row.instance.folder),
    }


def table(rows: Sequence[Row]) -> Group:
    """Make one row per daemon, and list below what is wrong. Folders tell daemons of the same camera name apart."""
    names = Counter(row.instance.camera for row in rows)
    title = f"{len(rows)} daemon{'s' * (len(rows) != 1)}"
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=title, title_justify="left")
    for name, least in (("camera", 6), ("state", 19), ("last", 4)):
        made.add_column(name, min_width=least, overflow="fold")
    for name in ("pass", "fail", "invalid", "lost", "per min", "p50 ms", "ring"):
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        state = Text(row.state, "green" if row.state in _WELL else "bold red")
        if row.source:
            state.append(f"\n{row.source}", "dim not bold")
        if row.drift is not None:  # here, because at 80 columns there is no room for one more
            state.append(f"\ndrift: {row.drift.get('cause')}", DRIFT_STYLES.get(str(row.drift.get("level")), "not bold"))
        counts = [str(row.counts[name]) if row.counts else "" for name in ("pass", "fail", "invalid")]
        made.add_row(
            row.instance.camera
            + ("\nsimulated" if row.simulated else "")
            + (f"\n{row.instance.folder}" if names[row.instance.camera] > 1 else ""),
            state,
            Text(row.last or "", VERDICT_COLOURS.get(row.last or "", "")),
            *counts,
            Text(str(row.lost) if row.counts else "", "bold yellow" if row.lost else ""),
            "" if row.per_minute is None else f"{row.per_minute:.0f}",
            "" if row.p50_ms is None else f"{row.p50_ms:.1f}",
            "" if row.ring_fill is None else str(row.ring_fill),
        )
    return Group(made, *(line for row in rows for line in _lines(row)))


def _lines(row: Row) -> Iterator[Text]:
    """What is said below the table about one daemon."""
    if row.text:
        yield Text(f"{row.instance.camera}: {row.text}", "red")
    if row.drift is not None and row.drift.get("level") != "info":
        yield Text(f"{row.instance.camera}: drift: {row.drift.get('words')}", "yellow")


def _open(key: Path | None, instance: Instance) -> Subscriber:
    curve = None
    if key is not None and instance.config is not None:
        zmq = load_config(instance.config, instance.overrides).config.outputs.zmq
        curve = zmq and zmq.curve
    keys = find_keys(str(instance.config), key, None) if curve else None
    return Subscriber(instance.endpoints["zmq"], instance.camera, keys=keys, keep_s=0)
