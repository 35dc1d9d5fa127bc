"""Kept features come in batches by their chances; a curriculum shows the strongest defects first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from edge.models.train.feature_cache import CachedPicture, FeatureCache, fill_cache
from edge.models.train.kept_batches import KeptFeatures, kept_batch
from edge.models.train.options import TrainOptions

WIDTH = 4


def kept(folder: Path, strengths: Sequence[float]) -> FeatureCache:
    """Good pictures of two sizes, and as many with a defective place that lies ``strengths`` above them."""
    rng = np.random.default_rng(0)
    made = []
    for k, strength in enumerate(strengths):
        size = (3, 4) if k % 2 else (5, 2)
        clean = np.zeros(size, np.float32)
        made.append(CachedPicture("train", "good", "good", rng.normal(0, 1, (*size, WIDTH)).astype(np.float32), clean))
        features, targets = rng.normal(0, 1, (*size, WIDTH)).astype(np.float32), clean.copy()
        features[1, 1] = strength
        targets[1, 1] = 1
        made.append(CachedPicture("train", "synthetic", "blot", features, targets))
    return fill_cache(folder, "k", WIDTH, made)


def strengths_shown(batches: KeptFeatures, epoch: int) -> float:
    """The mean of the highest feature at defective places of an epoch."""
    shown = []
    for batch in batches.batches(epoch):
        for features, targets in zip(batch.features, batch.targets, strict=True):
            if targets.max() > 0:
                shown.append(float(features[:, targets[0] > 0].mean()))
    return float(np.mean(shown))


def goods(batches: KeptFeatures) -> int:
    """Good pictures in the first epoch."""
    return sum(float(targets.max()) == 0 for batch in batches.batches(0) for targets in batch.targets)


def test_pictures_of_two_sizes_lie_in_one_batch_and_are_known_from_the_padding(tmp_path: Path) -> None:
    cache = kept(tmp_path, [3, 3])
    batch = kept_batch(cache, cache.samples)
    assert batch.features.shape == (4, WIDTH, 5, 4)
    assert batch.valid.sum(dim=(1, 2, 3)).tolist() == [10, 10, 12, 12]
    assert float((batch.features * (1 - batch.valid)).abs().max()) == 0
    np.testing.assert_array_equal(
        batch.features[3, :, :3, :4].numpy().transpose(1, 2, 0), cache.standardised(cache.samples[3])
    )


def test_an_epoch_has_as_many_pictures_as_there_are_and_the_same_ones_for_its_number(tmp_path: Path) -> None:
    batches = KeptFeatures(kept(tmp_path, [3] * 10), TrainOptions(batch=8))
    first, again, other = ([batch.features for batch in batches.batches(epoch)] for epoch in (0, 0, 1))
    assert batches.steps == len(first) == 3
    assert [len(features) for features in first] == [8, 8, 4]
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not all(a.shape == b.shape and (a == b).all() for a, b in zip(first, other, strict=True))


def test_a_curriculum_shows_strong_defects_first_and_any_at_the_end(tmp_path: Path) -> None:
    cache = kept(tmp_path, list(np.linspace(2, 8, 120)))
    plain, led = (KeptFeatures(cache, TrainOptions(epochs=10, curriculum=on)) for on in (False, True))
    usual = np.mean([strengths_shown(plain, epoch) for epoch in range(10)])
    assert strengths_shown(led, 0) > 1.15 * usual, "the highest of three lies a quarter of the range above the mean"
    assert abs(strengths_shown(led, 9) - usual) < 0.1 * usual
    assert goods(led) == goods(plain), "as many good ones as without"
