"""Masks against what the picture shows (pure): moved, shrunk or grown, ragged, with holes.

The evidence is how far each pixel differs from a good frame. A mask that lies right has its edge where the evidence falls
to half of what it is inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

_REACH: Final = 8
"""Px, each way, in which a mask is looked for."""
_MARGIN: Final = 16
_AS_GOOD: Final = 0.97
"""Shifts that cover this share of the best one's evidence are as good as it."""
_LEAST_EVIDENCE: Final = 1.5
"""Spreads, on average over the mask at its best place: below, there is nothing to hold it to."""
_LIMIT: Final = 12.0
"""Spreads beyond which more evidence says no more about where a mask should lie."""


@dataclass(frozen=True, slots=True)
class MaskCheck:
    """How one mask lies. ``shift``: where it should go, (across, down) in px of the reference; ``growth``: by how many px
    its edge should move outwards (negative: inwards). Both None if the picture shows too little. ``ragged``: length of
    the outline over that of the smoothed one. ``holes``: enclosed places that are not marked.
    """

    shift: tuple[float, float] | None
    growth: float | None
    ragged: float
    holes: int


def check_mask(mask: NDArray[np.bool_], deviation: NDArray[np.float32]) -> MaskCheck:
    """Compare a mask with a pixel or more with the signed ``deviation``, both (h, w)."""
    rows, columns = np.nonzero(mask)
    window = (
        slice(max(int(rows.min()) - _MARGIN, 0), int(rows.max()) + _MARGIN + 1),
        slice(max(int(columns.min()) - _MARGIN, 0), int(columns.max()) + _MARGIN + 1),
    )
    cut = mask[window]
    ragged, holes = _outline(cut)
    evidence = np.abs(np.asarray(cv2.GaussianBlur(deviation[window], (0, 0), 0.7), np.float32))
    covered = _covered(cut, np.minimum(evidence, np.float32(_LIMIT)))
    best = float(covered.max())
    if best < _LEAST_EVIDENCE:
        return MaskCheck(None, None, ragged, holes)
    alike = np.argwhere(covered >= _AS_GOOD * best) - _REACH
    down, across = alike.mean(axis=0)
    moved = _moved(cut, round(float(across)), round(float(down)))
    growth = _growth(moved, evidence) if moved.any() else None
    return MaskCheck((float(across), float(down)), growth, ragged, holes)


def _covered(mask: NDArray[np.bool_], evidence: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean evidence under the mask, moved by up to 8 px down and across: (17, 17)."""
    padded = cv2.copyMakeBorder(evidence, _REACH, _REACH, _REACH, _REACH, cv2.BORDER_CONSTANT, value=0)
    return np.asarray(cv2.matchTemplate(padded, mask.astype(np.float32), cv2.TM_CCORR)) / np.float32(mask.sum())


def _moved(mask: NDArray[np.bool_], across: int, down: int) -> NDArray[np.bool_]:
    matrix = np.array([[1.0, 0, across], [0, 1.0, down]])
    size = (mask.shape[1], mask.shape[0])
    return np.asarray(cv2.warpAffine(mask.astype(np.uint8), matrix, size, flags=cv2.INTER_NEAREST)) > 0


def _growth(mask: NDArray[np.bool_], evidence: NDArray[np.float32]) -> float | None:
    """Signed distance from the mask's edge to where the mean evidence falls to half of what it is deep inside."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.where(mask, 0.5 - inside, outside - 0.5)
    steps = np.arange(-4.5, 8.0, 1.0)
    profile = []
    for step in steps:
        ring = (distance >= step - 0.5) & (distance < step + 0.5)
        profile.append(float(evidence[ring].mean()) if ring.any() else np.nan)
    levels = np.array(profile)
    within = levels[steps < 0]
    if not np.isfinite(within).any():
        return None
    top = float(np.nanmax(within))
    far = evidence[distance > 7]
    floor = float(np.median(far)) if far.size else 0.0
    half = floor + (top - floor) / 2
    start = int(np.nanargmax(np.where(steps < 0, levels, np.nan)))
    for place in range(start, len(steps) - 1):
        here, after = levels[place], levels[place + 1]
        if np.isfinite(here) and np.isfinite(after) and here >= half > after:
            return float(steps[place] + (here - half) / (here - after))
    return None


def _outline(mask: NDArray[np.bool_]) -> tuple[float, int]:
    lines, tree = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parents = tree[0][:, 3]
    holes = int(np.count_nonzero(parents >= 0))
    smooth: Any = cv2.medianBlur(cv2.copyMakeBorder(mask.astype(np.uint8), 3, 3, 3, 3, cv2.BORDER_CONSTANT, value=0), 5)
    smoothed, _ = cv2.findContours(smooth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outer = [line for line, parent in zip(lines, parents, strict=True) if parent < 0]
    length, smooth_length = (sum(cv2.arcLength(line, True) for line in group) for group in (outer, smoothed))
    return (length / smooth_length if smooth_length > 0 else 1.0), holes
