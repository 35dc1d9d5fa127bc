"""A model for each row of the matrix: one fitted model fitted again, on the good frames of each condition alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.errors import UserError
from edge.models.evaluate.contest import Contestant
from edge.models.fit.continued import fit_like
from edge.models.fit.fit import FitRun, write_fit
from edge.models.fit.fit_plan import FitRequest
from edge.models.frame_sequence import FrameSequence
from edge.models.good_frames import GoodFrames
from edge.models.sets.frame_set import FrameSet, SetFrame

SIDES: Final = ("fit", "train")
"""Sides that a model may be fitted on."""


def refitted(
    source: FrameSet,
    template: Path,
    tag: str,
    values: Sequence[str],
    into: Path,
    *,
    workers: int = 1,
    said: Callable[[str, int, int], None] = lambda *_: None,
) -> list[Contestant]:
    """One model for each value of ``tag``, named after it, with the method, options and reference of ``template``.

    Each is fitted on the good frames of the sides fit or train that have the value, and written into ``into``.

    Raises:
        UserError: the set has no such side, a value has too few frames there, or ``template`` can't be fitted again.
    """
    chosen = [frame for frame in source.of(*SIDES) if frame.label == "good"]
    if not chosen:
        raise UserError(
            f"--refit: {source.path} has no good frames to fit on",
            received=f"the sides {', '.join(source.sides)}" if source.sides else "a set without sides",
            expected="a side fit, or a folder train",
            fix="split the set: edge split",
        )
    contestants = []
    for number, value in enumerate(values):
        own = [frame for frame in chosen if frame.tags.get(tag) == value]
        if not own:
            known = sorted({frame.tags[tag] for frame in chosen if tag in frame.tags})
            raise UserError(
                f"--refit: no good frame of the side fit has {tag} {value}",
                received=f"frames of {tag} {', '.join(known) or 'nothing'} there",
                expected=f"some for each {tag} that is judged",
                fix=f"split the set again, or leave it out: --values {','.join(known)}",
            )
        said(f"fitting on {tag} {value}", number, len(values))
        request = FitRequest(name=f"{tag}-{value}", source=f"{source.path}, {tag} {value}")
        fitted = fit_like(template, FrameSequence.of(_row(source, own)), request, FitRun(workers=workers, test=False))
        bundle = write_fit(into / f"{number:02d}", fitted, request.source)
        contestants.append(Contestant(value, bundle.folder))
    return contestants


def _row(source: FrameSet, frames: Sequence[SetFrame]) -> GoodFrames:
    depths = {frame.bits for frame in frames if frame.bits is not None} - {8}
    return GoodFrames(source.root, tuple(frame.file for frame in frames), bits=depths.pop() if len(depths) == 1 else None)
