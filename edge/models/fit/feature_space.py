"""Features are compared in this space: how much each counts, from sums over good pictures that merge exactly.

Every layer counts the same, whatever its values are; then the directions in which good features vary most are kept
(principal components), which makes the comparison several times cheaper and loses nothing that was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 64
"""On magnetic tiles 64, 128 and all 432 of Lite0's features score 0.861, 0.861 and 0.858 (image AUROC by part)."""
_WIDEST = 384
"""Features of a layer above which it is first thinned out at random (Johnson and Lindenstrauss, 1984)."""
_FAINT = 1e-3
"""Share of the largest variance, added before directions are brought to one variance: what is weaker is noise."""

_NONE = 1e-6
"""A total variance, after each layer was brought to 1, that means that nothing ever changed."""


@dataclass(frozen=True, slots=True)
class FeatureSpace:
    """A space takes features to ``(features - mean) @ matrix``; good features have a total variance of 1 in it.

    ``mean`` (d,), ``matrix`` (d, components), ``share``: of the variance that the components hold.
    """

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]
    share: float

    def project(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the components (n, c) of ``vectors`` (n, d)."""
        return np.asarray((vectors - self.mean) @ self.matrix, np.float32)


class FeatureSums:
    """Count, sum and products of feature vectors in float64; sums over parts add up to those of the whole."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = tuple(widths)
        width = sum(widths)
        self.count = 0
        self.total = np.zeros(width)
        self.products = np.zeros((width, width))

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Take in vectors (n, d)."""
        exact = vectors.astype(np.float64)
        self.count += len(vectors)
        self.total += exact.sum(axis=0)
        self.products += exact.T @ exact

    def merge(self, other: FeatureSums) -> None:
        """Take in what another sum has seen."""
        self.count += other.count
        self.total += other.total
        self.products += other.products

    def less(self, part: FeatureSums) -> FeatureSums:
        """Return the sums without ``part``, which was added before."""
        rest = FeatureSums(self.widths)
        rest.count = self.count - part.count
        rest.total, rest.products = self.total - part.total, self.products - part.products
        return rest

    def deviation(self) -> NDArray[np.float32]:
        """Return the standard deviation (d,) of each feature; 1 where a feature never changes, which then says nothing."""
        mean = self.total / self.count
        deviation = np.sqrt(np.maximum(np.diag(self.products) / self.count - mean**2, 0))
        return np.where(deviation > _FAINT * deviation.max(initial=0), deviation, 1).astype(np.float32)

    def space(self, *, whiten: bool) -> FeatureSpace:
        """Return the space of what was added. ``whiten``: every feature, then every direction, counts the same."""
        mean = self.total / self.count
        covariance = self.products / self.count - np.outer(mean, mean)
        variance = np.maximum(np.diag(covariance), 0)
        scale = self._scale(variance, 1e-9 * float(np.diag(self.products).mean()) / self.count + 1e-18, each=whiten)
        values, vectors = np.linalg.eigh(covariance * np.outer(scale, scale))
        values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
        kept, directions = values[:COMPONENTS], vectors[:, :COMPONENTS]
        if whiten:
            weights = 1 / np.sqrt(kept + _FAINT * max(kept[0], _NONE))
            directions, kept = directions * weights, kept * weights**2
        directions = directions / np.sqrt(max(kept.sum(), _NONE))
        share = float(values[:COMPONENTS].sum() / max(values.sum(), _NONE))
        return FeatureSpace(mean.astype(np.float32), (scale[:, None] * directions).astype(np.float32), share)

    def _scale(self, variance: NDArray[np.float64], floor: float, *, each: bool) -> NDArray[np.float64]:
        """Return the scale of each feature. ``floor`` is a variance that is rounding alone, of features that never
        change.
        """
        if each:
            return np.asarray(1 / np.sqrt(variance + floor))
        edges = np.cumsum([0, *self.widths])
        parts = [variance[a:b].sum() for a, b in pairwise(edges)]
        return np.repeat([1 / np.sqrt(part + floor) for part in parts], self.widths)


def thinning(widths: Sequence[int]) -> list[NDArray[np.float32] | None]:
    """Return for each layer a matrix (width, 384) that thins it out, or None if it is no wider than that."""
    rng = np.random.default_rng(0)
    return [
        None if width <= _WIDEST else (rng.standard_normal((width, _WIDEST)) / np.sqrt(_WIDEST)).astype(np.float32)
        for width in widths
    ]
