"""Frames that a training learns from without their labels: none that it is validated on, no defect among the good."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Final

from edge.errors import UserError
from edge.frames import Frame
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.models.sets.used import content_id
from edge.models.train.samples import SetFrames

LEAST_UNLABELLED: Final = 8
_NOT_GOOD = ("defect", "disputed")


def without_judges(frames: FrameSet, judges: Collection[str], *, good: bool = False) -> FrameSet:
    """Return the set without frames that would make figures better than they are; ``left_out`` says how many.

    ``judges``: ids of the frames that are validated on (``content_id``). ``good``: features are drawn towards these frames
    as if all were good, so those that people called defective, or disagree about, are left out as well.
    """
    plain = [frame for frame in frames.frames if not good or frame.label not in _NOT_GOOD]
    kept = [frame for frame in plain if not judges or not set(ids_of_frames(frames, [frame])).intersection(judges)]
    counts = (
        (len(frames) - len(plain), "labelled as defective or disputed"),
        (len(plain) - len(kept), "that this training is validated on"),
    )
    words = [f"{count} frame{'s' * (count != 1)} {why}" for count, why in counts if count]
    return replace(frames.with_frames(kept), left_out="; ".join(filter(None, [frames.left_out, *words])))


def ids_of_frames(source: FrameSet, frames: Sequence[SetFrame]) -> Iterator[str]:
    """Give the id of each frame that can be read."""
    for entry in SetFrames(source, frames):
        if isinstance(entry, Frame):
            yield content_id(entry.pixels)


def enough(frames: FrameSet | None, judges: Collection[str], *, good: bool) -> FrameSet | None:
    """Return ``without_judges``, where frames were given. Raises UserError where too few are left."""
    if frames is None:
        return None
    left = without_judges(frames, judges, good=good)
    check_unlabelled(left, len(left))
    return left


def check_unlabelled(frames: FrameSet, usable: int) -> None:
    """Raise UserError where fewer than ``LEAST_UNLABELLED`` of the frames can be used."""
    if usable < LEAST_UNLABELLED:
        raise UserError(
            f"{frames.path}: too few unlabelled frames",
            received=f"{usable} that can be used" + (f"; left out: {frames.left_out}" if frames.left_out else ""),
            expected=f"at least {LEAST_UNLABELLED}; some hundreds are worth it",
        )
