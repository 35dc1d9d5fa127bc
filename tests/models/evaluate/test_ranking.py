"""Image metrics against formulas that go through every pair and every threshold."""

import math

import numpy as np
import pytest

from edge.models.evaluate.ranking import (
    auroc,
    average_precision,
    best_f1,
    false_rejects_at_recall,
    recall_at_false_rejects,
    roc_points,
    steps,
    threshold_at,
)


def by_pairs(scores, bad):
    """AUROC by its definition: every defective picture against every good one."""
    d = scores[bad][:, None] - scores[~bad][None, :]
    return float(np.mean((d > 0) + 0.5 * (d == 0)))


def by_thresholds(scores, bad):
    """Average precision by going through every distinct threshold from the top."""
    total, before, area = bad.sum(), 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        rejected = scores >= threshold
        recall = (rejected & bad).sum() / total
        area += (recall - before) * (rejected & bad).sum() / rejected.sum()
        before = recall
    return float(area)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("levels", [3, 20, 10_000])
def test_areas_equal_the_definitions_also_with_ties(seed, levels):
    rng = np.random.default_rng(seed)
    bad = rng.random(300) < 0.3
    scores = np.floor((rng.random(300) + 0.4 * bad) * levels)
    ranked = steps(scores, bad)
    assert auroc(ranked) == pytest.approx(by_pairs(scores, bad), abs=1e-12)
    assert average_precision(ranked) == pytest.approx(by_thresholds(scores, bad), abs=1e-12)


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(1)
    bad, scores, times = rng.random(50) < 0.4, rng.integers(0, 9, 50).astype(float), rng.integers(0, 4, 50)
    repeated = steps(np.repeat(scores, times), np.repeat(bad, times))
    weighted = steps(scores, bad, np.stack((times, np.ones(50))).astype(float))
    for metric in (auroc, average_precision):
        assert metric(weighted)[0] == pytest.approx(metric(repeated), abs=1e-12)
        assert metric(weighted)[1] == pytest.approx(metric(steps(scores, bad)), abs=1e-12)
    assert recall_at_false_rejects(weighted, 0.1)[0] == pytest.approx(recall_at_false_rejects(repeated, 0.1))
    assert false_rejects_at_recall(weighted, 0.8)[0] == pytest.approx(false_rejects_at_recall(repeated, 0.8))


def test_a_perfect_ranking_and_its_threshold():
    ranked = steps(np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, False, True, True]))
    assert auroc(ranked) == average_precision(ranked) == 1.0
    assert best_f1(ranked) == (1.0, 0.7)
    assert recall_at_false_rejects(ranked, 0.0) == 1.0
    assert false_rejects_at_recall(ranked, 1.0) == 0.0


def test_recall_and_false_rejects_at_the_other_ones_rate():
    scores = np.array([5.0, 4, 3, 2, 1, 0])
    ranked = steps(scores, np.array([True, False, True, False, True, False]))
    assert recall_at_false_rejects(ranked, 0.0) == pytest.approx(1 / 3)
    assert recall_at_false_rejects(ranked, 0.34) == pytest.approx(2 / 3)
    assert false_rejects_at_recall(ranked, 2 / 3) == pytest.approx(1 / 3)


def test_one_class_alone_is_undefined_not_perfect():
    ranked = steps(np.array([1.0, 2.0]), np.array([True, True]))
    assert math.isnan(auroc(ranked))
    assert math.isnan(recall_at_false_rejects(ranked, 0.1))
    good = steps(np.array([1.0, 2.0]), np.array([False, False]))
    assert math.isnan(average_precision(good))
    assert math.isnan(best_f1(good)[0])
    assert math.isnan(false_rejects_at_recall(good, 0.9))
    nothing = steps(np.zeros(0), np.zeros(0, bool))
    assert math.isnan(auroc(nothing))
    assert math.isnan(average_precision(nothing))


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="a score is NaN"):
        steps(np.array([1.0, np.nan]), np.array([True, False]))


def test_a_threshold_rejects_at_most_its_share():
    scores = np.arange(100.0)
    assert (scores >= threshold_at(scores, 0.05)).sum() == 5
    assert (scores >= threshold_at(scores, 0.0)).sum() == 0
    tied = np.array([1.0, 1.0, 1.0, 0.5])
    assert (tied >= threshold_at(tied, 0.5)).sum() == 0  # at 1.0 three of four would be rejected


def test_curves_end_where_they_must_and_are_thinned():
    rng = np.random.default_rng(0)
    bad = rng.random(5000) < 0.5
    x, y = roc_points(steps(rng.random(5000), bad), most=100)
    assert len(x) <= 100
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)
