"""Regions of no known kind (pure): those that lie further from every labelled region than labelled ones lie from each
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

FEATURES: Final = ("size", "elongation", "fill", "sign", "strength", "mixture", "edge", "place_x", "place_y")
_QUANTILE: Final = 0.95
"""Share of labelled regions that count as known by the others."""
_LEAST: Final = 12
"""Labelled regions below which nothing can be said."""
_NEIGHBOURS: Final = 2


def describe_region(
    mask: NDArray[np.bool_], deviation: NDArray[np.float32], expected: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Numbers that tell kinds apart, as ``FEATURES`` names them.

    ``mask``: one connected region, (h, w). ``deviation``: signed, in spreads. ``expected``: the median good frame, in grey
    levels; where its edges run, a region at a rim is distinguished from one on a surface.
    """
    rows, columns = np.nonzero(mask)
    values = deviation[rows, columns].astype(np.float64)
    points = np.stack((columns, rows), axis=1).astype(np.float64)
    spread = np.sqrt(np.linalg.eigvalsh(np.cov(points.T) + np.eye(2) / 12)) if len(points) > 1 else np.array([0.3, 0.3])
    box = (columns.max() - columns.min() + 1) * (rows.max() - rows.min() + 1)
    window = (
        slice(max(int(rows.min()) - 3, 0), int(rows.max()) + 4),
        slice(max(int(columns.min()) - 3, 0), int(columns.max()) + 4),
    )
    slope: Any = np.hypot(cv2.Sobel(expected[window], cv2.CV_32F, 1, 0), cv2.Sobel(expected[window], cv2.CV_32F, 0, 1))
    grown = cv2.dilate(mask[window].astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    strength = float(np.mean(np.abs(values))) + 1e-6
    height, width = mask.shape
    return np.array(
        [
            np.log(len(points)),
            np.log(spread[1] / spread[0]),
            2 * len(points) / box,
            float(np.mean(values)) / strength,
            np.log(strength),
            2 * float(np.std(values)) / strength,
            np.log1p(float(slope[grown].mean())),
            2 * abs(float(columns.mean()) / width - 0.5),
            2 * abs(float(rows.mean()) / height - 0.5),
        ]
    )


def unknown(
    known: Sequence[NDArray[np.float64]], kinds: Sequence[str], asked: Sequence[NDArray[np.float64]]
) -> list[float]:
    """For each region that is asked for, its distance to the labelled ones over the limit: above 1 it is of no known kind.

    The distance is the mean to the nearest two regions of one kind, in each kind's own spreads; the limit is the 95 %
    quantile of the labelled regions' own, each left out in turn. Empty where fewer than 12 regions are labelled.
    """
    if len(known) < _LEAST:
        return []
    table, names = np.stack(known), np.array(kinds, object)
    scale = np.maximum(1.4826 * np.median(np.abs(table - np.median(table, axis=0)), axis=0), 0.1)
    own = [
        min(
            _distance(table[i], table[(names == kind) & (np.arange(len(table)) != i)], scale) for kind in sorted(set(kinds))
        )
        for i in range(len(table))
    ]
    limit = max(float(np.quantile([d for d in own if np.isfinite(d)] or [1.0], _QUANTILE)), 1e-6)
    return [min(_distance(one, table[names == kind], scale) for kind in sorted(set(kinds))) / limit for one in asked]


def _distance(one: NDArray[np.float64], others: NDArray[np.float64], scale: NDArray[np.float64]) -> float:
    if not len(others):
        return float("inf")
    distances = np.sort(np.sqrt(np.mean(((others - one) / scale) ** 2, axis=1)))
    return float(distances[:_NEIGHBOURS].mean())
