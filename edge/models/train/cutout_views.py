"""Views of a cut-out show the same place in another light and noise; in both an encoder is to see the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.models.train.augment import disturbed
from edge.models.train.crops import Crops
from edge.models.train.network_weights import FAR_STRIDE
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache

MOST: Final = 0.75
"""Side of a view of most of a cut-out, in sides of the cut-out."""
LITTLE: Final = 0.4
"""Side of a view of little of it."""
_CORRUPTIONS: Final = 2
"""Corruptions at random for each view."""


def good_crops(cache: PictureCache, options: TrainOptions, *, turns: bool) -> Crops:
    """Return what draws cut-outs that show the pictures as they are, but for what was measured on the line."""
    return Crops(cache, replace(options, curriculum=False, randaugment=0), turns=turns)


def views(rng: np.random.Generator, pictures: NDArray[np.uint8], count: int, share: float = MOST) -> NDArray[np.uint8]:
    """Return ``count`` views of each cut-out of ``pictures`` (n, side, side, C), as uint8 (``count`` * n, s, s, C).

    Each is a square of ``share`` of the side, rounded to a multiple of 32 px, mirrored or not and disturbed in its own way.
    The first n are one view of each cut-out, in their order, the next n another.
    """
    return np.stack([_view(rng, picture, share) for _ in range(count) for picture in pictures])


def _view(rng: np.random.Generator, picture: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    side = max(FAR_STRIDE, FAR_STRIDE * round(share * picture.shape[0] / FAR_STRIDE))
    y, x = (int(rng.integers(picture.shape[0] - side + 1)) for _ in range(2))
    part = picture[y : y + side, x : x + side, :][:, :: 1 if rng.random() < 0.5 else -1]
    return disturbed(rng, np.ascontiguousarray(part), (), _CORRUPTIONS)
