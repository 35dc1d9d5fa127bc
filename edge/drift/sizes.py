"""How large a change is once its cause is known: what each statistic says of it, weighted by how well it says it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.drift.statistics import INDEX

_DIRECTIONAL = (("shift_x", "shift_y"), ("tilt_x", "tilt_y"), ("edges_x", "edges_y", "edges_diagonal"))
"""Statistics that tell a size only together, whatever the direction."""
_LEAST_SPREAD = 0.05
_LEAST_VARIANCE = 0.003
_FEWEST = 8


class SizeRule:
    """Learned from one cause's signatures: the logarithm of the size as a parabola of each statistic's logarithm. An
    estimate weighs with the inverse square of its variance among the signatures, so that the statistics that follow the
    size closely (rotation for a rotation) decide, and others speak where none does.
    """

    def __init__(self, rows: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
        """``rows``: (n, 19), in deviations of single frames. ``sizes``: (n,), above 0."""
        wanted = np.log(sizes)
        features = _features(rows)
        self._mean = float(wanted.mean())
        self._used = [] if len(sizes) < _FEWEST else np.flatnonzero(features.std(axis=0) > _LEAST_SPREAD).tolist()
        self._low, self._high = features.min(axis=0), features.max(axis=0)
        self._curves, weights = [], []
        for column in self._used:
            x = features[:, column]
            middle, width = float(x.mean()), float(x.std())
            powers = np.vander((x - middle) / width, 3)
            curve = np.linalg.lstsq(powers, wanted, rcond=None)[0]
            variance = float(np.mean(np.square(powers @ curve - wanted)))
            self._curves.append((middle, width, curve))
            weights.append((variance + _LEAST_VARIANCE) ** -2)
        self._weights = np.array(weights)

    def size(self, change: NDArray[np.float64]) -> float:
        """The size, above 0, of a change (19,); no further than the signatures reach."""
        if not self._used:
            return float(np.exp(self._mean))
        values = np.clip(_features(change[None])[0], self._low, self._high)
        said = [
            float(np.polyval(curve, (values[column] - middle) / width))
            for column, (middle, width, curve) in zip(self._used, self._curves, strict=True)
        ]
        return float(np.exp(np.average(said, weights=self._weights)))


def _features(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    together = [np.sqrt(sum(np.square(rows[:, INDEX[name]]) for name in names)) for names in _DIRECTIONAL]
    return np.asarray(np.log1p(4 * np.abs(np.column_stack([rows, *together]))))
