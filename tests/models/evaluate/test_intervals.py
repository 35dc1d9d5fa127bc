"""Intervals against published values, and what a bootstrap over parts must do."""

import numpy as np
import pytest

from edge.models.evaluate.intervals import bootstrap, part_share_interval, part_weights, share_interval, smaller_class
from edge.models.evaluate.ranking import auroc, steps


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        (3, 3, 0.2924, 1.0),  # three cracks, all caught
        (0, 10, 0.0, 0.3085),
        (5, 10, 0.1871, 0.8129),
        (1, 20, 0.0013, 0.2487),
        (95, 100, 0.8872, 0.9836),
        (500, 1000, 0.4686, 0.5314),
    ],
)
def test_shares_have_the_exact_binomial_interval(hits, count, low, high):
    assert share_interval(hits, count) == pytest.approx((low, high), abs=1e-4)


def test_nothing_seen_says_nothing():
    assert share_interval(0, 0) == (0.0, 1.0)


def test_many_pictures_of_one_part_promise_no_more_than_the_part():
    hits = np.ones(30, bool)
    assert part_share_interval(hits, np.repeat(np.arange(3), 10)) == pytest.approx((0.2924, 1.0), abs=1e-4)
    assert part_share_interval(hits, np.arange(30))[0] > 0.88


def test_frames_of_a_part_are_drawn_together_and_both_classes_stay():
    parts = np.array([0, 0, 1, 1, 2, 3])
    bad = np.array([True, False, True, True, False, False])
    weights = part_weights(parts, bad, 200, np.random.default_rng(0))
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 2] == weights[:, 3]).all()
    assert (weights[:, [0, 2]].sum(axis=1) == 2).all()
    assert (weights[:, [4, 5]].sum(axis=1) == 2).all()


def test_a_bootstrap_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        bad = np.arange(120) < 40
        scores = rng.normal(size=120) + bad
        low, high = bootstrap(
            lambda w, s=scores, b=bad: auroc(steps(s, b, w)), np.arange(120), bad, replicates=200, seed=seed
        )
        hits += low <= 0.7602 <= high  # AUROC of two normals one deviation apart
    assert 34 <= hits <= 40


def test_pictures_that_repeat_their_part_do_not_narrow_the_interval():
    rng = np.random.default_rng(3)
    bad = np.arange(40) % 4 == 0
    scores = rng.normal(size=40) + bad

    def width(repeats, parts):
        repeated, defective = np.repeat(scores, repeats), np.repeat(bad, repeats)
        low, high = bootstrap(lambda w: auroc(steps(repeated, defective, w)), parts, defective, replicates=400)
        return high - low

    honest = width(1, np.arange(40))
    assert width(10, np.repeat(np.arange(40), 10)) == pytest.approx(honest, rel=0.01)
    assert width(10, np.arange(400)) < 0.5 * honest  # what drawing pictures would claim


def test_a_perfect_score_of_three_parts_stays_doubtful():
    bad = np.array([True, True, True] + [False] * 20)
    low, high = bootstrap(lambda w: auroc(steps(bad * 1.0, bad, w)), np.arange(23), bad, replicates=100)
    assert (low, high) == pytest.approx((0.2924, 1.0), abs=1e-4)


def test_the_same_seed_gives_the_same_interval():
    bad = np.arange(30) < 10
    scores = np.random.default_rng(0).random(30)
    first, second = (bootstrap(lambda w: auroc(steps(scores, bad, w)), np.arange(30), bad, seed=5) for _ in range(2))
    assert first == second


def test_the_smaller_class_is_counted_in_parts():
    assert smaller_class(["a", "a", "b", "c"], np.array([True, True, False, False])) == 1
    assert smaller_class(["a", "b"], np.array([False, False])) == 2
