"""Every layer counts the same in the space of features, and sums over parts are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from edge.models.fit.feature_space import COMPONENTS, FeatureSums, thinning


def features(count: int = 4000, seed: int = 0) -> np.ndarray:
    """Two layers of 30 and 70 features, the second a thousand times as large, each of a few directions."""
    rng = np.random.default_rng(seed)
    parts = [rng.normal(size=(count, 12)) @ rng.normal(size=(12, width)) for width in (30, 70)]
    return np.concatenate([parts[0] + 5, 1000 * parts[1]], axis=1).astype(np.float32)


def space(vectors: np.ndarray, *, whiten: bool = False) -> object:
    sums = FeatureSums((30, 70))
    sums.add(vectors)
    return sums.space(whiten=whiten)


@pytest.mark.parametrize("whiten", [False, True])
def test_good_features_have_a_total_variance_of_1_about_a_mean_of_0(whiten: bool) -> None:
    vectors = features()
    found = space(vectors, whiten=whiten).project(vectors)
    assert found.shape == (4000, COMPONENTS)
    assert abs(found.var(axis=0).sum() - 1) < 2e-3
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=2e-3)


def test_both_layers_count_the_same_however_large_their_values_are() -> None:
    """A step of one deviation in all features of a layer goes equally far, whichever layer."""
    vectors = features()
    own = space(vectors)
    steps = []
    for layer in (slice(0, 30), slice(30, 100)):
        moved = vectors[:500].copy()
        moved[:, layer] = vectors[500:1000, layer]
        steps.append(np.linalg.norm(own.project(moved) - own.project(vectors[:500]), axis=1).mean())
    assert abs(steps[0] / steps[1] - 1) < 0.1


def test_what_the_components_leave_out_is_told() -> None:
    assert space(features()).share > 0.999
    noise = np.random.default_rng(0).normal(size=(4000, 100)).astype(np.float32)
    assert 0.6 < space(noise).share < 0.8


def test_whitened_all_strong_directions_count_the_same() -> None:
    found = space(features(), whiten=True).project(features())
    variances = found.var(axis=0)
    strong = variances > variances.max() / 3
    assert strong.sum() >= 12


def test_sums_of_parts_are_those_of_the_whole() -> None:
    vectors = features()
    whole, a, b = (FeatureSums((30, 70)) for _ in range(3))
    whole.add(vectors)
    a.add(vectors[:1000])
    b.add(vectors[1000:])
    a.merge(b)
    assert a.count == whole.count
    np.testing.assert_allclose(a.total, whole.total, rtol=1e-9)
    np.testing.assert_allclose(a.products, whole.products, rtol=1e-9)


def test_features_that_never_change_divide_by_nothing() -> None:
    sums = FeatureSums((3,))
    sums.add(np.full((10, 3), 7, np.float32))
    assert np.isfinite(sums.space(whiten=False).project(np.ones((2, 3), np.float32))).all()
    assert np.isfinite(sums.space(whiten=True).project(np.ones((2, 3), np.float32))).all()


def test_wide_layers_are_thinned_out_and_lengths_stay_within_a_fifth() -> None:
    narrow, wide = thinning([384, 2048])
    assert narrow is None
    assert wide is not None
    assert wide.shape == (2048, 384)
    vectors = np.random.default_rng(0).normal(size=(50, 2048))
    ratio = np.linalg.norm(vectors @ wide, axis=1) / np.linalg.norm(vectors, axis=1)
    assert np.abs(ratio - 1).max() < 0.2
