"""A defect planted into a good frame, for sets without defects of their own: what a model must not lose."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.disturb.flaws import KINDS, paste
from edge.frames import Frame
from edge.models.fit.self_test import bright_level

SIZES_PX: Final = (8.0, 12.0)
"""Size of a planted defect, in px of the frame where it is small; on larger frames a thirtieth of the shorter side."""
CONTRAST: Final = 0.15
"""Share of the frame's bright level by which a planted defect differs."""
DESCRIPTION: Final = (
    "planted defects of 15 % contrast, 8 to 12 px on frames up to 300 px, a thirtieth of the side on larger ones"
)
_TRIES: Final = 50


def planted(frame: Frame, inside: NDArray[np.bool_], rng: np.random.Generator, number: int) -> Frame:
    """The frame with one defect of the kind that ``number`` gives, somewhere ``inside`` (H, W) where the part is bright.

    Frames of more than 8 bits are brought to 8.
    """
    pixels: Any = frame.pixels
    bits = frame.bits
    if bits > 8 or pixels.dtype != np.uint8:
        pixels, bits = (pixels >> (bits - 8)).astype(np.uint8), 8
    changed = pixels.copy().reshape(*pixels.shape[:2], -1)
    height, width = changed.shape[:2]
    level = bright_level(changed)
    kind = list(KINDS)[number % len(KINDS)]
    size = max(rng.uniform(*SIZES_PX), min(height, width) / 30 * rng.uniform(*SIZES_PX) / 10)
    for _ in range(_TRIES):
        x, y = rng.uniform(0.06, 0.94) * width, rng.uniform(0.06, 0.94) * height
        at = int(y), int(x)
        if inside[at] and (changed[at] >= 0.6 * level).all():
            break
    paste(changed, KINDS[kind](rng, x, y, size), CONTRAST, level)
    return Frame(frame.meta, changed.reshape(pixels.shape), bits)
