"""What the commands on sets share: options that tell parts apart, reading with a bar, and naming what can't be read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from edge.cli._bars import progress_bar
from edge.cli._console import labelled, text_console
from edge.cli._incomplete import end_if_incomplete
from edge.errors import UserError
from edge.models.sets.frame_set import FrameSet, SetFrame, hashed
from edge.models.sets.metadata import described, parse_gap
from edge.models.sets.open import open_set

ByOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="EXPRESSION",
        help="Tells frames apart: a regular expression with named groups, such as 'cam(?P<camera>\\d)_(?P<part>\\d+)'; "
        "TABLE.csv with a column file; manifest; recording; content: by what pictures show; frame: each is a part.",
    ),
]
PartGapOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--part-gap",
        metavar="[NAME:]NUMBER",
        help="Frames whose numbers follow each other by less show one part: n:500 for the group or tag n.",
    ),
]
_NAMED = 5


def described_set(path: Path, by: str | None, part_gap: str | None) -> FrameSet:
    """The set of ``path`` with the parts and tags that the two options give."""
    gap = parse_gap(part_gap)
    if by != "content":
        return described(open_set(path), by, gap)
    from edge.models.audit.by_content import parts_by_content

    if gap is not None:
        raise UserError(
            "--part-gap", received=part_gap, expected="nothing beside --by content, which finds parts by itself"
        )
    source, unreadable = open_set(path), list[tuple[str, str]]()
    with progress_bar(f"looking at {path}", transient=True) as step:
        found = parts_by_content(
            source, lambda frame, why: unreadable.append((frame.file, why)), lambda done: step(done, len(source))
        )
    tell_unreadable(path, unreadable)
    return found


def hashed_set(frames: FrameSet) -> FrameSet:
    """Every frame with its hash, under a bar; those that can't be read are named on stderr and left out.

    Raises:
        UserError: no frame can be read.
    """
    unreadable: list[tuple[SetFrame, str]] = []
    with progress_bar(f"reading {frames.path}", transient=True) as step:
        whole = hashed(frames, lambda frame, why: unreadable.append((frame, why)), lambda done: step(done, len(frames)))
    whole = without_unreadable(whole, [(frame.file, why) for frame, why in unreadable])
    if not len(whole):
        raise UserError(f"{frames.path}: no frame can be read", received=f"{len(frames)} damaged pictures")
    return whole


def without_unreadable(frames: FrameSet, unreadable: Sequence[tuple[str, str]]) -> FrameSet:
    """Name the first few on stderr; the set says from then on that it lacks them."""
    tell_unreadable(frames.path, unreadable)
    return frames.lacking(len(unreadable))


def end_if_lacking(*sets: FrameSet) -> None:
    """Say what was left out of these sets. Raises ``typer.Exit(1)`` if anything was."""
    end_if_incomplete(text for one in sets for text in one.lacks)


def tell_unreadable(path: Path, unreadable: Sequence[tuple[str, str]]) -> None:
    """Name the first few on stderr, and count all."""
    if not unreadable:
        return
    console = text_console(stderr=True)
    console.print(labelled("note:", "yellow", f"{len(unreadable)} pictures of {path} can't be read and are left out"))
    for file, why in unreadable[:_NAMED]:
        console.print(f"  {file}: {why}")
    if len(unreadable) > _NAMED:
        console.print(f"  and {len(unreadable) - _NAMED} more")


def set_named(text: str) -> tuple[str, Path]:
    """``NAME=SET`` as name and path; a path alone is named after its last part."""
    name, equals, path = text.partition("=")
    if not equals or Path(text).exists():
        name, path = "", text
    return name or Path(path).absolute().name, Path(path)


def chosen_by_tags(frames: FrameSet, letter: str, only: Sequence[str]) -> FrameSet:
    """The frames that have one of the values, ``TAG=V,W``, of each rule; a rule of the other set, ``B:TAG=V``, is passed
    over. ``label=good`` and ``kind=crack`` go by what people said.

    Raises:
        UserError: a rule that can't be read, a tag that no frame has, or no frame left.
    """
    for rule in only:
        whose, colon, rest = rule.partition(":")
        if colon and whose in ("A", "B"):
            if whose != letter:
                continue
        else:
            rest = rule
        tag, equals, values = rest.partition("=")
        if not equals or not tag or not values:
            raise UserError("--only", received=rule, expected="TAG=VALUE,VALUE, or A:TAG=VALUE for one of the sets")
        wanted = values.split(",")
        found = {frame.file: _tag(frame, tag) for frame in frames.frames}
        kept = [frame for frame in frames.frames if found[frame.file] in wanted]
        if not kept:
            known = sorted({value for value in found.values() if value is not None})
            raise UserError(
                f"--only: no frame of {frames.path} has {tag} {values}",
                received=rule,
                expected=f"one of {', '.join(known[:12])}" if known else f"a tag; the set has no {tag}: --by tells tags",
            )
        frames = frames.with_frames(kept)
    return frames


def _tag(frame: SetFrame, tag: str) -> str | None:
    return {"label": frame.label, "kind": frame.kind, "side": frame.side}.get(tag, frame.tags.get(tag))
