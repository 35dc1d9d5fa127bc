"""How well scores rank defective pictures above good ones (pure): AUROC, average precision, F1, recall at a share of
rejects.

A picture is rejected where its score is at least the threshold, as the line decides. Equal scores are never told apart:
every formula treats them as one step. A value that a class without pictures leaves undefined is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """Scores in descending order, equal ones together: what a threshold at each of them rejects.

    ``thresholds``: (k,) the distinct scores. ``bad``, ``good``: (k,) or (B, k), the weight of defective and of good
    pictures at or above each; B rows where the weights had B rows.
    """

    thresholds: Floats
    bad: Floats
    good: Floats


def steps(scores: Floats, is_bad: NDArray[np.bool_], weights: Floats | None = None) -> Steps:
    """Sort ``scores`` (n,) once and sum what lies at or above each distinct one.

    ``weights``: (n,) or (B, n), how often each picture counts; None: once.

    Raises:
        ValueError: a score is NaN.
    """
    scores = np.asarray(scores, np.float64)
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], [True] * bool(len(ordered))))
    weight = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)
    weight, bad = weight[..., order], np.asarray(is_bad, bool)[order]
    return Steps(
        ordered[last],
        np.cumsum(weight * bad, axis=-1)[..., last],
        np.cumsum(weight * ~bad, axis=-1)[..., last],
    )


def auroc(ranked: Steps) -> Any:
    """Area under the ROC curve: the probability that a defective picture scores above a good one, ties counted half.

    Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006), algorithm 3. A float, or (B,).
    """
    bad, good = _from_nothing(ranked.bad), _from_nothing(ranked.good)
    area = np.sum(np.diff(good, axis=-1) * (bad[..., 1:] + bad[..., :-1]) / 2, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _plain(area / (bad[..., -1] * good[..., -1]))


def average_precision(ranked: Steps) -> Any:
    """Mean of the precision at each recall step: sum of (R_k - R_(k-1)) P_k, without interpolation. A float, or (B,)."""
    bad = _from_nothing(ranked.bad)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = ranked.bad / (ranked.bad + ranked.good)
        gained = np.diff(bad, axis=-1)
        return _plain(np.sum(np.where(gained > 0, gained * precision, 0.0), axis=-1) / bad[..., -1])


def best_f1(ranked: Steps) -> tuple[float, float]:
    """The largest F1 over all thresholds, and the highest threshold that reaches it; NaN without a defective picture."""
    if not ranked.bad.size or ranked.bad[-1] <= 0:
        return float("nan"), float("nan")
    f1 = 2 * ranked.bad / (ranked.bad + ranked.good + ranked.bad[-1])
    at = int(np.argmax(f1))
    return float(f1[at]), float(ranked.thresholds[at])


def recall_at_false_rejects(ranked: Steps, rate: float) -> Any:
    """The largest recall at a threshold that rejects at most ``rate`` (0 to 1) of the good pictures. A float, or (B,)."""
    allowed = ranked.good <= rate * _last(ranked.good) * (1 + 1e-12)
    reached = np.where(allowed, ranked.bad, 0.0).max(axis=-1, initial=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = reached / _last(ranked.bad)[..., 0]
    return _plain(np.where(_last(ranked.good)[..., 0] > 0, recall, np.nan))


def false_rejects_at_recall(ranked: Steps, recall: float) -> Any:
    """The least share of good pictures rejected at a threshold with at least ``recall`` (0 to 1). A float, or (B,)."""
    enough = ranked.bad >= recall * _last(ranked.bad) * (1 - 1e-12)
    rejected = np.where(enough, ranked.good, np.inf).min(axis=-1, initial=np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = rejected / _last(ranked.good)[..., 0]
    return _plain(np.where(_last(ranked.bad)[..., 0] > 0, share, np.nan))


def threshold_at(good_scores: Floats, rate: float) -> float:
    """The lowest threshold that rejects at most ``rate`` of these good scores; just above their maximum for a small rate.

    NaN without a score.
    """
    if not len(good_scores):
        return float("nan")
    ordered = np.sort(np.asarray(good_scores, np.float64))[::-1]
    allowed = int(np.floor(rate * len(ordered) * (1 + 1e-12)))
    if allowed >= len(ordered):
        return float(ordered[-1])
    return float(np.nextafter(np.float32(ordered[allowed]), np.float32(np.inf)))  # maps are compared in float32


def roc_points(ranked: Steps, most: int = 400) -> tuple[Floats, Floats]:
    """False-reject rate and recall along the ROC curve, from (0, 0) to (1, 1), thinned to about ``most`` points."""
    good, bad = _from_nothing(ranked.good), _from_nothing(ranked.bad)
    keep = thinned(len(good), most)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (good / good[-1])[keep], (bad / bad[-1])[keep]


def precision_points(ranked: Steps, most: int = 400) -> tuple[Floats, Floats]:
    """Recall and precision along the curve, thinned to about ``most`` points."""
    keep = thinned(len(ranked.bad), most)
    with np.errstate(divide="ignore", invalid="ignore"):
        return (ranked.bad / _last(ranked.bad))[keep], (ranked.bad / (ranked.bad + ranked.good))[keep]


def thinned(count: int, most: int) -> NDArray[np.intp]:
    """Indices of at most ``most`` of ``count`` points, evenly spaced, with the first and the last."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, most)).round().astype(np.intp))


def _from_nothing(sums: Floats) -> Floats:
    """The sums with a 0 in front: a threshold above every score rejects nothing."""
    return np.concatenate((np.zeros((*sums.shape[:-1], 1)), sums), axis=-1)


def _last(sums: Floats) -> Floats:
    return sums[..., -1:] if sums.shape[-1] else np.zeros((*sums.shape[:-1], 1))


def _plain(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value
