"""Pixels say whether a picture was drawn, as masks are, or taken by a camera."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from edge.storage.pictures import PictureError, decode_picture, picture_bytes

_CLASSES: Final = 6
"""Most values of a mask of several kinds of defect."""
_NEAR: Final = 8
"""How far from black and white the pixels of a mask lie that was saved as JPEG."""


def is_drawn(path: Path) -> bool:
    """Whether a picture has the few values of a mask; False if it can't be read.

    Two values at most; or up to 6 with gaps between them, for a dark picture of a camera has all those of its noise; or,
    after JPEG, 99 % of its pixels near black or white, and some near white.
    """
    try:
        state = os.stat(path)
    except OSError:
        return False
    return _is_drawn(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1 << 16)  # a folder is opened several times for one replay
def _is_drawn(path: Path, _changed_ns: int, _size: int) -> bool:
    try:
        pixels = decode_picture(picture_bytes(path))
    except (OSError, PictureError):
        return False
    return is_drawn_picture(pixels)


def is_drawn_picture(pixels: Any) -> bool:
    """Whether the pixels, uint8 or uint16 (H, W) or (H, W, 3), are a mask's."""
    plane = pixels if pixels.ndim == 2 else pixels.max(axis=2)
    counts = np.bincount(plane.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    if len(values) <= 2:
        return True
    if len(values) <= _CLASSES and values[-1] - values[0] >= len(values):
        return True
    if plane.dtype != np.uint8:
        return False
    near = counts[:_NEAR].sum() + counts[256 - _NEAR :].sum()
    return bool(near >= 0.99 * plane.size and counts[256 - _NEAR :].any())
