"""The factory's frames come to the head on the scale of the training pictures, the same ones for the same seed."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

from support.trainings import drawn_request, remembered, surface

from edge.models.train.drawn_features import kept_features
from edge.models.train.factory_features import DrawnFactory, FactoryFeatures, KeptFactory, factory_pictures
from edge.models.train.feature_cache import FeatureCache, fill_cache
from edge.models.train.picture_cache import DrawnPicture, PictureCache, fill_pictures

OPTIONS = drawn_request(batch=6).options
MEMORY = remembered()


def pictures(folder: Path, first: int) -> PictureCache:
    folder.mkdir()
    clean = np.zeros((96, 112), np.bool_)
    made = (DrawnPicture("train", "good", "good", surface(first + k)[:, :, None], clean) for k in range(5))
    return fill_pictures(folder, "k", made)


@pytest.fixture(scope="module")
def like(tmp_path_factory: pytest.TempPathFactory) -> FeatureCache:
    folder = tmp_path_factory.mktemp("like")
    return fill_cache(folder, "k", MEMORY.width, kept_features(pictures(folder / "p", 0), MEMORY))


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> PictureCache:
    return pictures(tmp_path_factory.mktemp("line") / "p", 40)


def check_repeats(factory: FactoryFeatures) -> None:
    first, again, other = (list(islice(factory.batches(epoch), 2)) for epoch in (0, 0, 1))
    assert all((a.features == b.features).all() for a, b in zip(first, again, strict=True))
    assert not all((a.features == b.features).all() for a, b in zip(first, other, strict=True))
    assert first[0].features.shape[0] == 3, "half as many as are learned from at once"


def test_kept_frames_are_whole_and_on_the_training_pictures_scale(
    like: FeatureCache, line: PictureCache, tmp_path: Path
) -> None:
    seen = fill_cache(tmp_path, "k", MEMORY.width, factory_pictures(line, MEMORY))
    factory = KeptFactory(seen, like, OPTIONS)
    check_repeats(factory)
    batch = next(factory.batches(0))
    scaled = [(MEMORY.vectors(surface(40 + k)[:, :, None]) - like.mean) / like.deviation for k in range(5)]
    for features in batch.features.numpy().transpose(0, 2, 3, 1):
        assert min(float(np.median(np.abs(features - one))) for one in scaled) < 0.01, "but for float16 on the disk"


def test_whole_frames_come_where_they_are_small_enough(like: FeatureCache, line: PictureCache) -> None:
    factory = DrawnFactory(line, MEMORY, like, replace(OPTIONS, crop=96), turns=True)
    check_repeats(factory)
    batch = next(factory.batches(0))
    assert batch.features.shape == (3, MEMORY.width, *MEMORY.vectors(surface(0)[:, :, None]).shape[:2])
    assert float(batch.targets.max()) == 0
    assert float(batch.valid.min()) == 1
