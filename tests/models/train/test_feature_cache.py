"""Cached features come back as they were computed, and only if they are whole and of the same training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.models.train.feature_cache import FEATURES, INDEX, CachedPicture, fill_cache, open_cache


def pictures(count: int = 3) -> list[CachedPicture]:
    rng = np.random.default_rng(0)
    made = []
    for k in range(count):
        features = rng.normal(k, 1, (3 + k, 4, 6)).astype(np.float32)
        made.append(CachedPicture("train", "good", "good", features, np.zeros((3 + k, 4), np.float32)))
    made.append(CachedPicture("validation", "labelled", "crack", rng.normal(9, 1, (2, 2, 6)).astype(np.float32), None))
    return made


def test_features_come_back_standardised_by_the_good_ones(tmp_path: Path) -> None:
    made = pictures()
    fill_cache(tmp_path, "k", 6, made)
    cache = open_cache(tmp_path, "k")
    assert cache is not None
    assert [(s.height, s.width, s.has_targets) for s in cache.samples] == [
        (3, 4, True),
        (4, 4, True),
        (5, 4, True),
        (2, 2, False),
    ]
    good = np.concatenate([picture.features.reshape(-1, 6) for picture in made[:3]])
    np.testing.assert_allclose(cache.mean, good.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(cache.deviation, good.std(axis=0), rtol=1e-5)
    expected = (made[1].features - cache.mean) / cache.deviation
    np.testing.assert_allclose(cache.standardised(cache.samples[1]), expected, atol=2e-3)  # float16 on the disk


def test_features_of_another_training_or_half_a_file_are_not_used(tmp_path: Path) -> None:
    assert open_cache(tmp_path, "k") is None
    fill_cache(tmp_path, "k", 6, pictures())
    assert open_cache(tmp_path, "other") is None
    whole = (tmp_path / FEATURES).read_bytes()
    (tmp_path / FEATURES).write_bytes(whole[: len(whole) // 2])
    assert open_cache(tmp_path, "k") is None
    (tmp_path / INDEX).write_bytes(b"{")
    assert open_cache(tmp_path, "k") is None


def test_a_feature_that_never_changes_is_not_blown_up(tmp_path: Path) -> None:
    made = pictures()
    for picture in made:
        picture.features[:, :, 2] = 5
    cache = fill_cache(tmp_path, "k", 6, made)
    assert np.abs(cache.standardised(cache.samples[0])[:, :, 2]).max() == 0
    assert cache.deviation[2] == pytest.approx(1e-3 * cache.deviation.max())
