"""Cut-outs with defects drawn anew in each epoch, as the memory's frozen backbone sees them: what a head learns from for
longer than kept pictures last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from edge.models.fit.memory import MemoryStatistics
from edge.models.train.crops import Crops
from edge.models.train.feature_cache import CachedPicture, FeatureCache
from edge.models.train.head import Batch
from edge.models.train.losses import positive_weight
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache
from edge.models.train.samples import place_targets

_COUNTED = 64
"""Cut-outs by which the share of defective places is known before the training."""


class DrawnFeatures:
    """Batches of a head's training; the same ones for the same seed and epoch."""

    def __init__(
        self, pictures: PictureCache, memory: MemoryStatistics, cache: FeatureCache, options: TrainOptions, *, turns: bool
    ) -> None:
        """``cache``: whose mean and deviation bring features to one scale. ``turns``: as for ``Crops``."""
        self._memory, self._options = memory, options
        self._mean, self._deviation = cache.mean, cache.deviation
        self._crops = Crops(pictures, options, turns=turns, stride=memory.net.stride, first=memory.net.first)
        counted = self._crops.batch(np.random.default_rng((options.seed, 7)), _COUNTED, 0.0)
        share = float((counted.targets * counted.valid).sum() / counted.valid.sum())
        self.positive = positive_weight(share) if options.balance else 1.0
        """By how much more a defective place counts."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Draw the batches of an epoch, ``epoch`` from 0."""
        options = self._options
        rng = np.random.default_rng((options.seed, 8, epoch))
        for step in range(options.steps):
            cut = self._crops.batch(rng, options.batch, (epoch + step / options.steps) / options.epochs)
            features = np.stack([self._standardised(picture) for picture in cut.pictures])
            yield Batch(torch.from_numpy(features), torch.from_numpy(cut.targets), torch.from_numpy(cut.valid))

    def _standardised(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (d, h, w) of a cut-out."""
        values = (self._memory.vectors(np.ascontiguousarray(picture)) - self._mean) / self._deviation
        return np.ascontiguousarray(values.transpose(2, 0, 1), np.float32)


def kept_features(pictures: PictureCache, memory: MemoryStatistics) -> Iterator[CachedPicture]:
    """Give the features of the good training pictures, which bring all to one scale, and of all that is validated on."""
    for one in pictures.kept:
        if one.role == "train" and one.group == "labelled":
            continue
        features = memory.vectors(np.ascontiguousarray(pictures.picture(one)))
        grid = features.shape[0], features.shape[1]
        targets = place_targets(pictures.mask(one), memory.net, grid) if one.has_mask else None
        yield CachedPicture(one.role, one.group, one.kind, features, targets)
