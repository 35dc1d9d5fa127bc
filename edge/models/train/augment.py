"""What a factory does to a picture is done to training pictures, too: by ranges that were measured, or at random (pure)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS, Corruption

_MOVES: Final = "pose"
"""Group of the corruptions that move what a mask shows, so they come before a defect is drawn."""
_HIDES: Final = ("occlusion/background", "product")
"""Groups that look like a defect themselves: drawn at random they would teach the network to overlook some."""
_RANDOM: Final = tuple(row for row in CORRUPTIONS.values() if row.group not in (_MOVES, *_HIDES))


@dataclass(frozen=True, slots=True)
class AugmentRow:
    """Training pictures get the corruption ``name`` with a strength from ``low`` to ``high``, ``share`` of them."""

    name: str
    low: float
    high: float
    share: float = 0.5


def mirrored(rng: np.random.Generator, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return ``picture`` (H, W, C) mirrored from left to right, from top to bottom, both, or itself, each in a quarter of
    the draws.
    """
    down, across = _ways(rng)
    return picture if down == across == 1 else np.ascontiguousarray(picture[::down, ::across])


def mirrored_alike(
    rng: np.random.Generator, picture: NDArray[np.uint8], mask: NDArray[np.bool_], ground: NDArray[np.uint8] | None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.uint8] | None]:
    """Return a picture (H, W, C), its mask (H, W) and what it was before, mirrored by one draw of ``mirrored``."""
    down, across = _ways(rng)
    turned = None if ground is None else np.ascontiguousarray(ground[::down, ::across])
    return np.ascontiguousarray(picture[::down, ::across]), np.ascontiguousarray(mask[::down, ::across]), turned


def _ways(rng: np.random.Generator) -> tuple[int, int]:
    down, across = (-1 if rng.random() < 0.5 else 1 for _ in range(2))
    return down, across


def displaced(rng: np.random.Generator, picture: NDArray[np.uint8], rows: Sequence[AugmentRow]) -> NDArray[np.uint8]:
    """Return ``picture`` (H, W, C) after the corruptions that move it; for good pictures, before a defect is drawn."""
    return _after(rng, picture, [row for row in rows if CORRUPTIONS[row.name].group == _MOVES])


def disturbed(
    rng: np.random.Generator, picture: NDArray[np.uint8], rows: Sequence[AugmentRow], random: int = 0
) -> NDArray[np.uint8]:
    """Return ``picture`` (H, W, C) after the corruptions that leave everything in its place, and ``random`` more of them.

    These are drawn from lighting, blur and camera, up to what a line sees in a bad week.
    """
    picture = _after(rng, picture, [row for row in rows if CORRUPTIONS[row.name].group != _MOVES])
    for _ in range(random):
        row = _RANDOM[int(rng.integers(len(_RANDOM)))]
        picture = _applied(row, picture, _up_to_third(rng, row), rng)
    return picture


def _after(rng: np.random.Generator, picture: NDArray[np.uint8], rows: Sequence[AugmentRow]) -> NDArray[np.uint8]:
    for row in rows:
        if rng.random() < row.share:
            picture = _applied(CORRUPTIONS[row.name], picture, float(rng.uniform(row.low, row.high)), rng)
    return picture


def _up_to_third(rng: np.random.Generator, row: Corruption) -> float:
    strength = float(rng.uniform(0, row.strengths.steps[2]))
    return -strength if row.strengths.two_way and rng.random() < 0.5 else strength


def _applied(row: Corruption, picture: NDArray[Any], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.asarray(row.apply(picture, strength, rng), np.uint8)
