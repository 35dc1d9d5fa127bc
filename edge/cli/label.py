"""``edge label``: a person's word on each frame of a set, by keys, or imported from other tools."""

from __future__ import annotations

import getpass
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from edge.cli._console import text_console
from edge.cli._labelling import by_keys, word_of
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, read_set
from edge.models.sets.imports.open import import_labels
from edge.models.sets.open import open_set


def label(
    path: Annotated[Path, typer.Argument(metavar="SET", help="A set that edge gather or edge split made.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--import", metavar="FILE", help="Labels of other tools: CSV, MVTec folders, COCO, Label Studio's JSON."
        ),
    ] = None,
    partly: Annotated[bool, typer.Option("--partly", help="Import what fits, pass over labels of other frames.")] = False,
    who: Annotated[str | None, typer.Option(help="Whose word it is. Default: the user's name.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also frames that have this person's word already.")] = False,
    disputed: Annotated[
        bool, typer.Option("--disputed", help="Only frames whose labels disagree; the word given here decides.")
    ] = False,
    as_kind: Annotated[
        str | None, typer.Option("--as", metavar="good|KIND", help="Without keys: give all --frames this label.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--frames", metavar="FILE", help="Frames that --as labels. Repeatable.")
    ] = None,
) -> None:
    """Say which frames are good and which show a defect: by keys, for a list of frames, or from another tool's file."""
    frames, person = open_set(path), who or _user()
    if frames.manifest is None:
        add_labels(frames, ())  # says how to make it a set
    if labels is not None:
        _import(frames, labels, person, partly=partly)
    elif as_kind is not None or files:
        if as_kind is None or not files:
            raise UserError("--as and --frames go together", received=f"--as {as_kind}, {len(files or ())} --frames")
        add_labels(frames, [word_of(file, as_kind, person, decides=disputed) for file in files])
    else:
        by_keys(frames, chosen(frames, person, every=every, disputed=disputed), person, decides=disputed)
    _summary(path, frames)


def chosen(frames: FrameSet, person: str, *, every: bool, disputed: bool) -> list[SetFrame]:
    """The frames that are asked for: those without this person's word, all, or those that labels disagree on."""
    if disputed:
        return [frame for frame in frames.frames if frame.label == "disputed"]
    return [frame for frame in frames.frames if every or all(vote.by != person for vote in frame.votes)]


def _import(frames: FrameSet, labels: Path, person: str, *, partly: bool) -> None:
    result = import_labels(frames, labels, person, partly=partly)
    console = text_console()
    console.print(f"{result.taken} labels from {labels}, {result.masks} with a mask")
    if result.unknown:
        names = ", ".join(result.unknown[:3]) + (" ..." if len(result.unknown) > 3 else "")
        console.print(f"note: {len(result.unknown)} are of no frame of the set: {names}")


def _summary(path: Path, frames: FrameSet) -> None:
    assert frames.manifest is not None
    counts = Counter(frame.kind for frame in read_set(frames.manifest).frames)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    text_console().print(f"{path}: {counted}")
    if counts["disputed"]:
        text_console().print(f"where labels disagree, decide: edge label {path} --disputed")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
