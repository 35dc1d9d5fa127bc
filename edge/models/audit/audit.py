"""The audit of sets: each frame is read once, then every two sets are compared, and what forbids that is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.frames import Frame
from edge.models.audit.finding import AuditFinding
from edge.models.audit.kinds import audit_kinds, compare_kinds
from edge.models.audit.same_part import TRIED, TwinFinder
from edge.models.audit.traits import Traits, compare_traits, traits_of
from edge.models.sets.frame_set import FrameSet, SetFrame, why_unreadable, with_hash
from edge.models.sets.open import orphan_notes
from edge.storage.pictures import PictureError

_NAMED = 5


@dataclass(slots=True)
class NamedSet:
    """A set under the name that findings call it by, and what was seen of its frames."""

    name: str
    source: FrameSet
    frames: tuple[SetFrame, ...]
    read: list[SetFrame] = field(default_factory=list)
    looks: list[NDArray[np.float16]] = field(default_factory=list)
    traits: list[Traits] = field(default_factory=list)
    unreadable: list[tuple[SetFrame, str]] = field(default_factory=list)


def sides_of(name: str, frames: FrameSet) -> list[NamedSet]:
    """One set for each of its sides; the set itself where it has none."""
    sides = frames.sides
    if not sides:
        return [NamedSet(name, frames, frames.frames)]
    return [NamedSet(f"{name}/{side}" if name else side, frames, frames.of(side)) for side in sides]


def audit(sets: Sequence[NamedSet], seen: Callable[[int], None] = lambda _: None) -> list[AuditFinding]:
    """Findings on every set and on every two of them, what forbids a comparison first.

    Raises:
        UserError: a set without a frame that can be read.
    """
    finder = TwinFinder(list(_sample(sets)))
    done = 0
    for one in sets:
        for frame in one.frames:
            loaded = _read(one, frame)
            if loaded is not None:
                one.read.append(with_hash(frame, loaded))
                one.looks.append(finder.look(loaded))
                one.traits.append(traits_of(loaded))
            done += 1
            seen(done)
    findings: list[AuditFinding] = []
    orphans = {text: one.name for one in sets for text in orphan_notes(one.source)}
    findings += [AuditFinding("masks_of_no_picture", "warns", (name,), text) for text, name in orphans.items()]
    for one in sets:
        findings += _unreadable(one)
        findings += audit_kinds(one.name, one.read)
    for left, right in combinations(sets, 2):
        names = (left.name, right.name)
        findings += _shared(names, left, right, finder)
        findings += compare_traits(names, left.traits, right.traits)
        findings += compare_kinds(names, left.read, right.read)
    order = {"forbids": 0, "warns": 1, "notes": 2}
    return sorted(findings, key=lambda finding: order[finding.weight])


def _sample(sets: Sequence[NamedSet]) -> Iterator[Frame]:
    everything = [(one, frame) for one in sets for frame in one.frames]
    given = 0
    for index in np.unique(np.linspace(0, len(everything) - 1, 2 * TRIED).astype(int)).tolist():
        one, frame = everything[index]
        try:
            loaded = one.source.read(frame)
        except (OSError, PictureError):
            continue
        given += 1
        yield loaded
        if given == TRIED:
            return
    if not given:
        names = ", ".join(one.name for one in sets)
        raise UserError(f"{names}: no frame can be read", received=f"{len(everything)} frames")


def _read(one: NamedSet, frame: SetFrame) -> Frame | None:
    try:
        return one.source.read(frame)
    except (OSError, PictureError) as error:
        one.unreadable.append((frame, why_unreadable(error)))
        return None


def _unreadable(one: NamedSet) -> list[AuditFinding]:
    if not one.unreadable:
        return []
    text = f"{len(one.unreadable)} pictures of {one.name} can't be read: {one.unreadable[0][0].file}"
    frames = tuple({"file": frame.file, "why": why} for frame, why in one.unreadable)
    return [AuditFinding("unreadable", "warns", (one.name,), text, frames)]


def _shared(names: tuple[str, str], left: NamedSet, right: NamedSet, finder: TwinFinder) -> list[AuditFinding]:
    """Pictures and parts that stand in both: by their pixels, by what is known of their parts, and by their looks."""
    findings = []
    by_hash = {frame.sha256: frame for frame in left.read}
    copies = [(frame, by_hash[frame.sha256]) for frame in right.read if frame.sha256 in by_hash]
    if copies:
        text = f"{len(copies)} pictures of {names[1]} stand in {names[0]}, too, pixel for pixel"
        findings.append(AuditFinding("same_picture", "forbids", names, text, _pairs(copies)))
    known = {frame.part: frame for frame in left.read if frame.part is not None}
    shared = [(frame, known[frame.part]) for frame in right.read if frame.part is not None and frame.part in known]
    if shared:
        parts = {frame.part for frame, _ in shared}
        text = f"{len(shared)} pictures of {names[1]} show {len(parts)} parts that {names[0]} shows, too, by their part ids"
        findings.append(AuditFinding("same_part_id", "forbids", names, text, _pairs(shared)))
    twins = finder.find(left.looks, right.looks)
    if not twins.tested:
        text = (
            f"{len(left.read)} and {len(right.read)} pictures are too few to tell by content whether {names[0]} and "
            f"{names[1]} share parts"
        )
        findings.append(AuditFinding("few_pairs", "notes", names, text))
    elif twins.pairs:
        good = sum(right.read[pair.right].label == "good" for pair in twins.pairs)
        text = (
            f"{len(twins.pairs)} pictures of {names[1]} ({good} of them good) show a part that {names[0]} shows, too, "
            f"by what they look like: a model that has seen {names[0]} recognises them"
        )
        frames = tuple(
            {
                "file": right.read[pair.right].file,
                "kind": right.read[pair.right].kind,
                "like": left.read[pair.left].file,
                "score": round(pair.score, 2),
                "correlation": round(pair.correlation, 3),
            }
            for pair in twins.pairs
        )
        values: dict[str, Any] = {"way": twins.way, "limit": twins.limit, "good": good}
        findings.append(AuditFinding("same_part", "forbids", names, text, frames, values))
    return findings


def _pairs(pairs: Sequence[tuple[SetFrame, SetFrame]]) -> tuple[dict[str, Any], ...]:
    return tuple({"file": a.file, "kind": a.kind, "like": b.file, "part": a.part} for a, b in pairs)


def distinctly_named(sets: Sequence[NamedSet]) -> list[NamedSet]:
    """The sets with names of their own: a name that stands twice gets its place in the row."""
    names = [one.name for one in sets]
    return [
        replace(one, name=f"{n} {i}") if names.count(n) > 1 else one
        for i, (one, n) in enumerate(zip(sets, names, strict=True), 1)
    ]
