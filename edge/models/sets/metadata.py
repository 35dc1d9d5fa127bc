"""What names and tables say about frames: lighting, camera, day, and which of them show one part (``--by``, ``--part-
gap``).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge.errors import UserError, first_few
from edge.models.sets.frame_set import FrameSet, SetFrame

PART: Final = "part"
NUMBER: Final = "n"
"""The group that counts frames, where ``--part-gap`` names none."""
_WORDS: Final = ("manifest", "recording", "frame")


@dataclass(frozen=True, slots=True)
class PartGap:
    """Frames whose numbers follow each other by less than ``least`` show one part; ``tag`` holds the numbers."""

    tag: str
    least: float


def described(frames: FrameSet, by: str | None, gap: PartGap | None = None) -> FrameSet:
    """The set with the tags and the parts that ``by`` gives.

    ``by``: a regular expression with named groups, searched in each file's name: each group is a tag, ``part`` the part.
    ``manifest`` or ``recording``: what the set itself says. ``frame``: every picture is a part of its own. A path that ends
    in ``.csv``: a table with a column ``file``, and others that become tags. None: as ``manifest``.

    Raises:
        UserError: an expression that is wrong, has no named group or doesn't match; a table that lacks a frame or its
        columns;
            a gap over a tag that isn't there or no number.
    """
    if by is None or by in ("manifest", "recording"):
        known = frames
        rule = frames.parts_by or by
    elif by == "frame":
        known, rule = frames.with_frames(replace(f, part=f.file) for f in frames.frames), "each picture"
    elif by.endswith(".csv"):
        known, rule = frames.with_frames(_from_table(frames.frames, Path(by))), by
    else:
        known, rule = frames.with_frames(_from_names(frames.frames, expression(by))), by
    if gap is not None:
        known = known.with_frames(by_gap(known.frames, gap))
        rule = f"{rule}, {gap.tag} closer than {gap.least:g}"
    if by in ("manifest", "recording") and gap is None and not any(f.part for f in known.frames):
        raise UserError(
            f"{frames.path}: nothing in the {by} says which part a frame shows",
            fix="give --by EXPRESSION, --by TABLE.csv or --part-gap; --by frame makes each picture a part of its own",
        )
    return replace(known, parts_by=rule)


def parse_gap(text: str | None) -> PartGap | None:
    """``500`` or ``n:500``: the tag and the least distance between numbers of two parts."""
    if text is None:
        return None
    tag, _, number = text.rpartition(":")
    try:
        least = float(number)
    except ValueError:
        least = 0.0
    if not least > 0:
        raise UserError("--part-gap", received=text, expected="a number above 0, or NAME:NUMBER: n:500")
    return PartGap(tag or NUMBER, least)


def expression(text: str) -> re.Pattern[str]:
    """A regular expression with at least one named group."""
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"--by: not a regular expression: {error}", received=text) from None
    if not pattern.groupindex:
        raise UserError(
            "--by: the expression has no named group, so it says nothing about a frame",
            received=text,
            expected=r"groups such as (?P<part>\d+), (?P<lighting>\w+) or (?P<n>\d+); or manifest, recording, frame, T.csv",
        )
    return pattern


def by_gap(frames: Sequence[SetFrame], gap: PartGap) -> list[SetFrame]:
    """Frames with their part: a new one begins where the sorted numbers leave a gap of at least ``gap.least``."""
    numbered: list[tuple[float, int]] = []
    for index, frame in enumerate(frames):
        text = frame.tags.get(gap.tag)
        try:
            numbered.append((float(text or ""), index))
        except ValueError:
            known = sorted({tag for f in frames for tag in f.tags}) or ["none"]
            raise UserError(
                f"--part-gap: {frame.file} has no number {gap.tag}",
                received=text,
                expected=f"a number; the tags are {', '.join(known)}",
                fix=rf"give --by with a group (?P<{gap.tag}>\d+), or name another tag: --part-gap TAG:{gap.least:g}",
            ) from None
    numbered.sort()
    result = list(frames)
    first, before = None, None
    for number, index in numbered:
        if before is None or number - before >= gap.least:
            first = number
        before = number
        result[index] = replace(result[index], part=f"{gap.tag} {first:g}")
    return result


def _from_names(frames: Sequence[SetFrame], pattern: re.Pattern[str]) -> list[SetFrame]:
    result, missed = [], []
    for frame in frames:
        match = pattern.search(frame.file)
        if match is None:
            missed.append(frame.file)
            continue
        groups = {name: value for name, value in match.groupdict().items() if value is not None}
        part = groups.pop(PART, frame.part)
        result.append(replace(frame, part=part, tags={**frame.tags, **groups}))
    if missed:
        raise UserError(
            f"--by: the expression doesn't match {len(missed)} of {len(frames)} frames",
            received=first_few(missed),
            expected=f"a match in each name; the expression is {pattern.pattern}",
        )
    return result


def _from_table(frames: Sequence[SetFrame], path: Path) -> list[SetFrame]:
    rows = read_table(path, ("file",))
    by_file = {row["file"]: row for row in rows}
    missing = [frame.file for frame in frames if frame.file not in by_file]
    if missing:
        raise UserError(
            f"{path}: has no row for {len(missing)} of {len(frames)} frames",
            received=first_few(missing),
            expected="in its column file the names as the set has them",
        )
    result = []
    for frame in frames:
        row = {key: value for key, value in by_file[frame.file].items() if key != "file" and value}
        result.append(replace(frame, part=row.pop(PART, frame.part), tags={**frame.tags, **row}))
    return result


def read_table(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a CSV file by column. Raises UserError where it can't be read or lacks a column."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            rows = [{key: value or "" for key, value in row.items() if key is not None} for row in reader]
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except (OSError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    for column in needed:
        if column not in columns:
            raise UserError(
                f"{path}: has no column {column}",
                received=", ".join(columns) or "an empty file",
                expected="a first line with the names of the columns",
            )
    return rows
