"""``edge label``: a person's word on each frame of a set, by keys, or imported from other tools."""

from __future__ import annotations

import getpass
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.cli._frame_in_terminal import drawn, keys
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame, add_labels, read_set, why_unreadable
from edge.models.sets.imports.open import import_labels
from edge.models.sets.manifest import LabelLine, now
from edge.models.sets.open import open_set
from edge.preprocess.pixel_formats import to_depth
from edge.storage.pictures import PictureError

_HELP = "g good, d defect, 1-9 a kind, n a new kind, w withdraw, s skip, b back, q quit"
_MOST_KINDS = 9


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
        add_labels(frames, [line(file, as_kind, person, decides=disputed) for file in files])
    else:
        by_keys(frames, chosen(frames, person, every=every, disputed=disputed), person, decides=disputed)
    _summary(path, frames)


def line(file: str, word: str, person: str, *, decides: bool = False) -> LabelLine:
    """One word on a frame: ``good``, ``defect``, ``withdrawn``, or a kind of defect."""
    known = {"good": ("good", ()), "defect": ("defect", ()), "withdrawn": ("withdrawn", ())}
    name, kinds = known.get(word, ("defect", (word,)))
    return LabelLine.model_validate(
        {"file": file, "label": name, "defects": kinds, "by": person, "at": now(), "decides": decides}
    )


def chosen(frames: FrameSet, person: str, *, every: bool, disputed: bool) -> list[SetFrame]:
    """The frames that are asked for: those without this person's word, all, or those that labels disagree on."""
    if disputed:
        return [frame for frame in frames.frames if frame.label == "disputed"]
    return [frame for frame in frames.frames if every or all(vote.by != person for vote in frame.votes)]


def by_keys(frames: FrameSet, asked: Sequence[SetFrame], person: str, *, decides: bool) -> int:
    """Ask for each frame; every word is written at once. Returns how many words were given."""
    console = Console(highlight=False)
    if not asked:
        console.print("every frame has your word already" if not decides else "no labels disagree")
        return 0
    kinds = [kind for kind, _ in Counter(k for f in frames.frames for v in f.votes for k in v.defects).most_common()]
    given, at = 0, 0
    with keys() as read:
        while 0 <= at < len(asked):
            frame = asked[at]
            _show(console, frames, frame, f"{at + 1} of {len(asked)}", kinds)
            key = read()
            if key in ("q", "\x04"):
                break
            if key in ("b", "s"):
                at += -1 if key == "b" and at else key == "s"
                continue
            word = _word(key, kinds, console, read)
            if word is None:
                console.print(f"[yellow]{key!r} is no key here[/]: {_HELP}")
                continue
            add_labels(frames, [line(frame.file, word, person, decides=decides)])
            console.print(f"{frame.file}: {word}", markup=False)
            given += 1
            at += 1
    return given


def _word(key: str, kinds: list[str], console: Console, read: Callable[[], str]) -> str | None:
    fixed = {"g": "good", "d": "defect", "w": "withdrawn"}
    if key in fixed:
        return fixed[key]
    if key.isdecimal() and 1 <= int(key) <= min(len(kinds), _MOST_KINDS):
        return kinds[int(key) - 1]
    if key == "n":
        console.print("kind of defect: ", end="")
        kind = _typed(console, read)
        if kind and kind not in kinds:
            kinds.append(kind)
        return kind or None
    return None


def _typed(console: Console, read: Callable[[], str]) -> str:
    """A word up to Return; standard input may be in a mode that shows nothing of itself."""
    text = ""
    while (key := read()) not in ("\n", "\r", "", "q" if not text else "\n"):
        text = text[:-1] if key in ("\x7f", "\b") else text + key
        console.print(key, end="", markup=False)
    console.print()
    return text.strip()


def _show(console: Console, frames: FrameSet, frame: SetFrame, place: str, kinds: Sequence[str]) -> None:
    try:
        pixels = to_depth(frames.read(frame), 8).pixels
        if console.is_terminal:
            console.print(drawn(pixels, console.width - 2, max(6, console.height - 5)))  # type: ignore[arg-type]
    except (OSError, PictureError) as error:
        console.print(f"[yellow]{frame.file} can't be shown:[/] {why_unreadable(error)}")
    said = ", ".join(f"{vote.by} says {'+'.join(vote.defects) or vote.label}" for vote in frame.votes)
    numbered = "  ".join(f"{n} {kind}" for n, kind in enumerate(kinds[:_MOST_KINDS], 1))
    console.print(f"{place}: {frame.file}{f' ({said})' if said else ''}", markup=False)
    console.print(f"[dim]{_HELP}{f';  {numbered}' if numbered else ''}[/]")


def _import(frames: FrameSet, labels: Path, person: str, *, partly: bool) -> None:
    result = import_labels(frames, labels, person, partly=partly)
    console = Console(highlight=False)
    console.print(f"{result.taken} labels from {labels}, {result.masks} with a mask", soft_wrap=True, markup=False)
    if result.unknown:
        names = ", ".join(result.unknown[:3]) + (" ..." if len(result.unknown) > 3 else "")
        console.print(f"note: {len(result.unknown)} are of no frame of the set: {names}", soft_wrap=True, markup=False)


def _summary(path: Path, frames: FrameSet) -> None:
    assert frames.manifest is not None
    counts = Counter(frame.kind for frame in read_set(frames.manifest).frames)
    told = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    Console(highlight=False).print(f"{path}: {told}", soft_wrap=True, markup=False)
    if counts["disputed"]:
        Console(highlight=False).print(
            f"where labels disagree, decide: edge label {path} --disputed", soft_wrap=True, markup=False
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "somebody"
