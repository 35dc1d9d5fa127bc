"""Intervals that say how little so few parts allow (pure): exact ones for shares, bootstrap over parts for the rest.

Frames of one part are alike, so the part is what is drawn: 30 pictures of 3 parts are worth little more than 3 pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Interval: TypeAlias = tuple[float, float]

LEVEL = 0.95
_AT_ONCE = 4_000_000
"""Weights that are held at a time: 32 MB."""


def share_interval(hits: float, count: float, level: float = LEVEL) -> Interval:
    """Clopper-Pearson's interval for ``hits`` of ``count``, which may be fractions; (0, 1) without any.

    It never promises more than the level: 3 of 3 gives 0.29 to 1. https://doi.org/10.1093/biomet/26.4.404
    """
    if count <= 0:
        return 0.0, 1.0
    alpha = 1 - level
    low = 0.0 if hits <= 0 else _beta_quantile(alpha / 2, hits, count - hits + 1)
    high = 1.0 if hits >= count else _beta_quantile(1 - alpha / 2, hits + 1, count - hits)
    return low, high


def part_share_interval(hits: NDArray[np.bool_], parts: NDArray[np.intp], level: float = LEVEL) -> Interval:
    """``share_interval`` of the share of ``hits`` (n,), with as many trials as there are different ``parts`` (n,)."""
    if not len(hits):
        return 0.0, 1.0
    trials = len(np.unique(parts))
    return share_interval(float(np.mean(hits)) * trials, trials, level)


def part_weights(
    parts: NDArray[np.intp], is_bad: NDArray[np.bool_], replicates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How often each frame counts in each replicate, (replicates, n): its part drawn with replacement.

    Parts with a defective frame and parts without one are drawn apart, so that every replicate has both classes.
    """
    names, index = np.unique(parts, return_inverse=True)
    defective = np.zeros(len(names), bool)
    np.logical_or.at(defective, index, is_bad)
    counts = np.zeros((replicates, len(names)))
    for group in (np.flatnonzero(defective), np.flatnonzero(~defective)):
        if len(group):
            counts[:, group] = draws(len(group), replicates, rng)
    return counts[:, index]


def draws(count: int, replicates: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each of ``count`` is drawn in ``count`` draws with replacement: (replicates, count)."""
    drawn = rng.integers(count, size=(replicates, count)) + count * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * count).reshape(replicates, count).astype(np.float64)


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], Any],
    parts: NDArray[np.intp],
    is_bad: NDArray[np.bool_],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The percentile interval of ``statistic``, which takes weights (B, n) and gives (B,); NaN if it can't be said.

    Replicates that leave the statistic undefined are passed over. Where every replicate agrees on 1 or on 0, the draw can't
    show the doubt that so few parts leave, and the end of ``share_interval`` for the smaller class stands in.
    """
    if not len(parts):
        return math.nan, math.nan
    rng = np.random.default_rng(seed)
    values: list[NDArray[np.float64]] = []
    chunk = max(1, _AT_ONCE // len(parts))
    for start in range(0, replicates, chunk):
        weights = part_weights(parts, is_bad, min(chunk, replicates - start), rng)
        values.append(np.atleast_1d(np.asarray(statistic(weights), np.float64)))
    return interval_of(np.concatenate(values), smaller_class(parts, is_bad), level)


def interval_of(values: NDArray[np.float64], fewest: int, level: float = LEVEL) -> Interval:
    """Percentiles of the replicates; ``fewest``: parts of the smaller class, for replicates that all say 1 or all say 0."""
    values = values[np.isfinite(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = (float(v) for v in np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
    if low == high == 1.0:
        return share_interval(fewest, fewest, level)
    if low == high == 0.0:
        return share_interval(0, fewest, level)
    return low, high


def smaller_class(parts: Sequence[Any] | NDArray[Any], is_bad: NDArray[np.bool_]) -> int:
    """How many different parts the class with fewer of them has; a class without any doesn't count."""
    names = np.asarray(parts)
    counts = [len(np.unique(names[chosen])) for chosen in (is_bad, ~is_bad) if chosen.any()]
    return min(counts, default=0)


def _beta_quantile(p: float, a: float, b: float) -> float:
    """Where the beta distribution's sum function reaches ``p``, by bisection to 1e-12."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _beta_cdf(middle, a, b) < p else (low, middle)
        if high - low < 1e-12:
            break
    return (low + high) / 2


def _beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function by its continued fraction (Lentz). https://dlmf.nist.gov/8.17.E22"""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    tiny = 1e-300
    c, d = 1.0, 1 / max(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d = 1 / _away_from_zero(1 + step * d, tiny)
            c = _away_from_zero(1 + step / c, tiny)
            fraction *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return front * fraction / a


def _away_from_zero(value: float, tiny: float) -> float:
    return tiny if abs(value) < tiny else value
