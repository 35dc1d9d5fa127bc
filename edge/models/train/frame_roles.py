"""Which frames a training learns from and which it validates on (pure): parts stay whole, the test side is never seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from edge.errors import UserError, first_few
from edge.models.sets.frame_set import FrameSet, SetFrame

FrameRole: TypeAlias = Literal["train", "validation"]
LEAST_GOOD: Final = 8
LEAST_VALIDATED: Final = 2
VALIDATED_SHARE: Final = 0.2
"""So many of the parts are validated on where the set's split has no validation side."""
_LEARNED: Final = ("fit", "train")
_SEEN: Final = (*_LEARNED, "validation", None)
"""Sides that a training may look at. ``adapt``, ``calibrate`` and ``test`` stay for later steps."""
FALSE_POSITIVE: Final = "fail"
"""Tag ``cause`` of a frame that the line rejected and kept as evidence; labelled good, it was a false positive."""


@dataclass(frozen=True, slots=True)
class Roles:
    """Frames by what they are used for. No part stands on both sides.

    ``false_positives``: those of ``good`` that a line rejected, though a person says that they are good.
    """

    good: tuple[SetFrame, ...]
    defects: tuple[SetFrame, ...]
    validated_good: tuple[SetFrame, ...]
    validated_defects: tuple[SetFrame, ...]
    false_positives: frozenset[str]
    notes: tuple[str, ...] = ()


def roles_of(source: FrameSet, seed: int, *, labels: bool) -> Roles:
    """Share the frames out.

    With a split, good frames of ``fit`` are learned from and the ``validation`` side is validated on; without a validation
    side a fifth of the parts is. Of the parts with a labelled defect every second one of each kind is learned from
    (``labels``), the others are validated on.

    Raises:
        UserError: a frame without a part, a part on two sides ("no side" is one), too few good frames or parts, a defect to
            learn from without a mask.
    """
    _check_parts(source)
    frames = [frame for frame in source.frames if frame.side in _SEEN and frame.label != "disputed"]
    labelled = any(frame.label for frame in frames)
    usable = [frame for frame in frames if frame.label or not labelled]
    roles = _assigned(usable, seed, labels=labels)
    good: dict[FrameRole, list[SetFrame]] = {"train": [], "validation": []}
    bad: dict[FrameRole, list[SetFrame]] = {"train": [], "validation": []}
    for frame in usable:
        assert frame.part is not None
        (bad if frame.label == "defect" else good)[roles[frame.part]].append(frame)
    if not labels:
        bad["train"] = []
    _check_enough(source, good)
    _check_masks(source, bad["train"])
    rejected = (
        frame.file for frame in good["train"] if frame.label == "good" and frame.tags.get("cause") == FALSE_POSITIVE
    )
    return Roles(
        good=tuple(good["train"]),
        defects=tuple(bad["train"]),
        validated_good=tuple(good["validation"]),
        validated_defects=tuple(bad["validation"]),
        false_positives=frozenset(rejected) if labels else frozenset(),
        notes=tuple(_notes(source, frames, labelled=labelled)),
    )


def _notes(source: FrameSet, frames: Sequence[SetFrame], *, labelled: bool) -> Iterable[str]:
    if not labelled:
        yield "no frame has a label: all count as good"
    disputed = sum(frame.label == "disputed" and frame.side in _SEEN for frame in source.frames)
    if disputed:
        yield f"{disputed} frames whose labels disagree are left out"
    if all(frame.side is None for frame in frames):
        yield "the set has no split, so no frame is left to test on: edge split first, or test on another set"


def _check_parts(source: FrameSet) -> None:
    without = [frame.file for frame in source.frames if frame.part is None]
    if without:
        raise UserError(
            f"{source.path}: {len(without)} of {len(source)} frames have no part, so one could be learned and validated on",
            received=first_few(without),
            expected="the part of every frame: a split by part is the only one that training takes",
            fix="give --by EXPRESSION, --by TABLE.csv, --by content or --part-gap; "
            "--by frame makes each picture a part of its own",
        )
    sides: dict[str, set[str]] = {}
    for frame in source.frames:
        assert frame.part is not None
        if frame.side is None and frame.label == "disputed":
            continue  # a split leaves it out, and so does training
        sides.setdefault(frame.part, set()).add(frame.side or "no side")
    split = sorted(part for part, of in sides.items() if len(of) > 1)
    if split:
        raise UserError(
            f"{source.path}: {len(split)} parts stand on two sides, so figures would be of parts that were learned",
            received=first_few([f"part {part} in {' and '.join(sorted(sides[part]))}" for part in split]),
            expected="a split by part",
            fix=f"split it anew: edge split {source.path}",
        )


def _assigned(frames: Sequence[SetFrame], seed: int, *, labels: bool) -> dict[str, FrameRole]:
    """The role of each part."""
    parts: dict[str, list[SetFrame]] = {}
    for frame in frames:
        assert frame.part is not None
        parts.setdefault(frame.part, []).append(frame)
    rng = np.random.default_rng((seed, 1))
    order = [sorted(parts)[int(i)] for i in rng.permutation(len(parts))]
    has_side = any(frame.side == "validation" for frame in frames)
    roles: dict[str, FrameRole] = {}
    turns: dict[str, int] = {}
    good = []
    for part in order:
        kinds = sorted({frame.kind for frame in parts[part] if frame.label == "defect"})
        if kinds and parts[part][0].side not in _LEARNED:
            turn = turns[kinds[0]] = turns.get(kinds[0], -1) + 1
            roles[part] = "train" if labels and turn % 2 == 0 else "validation"
        elif kinds or has_side:
            roles[part] = "validation" if parts[part][0].side == "validation" else "train"
        else:
            good.append(part)
    validated = max(1, round(VALIDATED_SHARE * len(good)))
    return roles | {part: "validation" if place < validated else "train" for place, part in enumerate(good)}


def _check_enough(source: FrameSet, good: dict[FrameRole, list[SetFrame]]) -> None:
    learned, validated = good["train"], good["validation"]
    if len(learned) < LEAST_GOOD or len(validated) < LEAST_VALIDATED:
        parts = len({frame.part for frame in (*learned, *validated)})
        raise UserError(
            f"{source.path}: too few good frames to train on",
            received=f"{len(learned)} to learn from and {len(validated)} of other parts to validate on, of {parts} parts",
            expected=f"at least {LEAST_GOOD} and {LEAST_VALIDATED}; 100 to 500 of 20 parts or more make a steady model",
            fix="gather more: edge gather; edge fit needs fewer",
        )


def _check_masks(source: FrameSet, defects: Sequence[SetFrame]) -> None:
    without = [frame.file for frame in defects if frame.mask is None]
    if without:
        raise UserError(
            f"{source.path}: {len(without)} of {len(defects)} labelled defects to learn from have no mask",
            received=first_few(without),
            expected="a mask of each, so that it shows which pixels are the defect",
            fix="import masks (edge label --import), or learn from synthetic defects alone: --no-labels",
        )
