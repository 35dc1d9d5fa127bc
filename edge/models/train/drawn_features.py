"""Pictures with defects drawn anew in each epoch, as the memory's frozen backbone sees them: what a head learns from for
longer than kept ones last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.models.fit.memory import MemoryStatistics
from edge.models.train.crops import Crops
from edge.models.train.feature_cache import CachedPicture, FeatureCache
from edge.models.train.head import Batch, batch_of
from edge.models.train.losses import positive_weight
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import KeptPicture, PictureCache
from edge.models.train.samples import place_targets

_COUNTED = 64
"""Pictures by which the share of defective places is known before the training."""


class DrawnFeatures:
    """Batches of a head's training; the same ones for the same seed and epoch."""

    def __init__(
        self, pictures: PictureCache, memory: MemoryStatistics, cache: FeatureCache, options: TrainOptions
    ) -> None:
        """``cache``: of ``kept_features`` of the same pictures."""
        self._memory, self._cache, self._options = memory, cache, options
        self._known = dict(zip(_kept_of(pictures), cache.samples, strict=True))
        self._pictures = Crops(pictures, options, turns=False, whole=True)
        rng = np.random.default_rng((options.seed, 7))
        drawn = [self._pictures.one(rng, 0.0).mask for _ in range(_COUNTED)]
        share = float(np.mean([place_targets(mask, memory.net, _grid(mask, memory.net.stride)).mean() for mask in drawn]))
        self.positive = positive_weight(share) if options.balance else 1.0
        """By how much more a defective place counts."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Draw the batches of an epoch, ``epoch`` from 0."""
        options = self._options
        rng = np.random.default_rng((options.seed, 8, epoch))
        for step in range(options.steps):
            progress = (epoch + step / options.steps) / options.epochs
            yield batch_of([self._one(rng, progress) for _ in range(options.batch)])

    def _one(self, rng: np.random.Generator, progress: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (h, w, d) of a picture, and targets (h, w)."""
        drawn = self._pictures.one(rng, progress)
        known = None if drawn.kept is None else self._known.get(drawn.kept)
        if known is not None:
            return self._cache.standardised(known), self._cache.target(known)
        features = self._memory.vectors(np.ascontiguousarray(drawn.picture))
        targets = place_targets(drawn.mask, self._memory.net, (features.shape[0], features.shape[1]))
        return np.asarray((features - self._cache.mean) / self._cache.deviation, np.float32), targets


def kept_features(pictures: PictureCache, memory: MemoryStatistics) -> Iterator[CachedPicture]:
    """Give the features of the good training pictures and of all that is validated on, in the order of ``pictures``."""
    for one in _kept_of(pictures):
        features = memory.vectors(np.ascontiguousarray(pictures.picture(one)))
        grid = features.shape[0], features.shape[1]
        targets = place_targets(pictures.mask(one), memory.net, grid) if one.has_mask else None
        yield CachedPicture(one.role, one.group, one.kind, features, targets)


def _kept_of(pictures: PictureCache) -> list[KeptPicture]:
    return [one for one in pictures.kept if one.role == "validation" or one.group != "labelled"]


def _grid(mask: NDArray[np.bool_], stride: int) -> tuple[int, int]:
    return max(1, mask.shape[0] // stride), max(1, mask.shape[1] // stride)
