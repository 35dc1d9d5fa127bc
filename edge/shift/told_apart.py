"""Whether two sets of vectors can be told apart at all, and in which numbers they differ (pure).

Frames of one part are alike, so parts are what is drawn, permuted and kept together in folds: two halves of one set must
not look different because each shows parts of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.models.evaluate.intervals import Interval, bootstrap
from edge.models.evaluate.ranking import Floats, auroc, steps
from edge.report.page import missing_report

LEAST: Final = 8
"""Frames, and parts, of each set below which nothing is claimed."""
_FOLDS: Final = 5
_MOST: Final = 600
"""Frames of each set that take part in tests whose cost grows with their square."""
_MOST_DIRECTIONS: Final = 24
_PERMUTATIONS: Final = 999
_P: Final = 0.002
"""A chance of one in 500 that two halves of one set are called different, for each of the two tests."""
_LEAST_AUROC: Final = 0.65
_LEAST_EFFECT: Final = 0.7
"""Robust deviations of single frames by which a statistic's middle must move before it is called changed."""


@dataclass(frozen=True, slots=True)
class Separability:
    """How well the two sets can be told apart.

    ``auroc``: of a classifier of the sets, on parts that it was not trained on, with its 95 % interval. ``mmd``: the
    squared maximum mean discrepancy with a Gaussian kernel, ``p`` its share of permutations that reach it. ``mahalanobis``:
    median distance of the second set from the first, over that of held-out frames of the first.
    """

    auroc: float
    interval: Interval
    mmd: float
    p: float
    mahalanobis: float

    @property
    def is_different(self) -> bool:
        """More than chance, and enough to matter."""
        return self.p <= _P and self.auroc >= _LEAST_AUROC

    @property
    def is_unsure(self) -> bool:
        """Not different by the kernel test, though the classifier's whole interval says that the sets can be told apart."""
        return not self.is_different and self.interval[0] >= _LEAST_AUROC


@dataclass(frozen=True, slots=True)
class Effect:
    """One statistic in both sets. ``middles``: medians. ``z``: the second median's distance in robust deviations of the
    first set. ``delta``: Cliff's, from -1 to 1, the share of pairs in which the second is larger less that in which it is
    smaller. ``p``: of Mann and Whitney's test over parts, times the number of statistics.
    """

    name: str
    unit: str
    middles: tuple[float, float]
    z: float
    delta: float
    p: float

    @property
    def is_changed(self) -> bool:
        return self.p <= _P and abs(self.z) >= _LEAST_EFFECT


def effects(
    names: Sequence[tuple[str, str]], floors: Floats, a: Floats, b: Floats, parts: tuple[Sequence[str], Sequence[str]]
) -> list[Effect]:
    """Every statistic, those that changed most first. ``names``: name and unit of each column of ``a`` (n, k), ``b``
    (m, k). ``floors``: (k,) the least deviation that counts as one.
    """
    of_parts = [_by_part(values, names_) for values, names_ in zip((a, b), parts, strict=True)]
    center = np.median(a, axis=0)
    sigma = np.maximum(1.4826 * np.median(np.abs(a - center), axis=0), floors)
    rows = []
    for column, (name, unit) in enumerate(names):
        first, second = (values[:, column] for values in of_parts)
        delta, p = _mann_whitney(first, second)
        middles = (float(center[column]), float(np.median(b[:, column])))
        z = (middles[1] - middles[0]) / float(sigma[column])
        rows.append(Effect(name, unit, middles, z, delta, min(1.0, p * len(names))))
    return sorted(rows, key=lambda row: (not row.is_changed, -abs(row.z)))


def separability(a: Floats, b: Floats, parts: tuple[Sequence[str], Sequence[str]], *, seed: int = 0) -> Separability:
    """Compare two sets of embeddings, ``a`` (n, d) and ``b`` (m, d); a part's name means the same in both.

    Raises:
        UserError: the extra ``report`` isn't installed.
    """
    rng = np.random.default_rng(seed)
    chosen = [_sample(len(values), rng) for values in (a, b)]
    a, b = (values[rows] for values, rows in zip((a, b), chosen, strict=True))
    names = [np.asarray(list(own), object)[rows] for own, rows in zip(parts, chosen, strict=True)]
    number = {name: i for i, name in enumerate(sorted({*names[0], *names[1]}))}
    groups = np.array([number[name] for own in names for name in own], np.intp)
    values = _reduced(np.concatenate((a, b)))
    is_second = np.arange(len(values)) >= len(a)
    scores = _held_out_scores(values, is_second, groups, seed)
    measured = auroc(steps(scores, is_second))
    sides = 2 * groups + is_second  # a part in both sets counts once in each, so that each draw has both sets
    interval = bootstrap(lambda w: auroc(steps(scores, is_second, w)), sides, is_second, replicates=400, seed=seed)
    mmd, p = _mmd(values, is_second, groups, rng)
    return Separability(float(measured), interval, mmd, p, _mahalanobis(values[~is_second], values[is_second]))


