"""Projections keep what lies together together, and take a sample in which every stratum has its share."""

import numpy as np
import pytest

from edge.shift.projections import pca, stratified, tsne


def test_pca_turns_onto_what_varies_most_and_tells_its_share():
    rng = np.random.default_rng(0)
    common = rng.normal(size=200)
    values = np.stack([common, common + 0.01 * rng.normal(size=200), 0.01 * rng.normal(size=200)], axis=1)
    found, shares = pca(values)
    assert abs(np.corrcoef(found[:, 0], common)[0, 1]) > 0.995  # columns are standardised, the noise too
    assert shares[0] == pytest.approx(2 / 3, abs=0.01)


def test_one_column_and_equal_rows_have_coordinates_too():
    assert pca(np.arange(5.0)[:, None])[0].shape == (5, 2)
    assert (pca(np.ones((4, 3)))[0] == 0).all()


def test_a_sample_has_its_share_of_each_stratum_and_leaves_none_out():
    chosen = stratified(["a"] * 9000 + ["b"] * 990 + ["c"] * 10, 1000)
    assert len(chosen) <= 1000
    assert [int(((chosen >= low) & (chosen < high)).sum()) for low, high in ((0, 9000), (9000, 9990), (9990, 10000))] == [
        900,
        99,
        1,
    ]
    assert stratified(["a"] * 10, 20).tolist() == list(range(10))


def test_tsne_keeps_clusters_apart():
    pytest.importorskip("sklearn", reason="the extra 'report' is not installed")
    rng = np.random.default_rng(0)
    values = np.concatenate((rng.normal(size=(20, 5)), rng.normal(size=(20, 5)) + 10))
    found = tsne(values)
    middles = found[:20].mean(axis=0), found[20:].mean(axis=0)
    spread = max(found[:20].std(), found[20:].std())
    assert np.linalg.norm(middles[0] - middles[1]) > 2 * spread
