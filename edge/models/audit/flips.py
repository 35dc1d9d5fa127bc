"""Labels that the pictures contradict, by disagreement out of fold (pure): the surest first.

Each frame's probability of being defective comes from a logistic curve over the scores of *other* parts, so a wrong label
can't vouch for itself. Northcutt et al., "Confident Learning", JAIR 70 (2021), with one score instead of a classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
_ROUNDS = 40
_RIDGE = 1e-2


@dataclass(frozen=True, slots=True)
class Doubt:
    """One frame in the list of doubtful labels. ``index``: its place in what was given. ``doubt``: 1 minus the probability
    of its label, from 0 to 1.
    """

    index: int
    doubt: float


def doubtful(scores: NDArray[np.float64], is_bad: NDArray[np.bool_], parts: Sequence[str], seed: int = 0) -> list[Doubt]:
    """All frames, those whose label is least likely first; empty if a fold lacks one of the classes.

    ``scores``: (n,) above 0, high for what looks defective. Frames of one part stand in one fold.
    """
    names = sorted(set(parts))
    order = np.random.default_rng(seed).permutation(len(names))
    fold_of = {name: int(order[place]) % FOLDS for place, name in enumerate(names)}
    folds = np.array([fold_of[part] for part in parts])
    values = np.log(np.maximum(scores, 1e-9))
    doubt = np.zeros(len(values))
    for fold in range(FOLDS):
        own, others = folds == fold, folds != fold
        if not own.any():
            continue
        if not is_bad[others].any() or is_bad[others].all():
            return []
        slope, offset = _logistic(values[others], is_bad[others])
        margin = slope * values[own] + offset
        doubt[own] = 1 / (1 + np.exp(np.clip(np.where(is_bad[own], margin, -margin), -500, 500)))
    ranked = np.argsort(-doubt, kind="stable")
    return [Doubt(int(index), float(doubt[index])) for index in ranked]


def _logistic(values: NDArray[np.float64], is_bad: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset by Newton's steps; classes weigh the same, and a ridge keeps the slope finite."""
    middle, spread = float(values.mean()), float(values.std()) or 1.0
    x = (values - middle) / spread
    weight = np.where(is_bad, 0.5 / is_bad.mean(), 0.5 / (1 - is_bad.mean()))
    beta = np.zeros(2)
    design = np.stack((x, np.ones_like(x)), axis=1)
    for _ in range(_ROUNDS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (weight * (is_bad - p)) - _RIDGE * len(x) * np.array([beta[0], 0.0])
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + np.diag([_RIDGE * len(x), 1e-6])
        step = np.linalg.solve(curvature, gradient)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return float(beta[0] / spread), float(beta[1] - beta[0] * middle / spread)
