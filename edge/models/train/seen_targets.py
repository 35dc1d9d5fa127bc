"""What a drawn defect is to be called, place by place, where the backbone sees it; what it can't see counts for nothing.

Many synthetic defects are too faint for the frozen features, and those that aren't change features around them, too, for
each place sees a wide surrounding. A head that is to call the first defective and the second good learns to find something
in good surfaces, and to overlook what it sees. On the second split of the magnetic tiles, leaving both out of the loss took
the image AUROC of a head alone from 0.755 to 0.815.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SEEN: Final = 0.3
"""Least change of a defective place's features, root mean square in deviations of good ones, that counts as seen."""
UNTOUCHED: Final = 0.15
"""Most change of a place beside the defect that still counts as none."""

BESIDE: Final = 2
"""Places around a labelled defect that count for nothing: lite0's at stride 32 see further than one."""


def seen_targets(
    targets: NDArray[np.float32], before: NDArray[np.float32], after: NDArray[np.float32], deviation: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return ``targets`` (h, w) with NaN where a place counts for nothing.

    ``before``, ``after``: features (h, w, d) without and with the defect. ``deviation``: (d,) of good places' features.
    """
    change = np.sqrt((((after - before) / deviation) ** 2).mean(axis=2))
    unclear = np.where(targets > 0, change < SEEN, change > UNTOUCHED)
    return np.where(unclear, np.float32(np.nan), targets)


def without_surroundings(targets: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``targets`` (h, w) of a labelled defect with NaN beside it, up to ``BESIDE`` places away.

    Nobody knows how the picture looked without it, so nobody knows which of these places it changes.
    """
    size = 2 * BESIDE + 1
    near = cv2.dilate((targets > 0).astype(np.uint8), np.ones((size, size), np.uint8)) > 0
    return np.where(near & (targets <= 0), np.float32(np.nan), targets)


def shows_defect(targets: NDArray[np.float32]) -> bool:
    """Whether any place of ``targets`` is defective and counts."""
    return bool((np.nan_to_num(targets) > 0).any())


def defective_share(targets: Sequence[NDArray[np.float32]], chances: NDArray[np.float64]) -> float:
    """Return how much of all that counts is defective, of pictures' ``targets`` (h, w) that are drawn by these chances."""
    defective = sum(float(np.nansum(of)) / of.size * float(chance) for of, chance in zip(targets, chances, strict=True))
    counted = sum(float((~np.isnan(of)).mean()) * float(chance) for of, chance in zip(targets, chances, strict=True))
    return defective / counted if counted > 0 else 0.0
