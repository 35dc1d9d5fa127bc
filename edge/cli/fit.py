"""``edge fit``: the built-in model from a folder of good frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track

from edge.cli.build import parse_size
from edge.frames import Frame, Skip
from edge.models.fit import FLOOR, fit_to_bundle
from edge.sources.recorded import count_frames, read_frames


def fit(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Good frames: pictures, a recording or a video.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write.")],
    name: Annotated[
        str | None, typer.Option(help="What records call the model. Default: the bundle folder's name.")
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="W,H", help="Picture that the model sees, in px.")] = None,
    max_side: Annotated[int, typer.Option(min=16, help="Without --size: larger frames shrink to this longer side.")] = 1024,
    floor: Annotated[float, typer.Option(help="Grey levels of deviation allowed everywhere.")] = FLOOR,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Fit the built-in model: mean and deviation of each pixel over good frames."""
    console = Console(highlight=False)
    bundle = fit_to_bundle(
        _progress(folder, console),
        out,
        name=name,
        size=parse_size(size),
        max_side=max_side,
        floor=floor,
        source=str(folder),
        force=force,
    )
    made = bundle.spec.provenance
    width, height = bundle.spec.resize.size or (0, 0)
    kind = "grey" if bundle.spec.input.channels == 1 else "RGB"
    console.print(f"fitted on {made['frames']} frames, {width}x{height} {kind}")
    if made["frames_of_another_size"]:
        console.print(
            f"[yellow]note:[/yellow] {made['frames_of_another_size']} of another size than the first were resized"
        )
    for ref in made["unreadable"]:
        console.print(f"[yellow]skipped:[/yellow] {ref} cannot be read")
    console.print(f"wrote {bundle.folder}, model {bundle.sha256[:12]}")


def _progress(folder: Path, console: Console) -> Iterator[Frame | Skip]:
    """The frames, with a bar on a terminal. A generator: nothing is read before the first is asked for."""
    yield from track(
        read_frames(folder),
        "reading",
        count_frames(folder),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
