"""Two causes at once: which two signatures of different groups together make a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.drift.statistics import INDEX

_DIFFERENCES = ("low_residual", "mid_on_part", "mid_off_part", "bright", "dark", "disagreement")
_RESIDUALS: Final = [INDEX[name] for name in _DIFFERENCES]
"""Logarithms of what differs: the larger of two covers the smaller. The others add up."""
_COARSE: Final = 8
"""Signatures of each cause that are tried at first."""
_FINE: Final = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """``rows``: numbers of the two signatures, the larger change first. ``distance``: of both together to the change."""

    rows: tuple[int, int]
    distance: float


def nearest_pair(
    rows: NDArray[np.float64],
    band: NDArray[np.float64],
    cause: NDArray[np.int16],
    group: NDArray[Any],
    change: NDArray[np.float64],
) -> Pair | None:
    """``rows``: (n, 19) in deviations. ``band``: (n, 19), by how much each may differ. ``cause``, ``group``: (n,). Tried
    are a few signatures of each cause with each other, and then all of the two causes that came nearest.

    None where all are of one group.
    """
    few = np.concatenate([_spread(np.flatnonzero(cause == number), _COARSE) for number in np.unique(cause)])
    best = _best(rows, band, group, change, few, few)
    if best is None:
        return None
    first, second = (_spread(np.flatnonzero(cause == cause[row]), _FINE) for row in best.rows)
    fine = _best(rows, band, group, change, first, second) or best
    a, b = fine.rows
    if np.linalg.norm(np.log1p(np.abs(rows[a]))) < np.linalg.norm(np.log1p(np.abs(rows[b]))):
        a, b = b, a
    return Pair((a, b), fine.distance)


def _best(
    rows: NDArray[np.float64],
    band: NDArray[np.float64],
    group: NDArray[Any],
    change: NDArray[np.float64],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
) -> Pair | None:
    wanted = np.sign(change) * np.log1p(np.abs(change))
    best: Pair | None = None
    for row in first:
        others = second[group[second] != group[row]]
        if not len(others):
            continue
        both = rows[row] + rows[others]
        both[:, _RESIDUALS] = np.maximum(rows[row, _RESIDUALS], rows[np.ix_(others, _RESIDUALS)])
        apart = (np.sign(both) * np.log1p(np.abs(both)) - wanted) / np.maximum(band[row], band[others])
        distance = np.sqrt(np.mean(np.square(apart), axis=1))
        least = int(distance.argmin())
        if best is None or distance[least] < best.distance:
            best = Pair((int(row), int(others[least])), float(distance[least]))
    return best


def _spread(numbers: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most ``count`` of them, evenly: signatures of a cause stand in the order of their sizes."""
    return np.asarray(numbers[np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)])
