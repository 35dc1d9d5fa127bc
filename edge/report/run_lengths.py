"""Masks are written as run lengths, for a log that holds more of them than anyone wants picture files of (pure)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def run_lengths(mask: NDArray[np.uint8]) -> list[int]:
    """Return the lengths of the runs of (h, w) ``mask``, row by row: first of zeros, perhaps 0 of them, then alternating.

    COCO's uncompressed RLE is the same column by column (counts in Fortran order). To reverse it:
    ``np.repeat(np.arange(len(counts)) % 2, counts).reshape(h, w)``.
    """
    flat = mask.ravel() > 0
    if not len(flat):
        return []
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate(([0], edges, [len(flat)]))).tolist()
    return [0, *counts] if flat[0] else counts
