"""A head's standardisation, measured anew, undoes what a shift did to the features, by as much as the frames count."""

from __future__ import annotations

import numpy as np
import pytest
from support.trainings import seeded_head

from edge.models.train.shifted_head import measured_anew

RNG = np.random.default_rng(3)
GRIDS = [RNG.normal(5.0, 2.0, (6, 4 + k, 7)).astype(np.float32) for k in range(3)]
HEAD = seeded_head(7)


def test_mean_and_variance_are_those_of_lab_and_factory_by_the_share() -> None:
    made, moved = measured_anew(HEAD, GRIDS, 0.25)
    rows = np.concatenate([grid.reshape(-1, 7) for grid in GRIDS]).astype(np.float64)
    mean = 0.75 * HEAD.mean + 0.25 * rows.mean(axis=0)
    np.testing.assert_allclose(made.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(made.deviation**2, 0.75 * HEAD.deviation**2 + 0.25 * rows.var(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moved, np.abs(mean - HEAD.mean) / HEAD.deviation, rtol=1e-4)
    assert made.arrays is HEAD.arrays


def test_a_gain_and_an_offset_of_every_feature_are_undone_whole_by_the_whole_share() -> None:
    lab, _ = measured_anew(HEAD, GRIDS, 1.0)
    gain = np.linspace(0.5, 2.0, 7, dtype=np.float32)
    here, _ = measured_anew(lab, [grid * gain - 3 for grid in GRIDS], 1.0)
    for grid in GRIDS:
        before = grid.reshape(-1, 7) @ lab.folded()[0] + lab.folded()[1]
        after = (grid * gain - 3).reshape(-1, 7) @ here.folded()[0] + here.folded()[1]
        np.testing.assert_allclose(after, before, atol=1e-4)


def test_without_a_share_nothing_changes() -> None:
    made, moved = measured_anew(HEAD, GRIDS, 0.0)
    assert made.mean == pytest.approx(HEAD.mean)
    assert made.deviation == pytest.approx(HEAD.deviation, rel=1e-6)
    assert not moved.any()
