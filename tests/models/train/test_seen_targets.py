"""What a place is to be called counts where a defect can be seen, and not where nobody knows."""

from __future__ import annotations

import numpy as np

from edge.models.train.seen_targets import BESIDE, defective_share, seen_targets, shows_defect, without_surroundings

RNG = np.random.default_rng(0)
BEFORE = RNG.normal(0, 2, (6, 8, 20)).astype(np.float32)
DEVIATION = np.full(20, 2, np.float32)


def changed(by: float, where: tuple[slice, slice]) -> np.ndarray:
    """Each feature of the places moved by so many deviations."""
    after = BEFORE.copy()
    after[where] += 2 * by
    return after


def test_a_place_counts_where_the_features_say_what_the_mask_says() -> None:
    targets = np.zeros((6, 8), np.float32)
    targets[2:4, 2:4] = 1
    strong, faint, beside = (slice(2, 3), slice(2, 4)), (slice(3, 4), slice(2, 4)), (slice(2, 4), slice(4, 5))
    after = changed(1.0, strong)
    after[faint] += 2 * 0.2
    after[beside] += 2 * 0.2
    found = seen_targets(targets, BEFORE, after, DEVIATION)
    assert (found[strong] == 1).all()
    assert np.isnan(found[faint]).all(), "no feature shows it"
    assert np.isnan(found[beside]).all(), "features change beside it"
    assert np.isnan(found).sum() == 4
    assert shows_defect(found)
    assert not shows_defect(seen_targets(targets, BEFORE, BEFORE, DEVIATION))


def test_around_a_labelled_defect_nobody_knows() -> None:
    targets = np.zeros((9, 9), np.float32)
    targets[4, 4] = 0.5
    found = without_surroundings(targets)
    side = 2 * BESIDE + 1
    assert found[4, 4] == 0.5
    assert np.isnan(found).sum() == side * side - 1
    assert (found[:1] == 0).all()
    good = np.zeros((3, 3), np.float32)
    np.testing.assert_array_equal(without_surroundings(good), good)


def test_the_share_is_of_what_counts() -> None:
    half = np.array([[1, 0, np.nan, np.nan]], np.float32)
    good = np.zeros((1, 4), np.float32)
    assert defective_share([half], np.array([1.0])) == 0.5
    assert defective_share([half, good], np.array([0.5, 0.5])) == (0.25 * 0.5) / (0.5 * 0.5 + 0.5)
    assert defective_share([np.full((2, 2), np.nan, np.float32)], np.array([1.0])) == 0
