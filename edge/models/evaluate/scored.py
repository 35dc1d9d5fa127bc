"""The nouns of an evaluation: one frame as a model judged it, and the defects and regions on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIZES: Final = (4.0, 8.0, 16.0, 32.0, 64.0)
"""Bounds between classes of size: the square root of the area, in px of the frame."""
CONTRASTS: Final = (5.0, 10.0, 20.0, 40.0)
"""Bounds between classes of contrast: grey levels of 8 bits between the defect and what lies around it."""


@dataclass(frozen=True, slots=True)
class MaskDefect:
    """One connected defect of a mask. ``area_px``: in px of the frame. ``contrast``: grey levels of 8 bits, signed.

    ``place``: its centre as shares of width and height. ``found``: whether a region of the model touches it.
    """

    area_px: int
    contrast: float
    place: tuple[float, float]
    found: bool


@dataclass(frozen=True, slots=True)
class SeenRegion:
    """One region that the model reported. ``where``: ``roi_edge``, ``border``, ``background`` or ``part``. ``look``: in
    words.

    ``right``: whether it touches a defect; None if nobody drew a mask.
    """

    bbox_xyxy: tuple[int, int, int, int]
    area_px: float
    score_max: float
    where: str
    look: str
    right: bool | None


@dataclass(frozen=True, slots=True)
class Scored:
    """One frame. ``score``: the highest smoothed value inside the ROI, moved so that all thresholds equal the line's own;
    None if the frame is invalid, for ``reason``. ``dropped``: what the filters took away, by filter.
    """

    file: str
    kind: str
    part: str
    tags: Mapping[str, str]
    score: float | None
    verdict: str
    reason: str | None
    regions: tuple[SeenRegion, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    defects: tuple[MaskDefect, ...] = ()
    side: str | None = None

    @property
    def is_bad(self) -> bool:
        return self.kind != "good"

    @property
    def is_wrong(self) -> bool:
        """A good frame that doesn't pass, or a defective one that does."""
        return (self.verdict == "pass") == self.is_bad

    @property
    def decided_by(self) -> str:
        """What a person looks at first: why the verdict came out as it did."""
        if self.verdict == "invalid":
            return self.reason or "invalid"
        if self.verdict == "fail":
            return "region"
        if self.dropped:
            return max(self.dropped, key=lambda key: (self.dropped[key], key))
        return "below threshold"


@dataclass(frozen=True, slots=True)
class Columns:
    """Valid frames as arrays: ``scores`` (n,), ``bad`` (n,), ``parts`` (n,) numbers that stand for parts."""

    scores: NDArray[np.float64]
    bad: NDArray[np.bool_]
    parts: NDArray[np.intp]


def columns(frames: Sequence[Scored]) -> Columns:
    """Arrays of the frames that have a score."""
    valid = [frame for frame in frames if frame.score is not None]
    names = {part: number for number, part in enumerate(sorted({frame.part for frame in valid}))}
    return Columns(
        np.array([frame.score for frame in valid], np.float64),
        np.array([frame.is_bad for frame in valid], bool),
        np.array([names[frame.part] for frame in valid], np.intp),
    )


def size_class(area_px: float) -> str:
    """Class of a defect's size: ``8 to 16 px``."""
    return _class(area_px**0.5, SIZES, "px")


def contrast_class(contrast: float) -> str:
    """Class of a defect's contrast: ``5 to 10 levels``."""
    return _class(abs(contrast), CONTRASTS, "levels")


def cell(place: tuple[float, float]) -> str:
    """One of nine cells of the frame: ``top left`` to ``bottom right``."""
    across = ("left", "centre", "right")[min(int(3 * place[0]), 2)]
    down = ("top", "middle", "bottom")[min(int(3 * place[1]), 2)]
    return f"{down} {across}"


def _class(value: float, bounds: Sequence[float], unit: str) -> str:
    below = 0.0
    for bound in bounds:
        if value < bound:
            return f"{below:g} to {bound:g} {unit}"
        below = bound
    return f"{below:g} {unit} and more"
