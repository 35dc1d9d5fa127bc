"""``edge fit``: the built-in model from a folder of good frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.cli._bars import tracked
from edge.cli._declared import IlluminationOption, illumination_of
from edge.cli.build import parse_size
from edge.cli.bundle import light_and_tile_rows
from edge.frames import Frame, Skip
from edge.models.fit.pixel import FLOOR, fit_to_bundle
from edge.storage.frames_on_disk import count_frames, read_frames


def fit(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Good frames: pictures, a recording or a video.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="The bundle to write.")],
    name: Annotated[
        str | None, typer.Option(help="What records call the model. Default: the bundle folder's name.")
    ] = None,
    size: Annotated[str | None, typer.Option(metavar="W,H", help="Picture that the model sees, in px.")] = None,
    max_side: Annotated[int, typer.Option(min=16, help="Without --size: larger frames shrink to this longer side.")] = 1024,
    floor: Annotated[float, typer.Option(help="Grey levels of deviation allowed everywhere.")] = FLOOR,
    illumination: IlluminationOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Fit the built-in model: mean and deviation of each pixel over good frames."""
    console = Console(highlight=False)
    bundle = fit_to_bundle(
        _Progress(folder),
        out,
        name=name,
        size=parse_size(size),
        max_side=max_side,
        floor=floor,
        illumination=illumination_of(illumination),
        source=str(folder),
        force=force,
    )
    made = bundle.spec.provenance
    width, height = bundle.spec.resize.size or (0, 0)
    kind = "grey" if bundle.spec.input.channels == 1 else "RGB"
    console.print(f"fitted on {made['frames']} frames, {width}x{height} {kind}")
    for what, text in light_and_tile_rows(bundle.spec):
        console.print(f"{what}: {text}", soft_wrap=True)
    if made["frames_of_another_size"]:
        console.print(
            f"[yellow]note:[/yellow] {made['frames_of_another_size']} of another size than the first were resized"
        )
    for ref in made["unreadable"]:
        console.print(f"[yellow]skipped:[/yellow] {ref} cannot be read")
    console.print(f"wrote {bundle.folder}, model {bundle.sha256[:12]}")


@dataclass(frozen=True, slots=True)
class _Progress:
    """The folder's frames, as often as it is gone through, with a bar on a terminal. Nothing is read before the first."""

    folder: Path

    def __iter__(self) -> Iterator[Frame | Skip]:
        yield from tracked(read_frames(self.folder), "reading", count_frames(self.folder))
