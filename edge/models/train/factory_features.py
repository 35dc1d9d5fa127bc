"""Batches of the factory's unlabelled frames as the memory's frozen backbone sees them: what a head's features are drawn
towards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np

from edge.models.fit.memory import MemoryStatistics
from edge.models.train.crops import Crops
from edge.models.train.feature_cache import CachedPicture, FeatureCache
from edge.models.train.head import Batch, stacked
from edge.models.train.kept_batches import kept_batch
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache


class FactoryFeatures(Protocol):
    """Gives batches of unlabelled frames without end; the same ones for the same seed and epoch."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Draw batches of half as many pictures as are learned from at once, ``epoch`` from 0."""


class KeptFactory:
    """Whole frames, whose features are kept as those of training pictures are."""

    def __init__(self, seen: FeatureCache, like: FeatureCache, options: TrainOptions) -> None:
        """``like``: whose mean and deviation bring features to one scale."""
        self._seen, self._options = replace(seen, mean=like.mean, deviation=like.deviation), options

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self._options.seed, 10, epoch))
        samples = self._seen.samples
        while True:
            chosen = rng.choice(len(samples), min(len(samples), _count(self._options)), replace=False)
            yield kept_batch(self._seen, [samples[int(k)] for k in chosen])


class DrawnFactory:
    """Regions, mirrored as those of training pictures are, but not disturbed: the line has done that."""

    def __init__(
        self, pictures: PictureCache, memory: MemoryStatistics, like: FeatureCache, options: TrainOptions, *, turns: bool
    ) -> None:
        """``like``: whose mean and deviation bring features to one scale. ``turns``: as for ``Crops``."""
        plain = replace(options, augment=(), randaugment=0)
        self._memory, self._like, self._options = memory, like, options
        self._crops = Crops(pictures, plain, turns=turns)

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng((self._options.seed, 10, epoch))
        while True:
            drawn = [self._crops.good_region(rng) for _ in range(_count(self._options))]
            seen = [self._memory.vectors(np.ascontiguousarray(picture)) for picture in drawn]
            features = [np.asarray((one - self._like.mean) / self._like.deviation, np.float32) for one in seen]
            yield stacked(features, [np.zeros(one.shape[:2], np.float32) for one in features])


def factory_pictures(pictures: PictureCache, memory: MemoryStatistics) -> Iterator[CachedPicture]:
    """Give the features of each of the factory's pictures, to be kept."""
    for one in pictures.kept:
        features = memory.vectors(np.ascontiguousarray(pictures.picture(one)))
        yield CachedPicture(one.role, one.group, one.kind, features, np.zeros(features.shape[:2], np.float32))


def _count(options: TrainOptions) -> int:
    """About as many as there are good pictures in a batch."""
    return max(1, options.batch // 2)