def _sample(count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    return np.arange(count) if count <= _MOST else np.sort(rng.choice(count, _MOST, replace=False))


def _by_part(values: Floats, parts: Sequence[str]) -> Floats:
    names = np.asarray(list(parts), object)
    order = {name: i for i, name in enumerate(dict.fromkeys(parts))}
    if len(order) == len(values):
        return values
    place = np.array([order[name] for name in names])
    return np.stack([np.median(values[place == i], axis=0) for i in range(len(order))])


def _reduced(values: Floats) -> Floats:
    """Standardised over both sets (over one of them, halves would differ), turned onto what all frames vary along most."""
    centred = values - values.mean(axis=0)
    centred /= np.maximum(centred.std(axis=0), 1e-9)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    keep = min(_MOST_DIRECTIONS, max(2, len(values) // 3), max(1, int((singular > 1e-6 * max(singular[0], 1e-12)).sum())))
    return np.asarray(left[:, :keep] * singular[:keep], np.float64)


def _held_out_scores(values: Floats, is_second: NDArray[np.bool_], groups: NDArray[np.intp], seed: int) -> Floats:
    """For each frame how much it looks like the second set, by a classifier that saw no frame of its part."""
    linear_model, model_selection = _sklearn("linear_model", "model_selection")
    folds = max(2, min(_FOLDS, *(len(np.unique(groups[side])) for side in (is_second, ~is_second))))
    split = model_selection.StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    scores = np.zeros(len(values))
    for train, test in split.split(values, is_second, groups):
        if len(np.unique(is_second[train])) < 2:
            continue
        model = linear_model.LogisticRegression(C=0.3, class_weight="balanced", max_iter=500)
        fold = model.fit(values[train], is_second[train]).decision_function(values[test])
        spread = model.decision_function(values[train]).std()
        scores[test] = fold / max(float(spread), 1e-9)  # folds have scales of their own
    return scores


def _mmd(
    values: Floats, is_second: NDArray[np.bool_], groups: NDArray[np.intp], rng: np.random.Generator
) -> tuple[float, float]:
    """The squared discrepancy, and the share of permutations of whole parts that reach it.

    Gretton et al., "A kernel two-sample test", JMLR 13 (2012): Gaussian kernel, width by the median distance.
    """
    squared = (values**2).sum(axis=1)
    distance = np.maximum(squared[:, None] + squared[None, :] - 2 * values @ values.T, 0)
    kernel = np.exp(-distance / max(float(np.median(distance[distance > 0])) if (distance > 0).any() else 1.0, 1e-12))
    np.fill_diagonal(kernel, 0)
    labels = _permuted(is_second, groups, rng)
    found = np.array([_discrepancy(kernel, row) for row in labels])
    return float(found[0]), float((1 + np.sum(found[1:] >= found[0] - 1e-15)) / len(found))


def _permuted(is_second: NDArray[np.bool_], groups: NDArray[np.intp], rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """The sets as they are, and then parts dealt out anew. Parts in both sets stay whole on whichever side they come to."""
    names, place = np.unique(groups, return_inverse=True)
    share = np.bincount(place, weights=is_second) / np.bincount(place)
    if ((share > 0) & (share < 1)).any():  # the same parts in both sets: frames change sides within their part
        rows = [is_second]
        for _ in range(_PERMUTATIONS):
            row = is_second.copy()
            for part in range(len(names)):
                own = np.flatnonzero(place == part)
                row[own] = rng.permutation(is_second[own])
            rows.append(row)
        return rows
    return [is_second, *(rng.permutation(share)[place] > 0.5 for _ in range(_PERMUTATIONS))]


def _discrepancy(kernel: Floats, is_second: NDArray[np.bool_]) -> float:
    m, n = int(is_second.sum()), int((~is_second).sum())
    if m < 2 or n < 2:
        return 0.0
    to_second = kernel @ is_second.astype(np.float64)
    within_second = float(to_second[is_second].sum())
    across = float(to_second[~is_second].sum())
    within_first = float(kernel.sum()) - within_second - 2 * across
    return within_first / (n * (n - 1)) + within_second / (m * (m - 1)) - 2 * across / (m * n)


def _mahalanobis(a: Floats, b: Floats) -> float:
    """Distances by the covariance of the first set, shrunk by Ledoit and Wolf's rule; the first's own are held out."""
    (covariance,) = _sklearn("covariance")
    folds = np.arange(len(a)) % _FOLDS
    own, others = [], []
    for fold in range(_FOLDS):
        train = a[folds != fold]
        if len(train) < 2 or not (folds == fold).any():
            continue
        model = covariance.LedoitWolf().fit(train)
        own.append(model.mahalanobis(a[folds == fold]))
        others.append(model.mahalanobis(b))
    if not own:
        return math.nan
    return float(np.sqrt(np.median(np.concatenate(others)) / max(float(np.median(np.concatenate(own))), 1e-12)))


def _mann_whitney(first: Floats, second: Floats) -> tuple[float, float]:
    """Cliff's delta, and the two-sided probability of Mann and Whitney's test by the normal approximation with ties."""
    n, m = len(first), len(second)
    both = np.concatenate((first, second))
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    u = float(ranks[n:].sum()) - m * (m + 1) / 2
    delta = 2 * u / (n * m) - 1
    total = n + m
    ties = float(np.sum(counts.astype(np.float64) ** 3 - counts)) / max(total * (total - 1), 1)
    variance = n * m / 12 * (total + 1 - ties)
    if variance <= 0:
        return delta, 1.0
    z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance)
    return delta, math.erfc(z / math.sqrt(2))


def _sklearn(*names: str) -> list[Any]:
    from importlib import import_module

    try:
        return [import_module(f"sklearn.{name}") for name in names]
    except ImportError:
        raise missing_report("whether two sets can be told apart (scikit-learn)") from None
