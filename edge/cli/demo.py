"""``edge demo`` shows the main job on the simulated camera, with a live table."""

from __future__ import annotations

import shutil
import time
from collections import deque
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge import demo as job
from edge.errors import UserError
from edge.line.line import Line
from edge.line.supervise import StageHealth

OVERLAYS_NAMED = 3


def demo(
    seconds: Annotated[float, typer.Option(min=1, help="Length of the live part, in s.")] = 20.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written; made anew.")] = Path(
        "edge-demo"
    ),
) -> None:
    """Record good frames of the simulated camera, fit a model on them, then inspect live while the part alternates."""
    console = Console()
    job.check_free(out)
    _make_anew(out)
    structlog.configure(processors=[_drop])  # the table is the demo's voice; the daemon's own log would tear it
    camera = job.camera_installed()
    if camera:
        console.print("the simulated camera of the genicam package: a ball on a white scene, size 1 good, size 30 a defect")
    else:
        console.print("the simulated camera is not installed: pip install 'edge-inspect\\[camera]'")
        console.print("the synthetic source takes its place")
    loaded = job.prepare_demo(out, lambda text: console.print(f"- {text}"), camera=camera)
    watched: list[Line] = []
    rate = _Rate()
    with Live(console=console, refresh_per_second=4, transient=False) as live:

        def each_turn(line: Line, health: StageHealth) -> None:
            if not watched:
                watched.append(line)
            live.update(_table(line, health, rate))

        code = job.inspect_live(loaded, seconds, each_turn)
    _finish(console, out, watched[0] if watched else None)
    raise typer.Exit(code)


def _make_anew(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / job.CONFIG).exists():
            raise UserError(f"--out {out}: not empty, and not a demo's folder", fix="name another folder")
        shutil.rmtree(out)
    elif out.exists():
        out.rmdir()


class _Rate:
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


def _table(line: Line, health: StageHealth, rate: _Rate) -> Table:
    tally, source = line.tally, line.source.status()
    table = Table(title=f"camera {line.config.camera}", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(min_width=46)
    lost = ", ".join(f"{reason} {count}" for reason, count in tally.skipped_frames.items()) or "none"
    verdicts = tally.verdicts
    p50, p99 = tally.percentile_ms(0.5), tally.percentile_ms(0.99)
    table.add_row("source", f"{source.state}, {rate(tally.accounted):.1f} frames/s")
    table.add_row(
        "verdicts",
        f"[green]pass {verdicts['pass']}[/]   [red]fail {verdicts['fail']}[/]   [yellow]invalid {verdicts['invalid']}[/]",
    )
    table.add_row("latency", "-" if p50 is None or p99 is None else f"p50 {p50:.1f} ms   p99 {p99:.1f} ms")
    table.add_row("losses", lost)
    table.add_row("ring", f"{line.ring.fill} of {line.ring.slots} slots in use")
    table.add_row("progress", f"{health.progress_age_s * 1e3:.0f} ms ago")
    return table


def _finish(console: Console, out: Path, line: Line | None) -> None:
    console.print()
    if line is not None:
        announced, accounted = line.source.status().announced, line.tally.accounted
        console.print(f"{announced} frames announced by the source, {accounted} accounted for in records")
    for path in sorted((out / "log").glob("*.jsonl")):
        console.print(f"records:  {path}", soft_wrap=True)
    overlays = sorted((out / "evidence" / "overlays").glob("*"))
    for path in overlays[:: max(1, len(overlays) // OVERLAYS_NAMED)][:OVERLAYS_NAMED]:
        console.print(f"overlay:  {path}", soft_wrap=True)
    console.print(f"again:    edge run -c {out / job.CONFIG}", soft_wrap=True)


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent
