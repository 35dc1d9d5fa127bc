"""Perlin noise is smooth, has no mean, and its grain is the one asked for."""

from __future__ import annotations

import numpy as np

from edge.disturb.perlin import perlin


def test_a_field_is_centred_smooth_and_the_same_for_one_seed() -> None:
    field = perlin(np.random.default_rng(1), (200, 120), 20)
    assert field.shape == (120, 200)
    assert field.dtype == np.float32
    assert abs(float(field.mean())) < 0.05
    assert 0.3 < float(np.abs(field).max()) < 0.8
    assert float(np.abs(np.diff(field, axis=0)).max()) < 0.15, "it changes by less than 3 / grain from px to px"
    assert np.array_equal(field, perlin(np.random.default_rng(1), (200, 120), 20))


def test_a_coarser_grain_changes_more_slowly() -> None:
    fine, coarse = (perlin(np.random.default_rng(2), (256, 256), grain) for grain in (8, 64))
    steps = [float(np.abs(np.diff(field, axis=1)).mean()) for field in (fine, coarse)]
    assert 6 < steps[0] / steps[1] < 10
