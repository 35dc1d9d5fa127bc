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
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.cli._console import layout_console, text_console
from edge.cli._tables import print_table
from edge.cli.subscribe import VERDICT_COLOURS
from edge.client import Subscriber
from edge.config.load import load_config
from edge.errors import ExitCode, UserError
from edge.line.recent import RECENT_S
from edge.report.moments import clock_time
from edge.service.find_line import find_keys
from edge.service.fleet import Fleet, Row
from edge.service.instances import Instance, forget, instances
from edge.service.runtime_folder import INSTANCE

SETTLE_S = 1.2
"""Wait of two heartbeats: with ``--once`` a rate needs both."""
DRIFT_STYLES = {"info": "dim not bold", "warn": "yellow not bold", "lock": "bold red"}
_WELL = ("Ready", "ContinuousExecution")
_STATES = {
    "ContinuousExecution": "running",
    "Ready": "waits for trigger",
    "Preoperational": "starting",
    "Error": "error",
    "Halted": "stopping",
}
"""What people read for OPC 40100-1's names, which JSON has."""
_USUAL = {("ContinuousExecution", "streaming"), ("Ready", "waiting_for_trigger")}
"""States of the source that say nothing beside the line's."""


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
    forget_gone: Annotated[bool, typer.Option("--forget", help="Forget the daemons that don't run any more.")] = False,
) -> None:
    """Show every daemon of this machine: its state, verdicts, rate, losses and faults, live until Ctrl-C.

    Exit codes: 0; with --once or --json 1 where one is not running, not ready or has a fault.
    """
    for folder in folders or ():
        if not (folder / INSTANCE).is_file():
            raise UserError(f"{folder}: no daemon has run here", expected="a daemon's runtime folder, its runtime_dir")
    if forget_gone:
        _forget(folders or ())
        return
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
            elif rows:
                print_table(table(rows))
            else:
                print("no daemon has run here")
            if any(not well(row) for row in rows):
                raise typer.Exit(ExitCode.NO)
            return
        with Live(table(rows), console=layout_console(), refresh_per_second=4, screen=sys.stdout.isatty()) as live:
            while end is None or time.monotonic() < end:
                time.sleep(0.25)
                live.update(table(watched.look()))
    except KeyboardInterrupt:
        pass
    finally:
        watched.close()


def _forget(folders: Sequence[Path]) -> None:
    try:
        gone = forget(folders)
    except OSError as error:
        raise UserError(
            f"{error.filename}: cannot be forgotten: {error.strerror}", fix="sudo edge fleet --forget"
        ) from None
    names = ", ".join(f"{one.camera} ({one.folder})" for one in gone)
    text_console().print(f"forgotten: {names or 'none, all run'}")


def well(row: Row) -> bool:
    """Return True if the daemon inspects or waits for a trigger and nothing is wrong, or if it ended in peace."""
    return row.ended_ns is not None or (row.state in _WELL and not row.text)


def as_dict(row: Row) -> dict[str, object]:
    """Return a daemon's row as plain data, for scripts."""
    return {
        "camera": row.instance.camera,
        "pid": row.instance.pid,
        "state": row.state,
        "source": row.source,
        **{name: row.counts.get(name) for name in ("pass", "fail", "invalid")},
        "lost": row.lost,
        "fail_share": None if row.fail_share is None else round(row.fail_share, 4),
        "recent_s": row.recent_s,
        "per_minute": None if row.per_minute is None else round(row.per_minute, 1),
        "p50_ms": row.p50_ms,
        "ring_fill": row.ring_fill,
        "last": row.last,
        "simulated": row.simulated,
        "drift": row.drift,
        "edge_version": row.edge_version,
        "ended_ns": row.ended_ns,
        "faults": row.text,
        "folder": str(row.instance.folder),
    }


def table(rows: Sequence[Row]) -> Group:
    """Make one row per daemon, and list below what is wrong. Folders tell daemons of the same camera name apart."""
    names = Counter(row.instance.camera for row in rows)
    title = f"{len(rows)} daemon{'s' * (len(rows) != 1)}"
    made = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False, title=title, title_justify="left")
    for name, least in (("camera", 6), ("state", 17), ("last", 4)):
        made.add_column(name, min_width=least, overflow="fold")
    for name in ("pass", "fail", "invalid", "lost", "fails\n5 min", "per\nmin", "p50\nms"):
        made.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        counts = [str(row.counts[name]) if row.counts else "" for name in ("pass", "fail", "invalid")]
        made.add_row(
            row.instance.camera
            + ("\nsimulated" if row.simulated else "")
            + (f"\n{row.instance.folder}" if names[row.instance.camera] > 1 else ""),
            _state(row),
            Text(row.last or "", VERDICT_COLOURS.get(row.last or "", "")),
            *counts,
            Text(str(row.lost) if row.counts else "", "bold yellow" if row.lost else ""),
            _fails(row),
            "" if row.per_minute is None else f"{row.per_minute:.0f}",
            "" if row.p50_ms is None else f"{row.p50_ms:.1f}",
            style="dim" if row.ended_ns is not None else "",
        )
    return Group(made, "", *(line for row in rows for line in _lines(row)))


def _state(row: Row) -> Text:
    """What the daemon does, for an operator; below it what its source and its drift are."""
    if row.ended_ns is not None:
        return Text(f"stopped {clock_time(row.ended_ns, in_utc=False)[11:16]}", "dim not bold")
    state = Text(_STATES.get(row.state, row.state), "green" if row.state in _WELL else "bold red")
    if row.source and (row.state, row.source) not in _USUAL:
        state.append(f"\n{row.source}", "dim not bold")
    if row.drift is not None:  # here, because at 80 columns there is no room for one more
        state.append(f"\ndrift: {row.drift.get('cause')}", DRIFT_STYLES.get(str(row.drift.get("level")), "not bold"))
    return state


def _fails(row: Row) -> str:
    """The share of fails, and over which time where that isn't five minutes yet."""
    if row.fail_share is None:
        return ""
    return f"{row.fail_share:.1%}" + (f"\nin {row.recent_s} s" if row.recent_s < RECENT_S - 1 else "")


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
