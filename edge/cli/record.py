"""``edge record`` writes frames of any source to a folder that ``edge replay`` reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edge.cli._bars import progress_bar
from edge.cli._console import say, text_console
from edge.cli._incomplete import end_if_incomplete
from edge.cli._json import JsonOption, print_json
from edge.cli._leave import stop_on_signals
from edge.cli._options import ConfigOption, SetOption
from edge.config.load import load_config
from edge.errors import ExitCode, UserError
from edge.line import record as recorder
from edge.sources.open import open_source


def record(
    config: ConfigOption,
    frames: Annotated[int, typer.Option(min=1, help="How many frames to record.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the recording; must not hold one yet.")],
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record frames from the config's source, losslessly. The model is not needed."""
    loaded = load_config(config, overrides or ())
    source = open_source(loaded.config.source, loaded.config.camera, loaded.path.parent)
    stop = stop_on_signals()
    try:
        with progress_bar("record") as step:
            written, lost = recorder.record(
                loaded,
                source,
                out,
                frames,
                drops=loaded.config.source.paced,
                stop=stop,
                progress=lambda count: step(count, frames),
            )
    except UserError as error:
        raise loaded.located(error) from None
    if as_json:
        print_json({"recording": out, "frames": written, "lost": lost, "interrupted": stop.is_set()})
    elif written or lost:
        text_console().print(f"{written} frames recorded in {out}; {lost} lost on the way")
    if not (written or lost):
        say(f"{out}: not kept, for no frame came", stderr=True)
    if stop.is_set():
        print(f"interrupted after {written} of {frames} frames", file=sys.stderr)
        raise typer.Exit(ExitCode.INTERRUPTED)
    end_if_incomplete([f"{written} of {frames} frames recorded: the source ended" if written < frames else ""])
