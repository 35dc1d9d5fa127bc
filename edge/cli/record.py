"""``edge record``: frames of any source to a folder that ``edge replay`` reads."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from edge import record as recorder
from edge.cli.options import ConfigOption, SetOption
from edge.configfile import load_config
from edge.daemon import is_live
from edge.sources import open_source


def record(
    config: ConfigOption,
    frames: Annotated[int, typer.Option(min=1, help="How many frames to record.")],
    out: Annotated[Path, typer.Option(help="Folder of the recording; must not hold one yet.")],
    overrides: SetOption = None,
) -> None:
    """Record frames of the config's source, losslessly. The model is not needed."""
    loaded = load_config(config, overrides or ())
    source = open_source(loaded.config.source, loaded.config.camera, loaded.path.parent)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    bar = Progress(console=Console(stderr=True))
    task = bar.add_task("record", total=frames)

    def progress(count: int) -> None:
        bar.start()  # not before the first frame: an error stands alone
        bar.update(task, completed=count)

    try:
        written, lost = recorder.record(
            loaded, source, out, frames, drops=is_live(loaded.config.source), stop=stop, progress=progress
        )
    finally:
        bar.stop()
    Console().print(f"{written} frames recorded in {out}; {lost} lost on the way", soft_wrap=True)
    if stop.is_set():
        print(f"interrupted after {written} of {frames} frames", file=sys.stderr)
        raise typer.Exit(130)
