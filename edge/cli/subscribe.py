"""``edge subscribe`` shows people what a daemon publishes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from edge.cli._console import text_console
from edge.cli._either_way import IS_CONFIG
from edge.cli._options import SetOption
from edge.client import (
    Event,
    Gap,
    Received,
    Refused,
    Restart,
    Resumed,
    Simulated,
    Stale,
    Subscriber,
    UnknownSchema,
    Unreadable,
)
from edge.errors import ExitCode
from edge.service.find_line import find_endpoint, find_keys
from edge.wire.schema import RECORD_KINDS

VERDICT_COLOURS = {"pass": "green", "fail": "bold red", "invalid": "bold yellow"}


def subscribe(
    endpoint: Annotated[
        str,
        typer.Argument(
            help="tcp://HOST:PORT, ipc://PATH, a line's config (.yaml), or a daemon's runtime folder or endpoints.json."
        ),
        IS_CONFIG,
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, messages as they came.")] = False,
    camera: Annotated[str | None, typer.Option(help="Show this camera only.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this many seconds.")] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after this many records.")] = None,
    key: Annotated[
        Path | None, typer.Option(help="Your own secret key (.key_secret), for a daemon with CURVE keys.")
    ] = None,
    server_key: Annotated[
        Path | None, typer.Option(help="The daemon's public key (.key); not needed where ENDPOINT is a line's config.")
    ] = None,
    overrides: SetOption = None,
) -> None:
    """Print the records that a daemon publishes, and report missed records, restarts and silence.

    Exit codes: 0, or 1 when --seconds ended before --count records had come.
    """
    show = _show_json if as_json else _show_text(text_console())
    end = time.monotonic() + seconds if seconds is not None else float("inf")
    seen = 0
    try:
        keys = find_keys(endpoint, key, server_key, overrides or ())
        with Subscriber(find_endpoint(endpoint, overrides or ()), camera, keys=keys) as line:
            while (count is None or seen < count) and (left := end - time.monotonic()) > 0:
                event = line.receive(min(left, 1.0))
                if event is None:
                    continue
                show(event)
                seen += isinstance(event, Received) and event.kind in RECORD_KINDS
    except BrokenPipeError:  # | head; and the interpreter flushes stdout once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        pass
    if count is not None and seen < count and time.monotonic() >= end:
        raise typer.Exit(ExitCode.NO)


def _show_json(event: Event) -> None:
    if isinstance(event, Received):
        if event.kind == "heartbeat":
            return
        line = event.raw
    else:
        name = "unknown_schema" if isinstance(event, UnknownSchema) else type(event).__name__.lower()
        line = orjson.dumps({"kind": name, **asdict(event)})
    sys.stdout.write(line.decode() + "\n")
    sys.stdout.flush()


def _show_text(console: Console) -> Callable[[Event], None]:
    def show(event: Event) -> None:
        try:
            text = event_text(event)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, OSError) as error:
            text = Text(f"a record that cannot be shown: {type(error).__name__}: {error}", "bold magenta")
        if text is not None:
            console.print(text)

    return show


def event_text(event: Event) -> Text | None:
    """Return one line about an event for a person; None for heartbeats."""
    if isinstance(event, Received):
        if event.kind == "heartbeat":
            return None
        if event.kind == "state":
            return _state(event.message)
        return _record(event.message)
    clock = f"{datetime.now(timezone.utc).astimezone():%H:%M:%S.%f}"[:-3]
    return Text(f"{clock}  {_event(event)}", "bold magenta")


def _event(event: Gap | Restart | Simulated | Stale | Resumed | UnknownSchema | Unreadable | Refused) -> str:
    if isinstance(event, Gap):
        count = event.last - event.first + 1
        return f"{event.camera}  gap: {count} record{'s' * (count > 1)} missed, seq {event.first} to {event.last}"
    if isinstance(event, Restart):
        return f"{event.camera}  restart: run {event.before[:8]} ended, run {event.now[:8]} began"
    if isinstance(event, Simulated):
        return f"{event.camera}  simulated: these records are not of a camera now"
    if isinstance(event, Stale):
        return f"{event.camera or 'nothing heard yet'}  no heartbeat for {event.silent_s:.1f} s"
    if isinstance(event, Resumed):
        return f"{event.camera}  heartbeat again after {event.silent_s:.1f} s"
    if isinstance(event, UnknownSchema):
        return f"{event.camera}  schema {event.major} is unknown to this version: its messages are not shown"
    if isinstance(event, Refused):
        return f"not let in: {event.text}"
    return f"{event.topic}  unreadable: {event.text}"


def _record(record: dict[str, Any]) -> Text:
    text = _begin(record)
    text.append(f"  #{record['seq']}  ")
    text.append(f"{record['verdict'].upper():7}", VERDICT_COLOURS[record["verdict"]])
    if record["reason"] is not None:
        text.append(f"  {record['reason']}", "yellow")
    if record["kind"] == "skip":
        first, last = record["frame_id_first"], record["frame_id_last"]
        frames = "" if first is None else f", id {first}" + (f" to {last}" if last != first else "")
        text.append(f"  {record['count']} frame{'s' * (record['count'] > 1)} lost{frames}")
        return text
    regions = record["regions"]
    if regions:
        biggest = max(regions, key=lambda r: r["area_px"])
        x0, y0, x1, y1 = biggest["bbox_xyxy"]
        text.append(f"  {len(regions)} region{'s' * (len(regions) > 1)}, biggest {x1 - x0}x{y1 - y0} at {x0},{y0}")
    if record["map_max"] is not None:
        text.append(f"  map max {record['map_max']:.4g}, high {record['threshold']:.4g}")
        if record["verdict"] == "pass" and record["map_max"] >= record["threshold"]:
            dropped = ", ".join(f"{count} by {key}" for key, count in record["regions_dropped"].items())
            text.append(f" ({f'dropped: {dropped}' if dropped else _why_no_candidate(record)})")
    return text.append(f"  {record['latency_ms']['total']:.1f} ms", "dim")


def _why_no_candidate(record: dict[str, Any]) -> str:
    smoothed = record.get("smoothed_max")  # records of older daemons have none
    if smoothed is not None and smoothed < record["threshold"]:
        return f"smoothed to {smoothed:.4g}"
    return "smoothed, opened away, or below its zone's threshold"


def _state(state: dict[str, Any]) -> Text:
    text = _begin(state)
    text.append(f"  {state['line_state']}, source {state['source_state']}", "cyan")
    for fault in state["faults"]:
        text.append(f"  {fault['code']}: {fault['text']}", "red")
    return text


def _begin(message: dict[str, Any]) -> Text:
    local = datetime.fromtimestamp(message["created_ns"] / 1e9, timezone.utc).astimezone()
    text = Text(f"{local:%H:%M:%S.%f}"[:-3], "dim")
    return text.append(f"  {message['camera']}", "not dim")
