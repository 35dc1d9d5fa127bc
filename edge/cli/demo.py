"""``edge demo`` shows the main job on the simulated camera, with a live table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console
from rich.live import Live

from edge import demo as job
from edge.cli._console import layout_console, text_console
from edge.cli._live_table import FrameRate, live_table
from edge.errors import UserError
from edge.line.line import Line
from edge.line.supervise import StageHealth

OVERLAYS_NAMED = 3


def demo(
    seconds: Annotated[
        float | None,
        typer.Option(min=1, help="Length of the live part, in s. Default: 20; an hour with --page.", show_default=False),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything that is written; made anew.")] = Path(
        "edge-demo"
    ),
    page: Annotated[bool, typer.Option("--page", help="Also serve `edge web` on this line, and print its link.")] = False,
) -> None:
    """Record good frames of the simulated camera, fit a model on them, then inspect live while the part alternates."""
    console = text_console()
    job.check_free(out)
    _make_anew(out)
    structlog.configure(processors=[_drop])  # the table is the demo's voice; the daemon's own log would tear it
    camera = job.camera_installed()
    if camera:
        console.print("the simulated camera of the genicam package: a ball on a white scene, size 1 good, size 30 a defect")
    else:
        console.print("the simulated camera is not installed: pip install 'edge-inspect[camera]'")
        console.print("the synthetic source takes its place")
    loaded = job.prepare_demo(out, lambda text: console.print(f"- {text}"), camera=camera)
    watched: list[Line] = []
    rate = FrameRate()
    length_s = seconds or (3600.0 if page else 20.0)
    with _page(console, out) if page else nullcontext(), Live(console=layout_console(), refresh_per_second=4) as live:

        def each_turn(line: Line, health: StageHealth) -> None:
            if not watched:
                watched.append(line)
            live.update(live_table(line, health, rate))

        code = job.inspect_live(loaded, length_s, each_turn)
    _finish(console, out, watched[0] if watched else None)
    raise typer.Exit(code)


@contextmanager
def _page(console: Console, out: Path) -> Iterator[None]:
    """Serve the page of this demo in a process of its own, on any free port; print the link that lets one person in."""
    path = out / "web.yaml"
    path.write_text("bind: 127.0.0.1:0\ndir: page\n", "utf-8")
    command = [sys.executable, "-m", "edge", "web", "-c", str(path)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        for line in server.stderr:
            console.print(line.strip())
            if "/enter?" in line:
                break
        yield
    finally:
        server.terminate()
        server.communicate()


def _make_anew(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / job.CONFIG).exists():
            raise UserError(f"--out {out}: not empty, and not a demo's folder", fix="name another folder")
        shutil.rmtree(out)
    elif out.exists():
        out.rmdir()


def _finish(console: Console, out: Path, line: Line | None) -> None:
    console.print()
    if line is not None:
        announced, accounted = line.source.status().announced, line.tally.accounted
        console.print(f"{announced} frames announced by the source, {accounted} accounted for in records")
    for path in sorted((out / "log").glob("*.jsonl")):
        console.print(f"records:  {path}")
    overlays = sorted((out / "evidence" / "overlays").glob("*"))
    for path in overlays[:: max(1, len(overlays) // OVERLAYS_NAMED)][:OVERLAYS_NAMED]:
        console.print(f"overlay:  {path}")
    console.print(f"again:    edge run -c {out / job.CONFIG}")


def _drop(*_: object) -> structlog.typing.EventDict:
    raise structlog.DropEvent
