"""A running line in one table, for whoever sits before the terminal that it runs on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.cli._console import layout_console, text_console
from edge.line.line import Line
from edge.line.run import EachTurn
from edge.line.supervise import StageHealth

_COLOURS: Final = {"pass": "green", "fail": "red", "invalid": "yellow"}


class FrameRate:
    """Measure frames per second over the last two seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def __call__(self, count: int) -> float:
        now = time.monotonic()
        self._seen.append((now, count))
        while now - self._seen[0][0] > 2.0:
            self._seen.popleft()
        began, first = self._seen[0]
        return (count - first) / (now - began) if now > began else 0.0


def live_table(line: Line, health: StageHealth, rate: FrameRate) -> Table:
    """Show what a running line does now, and what is wrong."""
    tally, source = line.tally, line.source.status()
    table = Table(title=f"camera {line.config.camera}", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(min_width=46)
    lost = ", ".join(f"{reason} {count}" for reason, count in tally.skipped_frames.items()) or "none"
    verdicts = tally.verdicts
    p50, p99 = tally.percentile_ms(0.5), tally.percentile_ms(0.99)
    detail = f": {source.problem or source.detail}" if source.state not in ("streaming", "ended") else ""
    table.add_row("source", f"{source.state}{detail}, {rate(tally.accounted):.1f} frames/s")
    table.add_row(
        "verdicts",
        Text("   ").join(Text(f"{verdict} {verdicts[verdict]}", colour) for verdict, colour in _COLOURS.items()),
    )
    table.add_row("latency", "-" if p50 is None or p99 is None else f"p50 {p50:.1f} ms   p99 {p99:.1f} ms")
    table.add_row("losses", lost)
    table.add_row("ring", f"{line.ring.fill} of {line.ring.slots} slots in use")
    table.add_row("progress", f"{health.progress_age_s * 1e3:.0f} ms ago")
    for fault in line.faults:
        table.add_row(Text("fault", "red"), Text(f"{fault.code}: {fault.text}", "red"))
    return table


@contextmanager
def shown_live() -> Iterator[EachTurn]:
    """Give what shows a line at each turn, in a table that begins with the first; at the end a line sums up.

    From then on only errors are logged: lines between would tear the table, which shows all that they would say.
    """
    rate = FrameRate()
    live = Live(console=layout_console(), refresh_per_second=4)
    watched: list[Line] = []

    def each_turn(line: Line, health: StageHealth) -> None:
        if not watched:
            watched.append(line)
            structlog.configure(processors=[_only_errors, *structlog.get_config()["processors"]])
            live.start()
        live.update(live_table(line, health, rate))

    try:
        yield each_turn
    finally:
        if live.is_started:
            live.stop()
        if watched:
            tally, announced = watched[0].tally, watched[0].source.status().announced
            counts = ", ".join(f"{count} {verdict}" for verdict, count in tally.verdicts.items())
            lost = ", ".join(f"{count} {reason}" for reason, count in tally.skipped_frames.items()) or "none"
            sums = f"stopped: {announced} frames announced, {tally.accounted} accounted for: {counts}; lost {lost}"
            text_console().print(sums)


def _only_errors(_logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if method not in ("error", "critical"):
        raise structlog.DropEvent
    return event
