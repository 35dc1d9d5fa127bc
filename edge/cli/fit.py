"""``edge fit`` fits the built-in model to a folder of good frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.cli._bars import tracked
from edge.cli._declared import IlluminationOption, illumination_of
from edge.cli._good_frames import KeepOption, LeaveOutOption, outliers_choice, show_notes
from edge.cli._incomplete import end_if_incomplete
from edge.cli._options import BitsOption, checked_bits
from edge.cli.build import parse_size
from edge.cli.bundle import light_and_tile_rows
from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.models.fit.pixel import FLOOR, fit_to_bundle, shrunk
from edge.models.frame_survey import Survey, outliers_text, surveyed
from edge.models.good_frames import GoodFrames, good_frames
from edge.models.write import check_target


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
    leave_out: LeaveOutOption = False,
    keep: KeepOption = False,
    bits: BitsOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing bundle.")] = False,
) -> None:
    """Fit the built-in model: mean and deviation of each pixel over good frames."""
    console = Console(highlight=False)
    check_target(out, force=force)
    asked = parse_size(size)
    choice = outliers_choice(leave_out=leave_out, keep=keep)
    good, survey = _looked_at(
        console, good_frames(folder, checked_bits(bits)), str(folder), choice, sized=asked is not None
    )
    bundle = fit_to_bundle(
        _Progress(good, "fitting"),
        out,
        name=name,
        size=asked or (shrunk(survey.size, max_side) if survey.cropped else None),
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
    for ref in made["unreadable"]:
        console.print(f"[yellow]skipped:[/yellow] {ref} cannot be read")
    console.print(f"wrote {bundle.folder}, model {bundle.sha256[:12]}")
    end_if_incomplete(good.lacks)


def _looked_at(console: Console, good: GoodFrames, source: str, choice: str, *, sized: bool) -> tuple[GoodFrames, Survey]:
    """Look at all frames, print what is strange about them, and return the ones to fit on.

    Raises:
        UserError: frames are of several kinds, or some are unlike the others and no option says what to do with them.
    """
    show_notes(console, good.notes)
    survey = surveyed(_Progress(good, "looking"))
    survey.check(source, sized=sized, mend=", or say to which size all are brought: --size WIDTH,HEIGHT")
    show_notes(console, survey.notes())
    outliers = survey.outliers()
    if outliers and choice == "refuse":
        raise UserError(
            f"{source}: some good frames are unlike the others",
            received=outliers_text(outliers, survey.frames),
            expected="good frames alone: the model learns a defect among them as if it were good",
            fix="look at them, then say --leave-out-outliers, or --keep-outliers if they are good",
        )
    if outliers:
        show_notes(
            console, [f"{'left out' if choice == 'leave_out' else 'kept'}: {outliers_text(outliers, survey.frames)}"]
        )
    return (good.leave_out([o.name for o in outliers]) if choice == "leave_out" else good), survey


@dataclass(frozen=True, slots=True)
class _Progress:
    """Yield the frames each time that they are gone through, with a bar on a terminal. Nothing is read before the first
    one.
    """

    frames: GoodFrames
    label: str

    def __iter__(self) -> Iterator[Frame | Skip]:
        yield from tracked(iter(self.frames), self.label, self.frames.count())
