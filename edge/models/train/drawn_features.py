"""Pictures with defects drawn anew in each epoch, as the memory's frozen backbone sees them: what a head learns from for
longer than kept pictures last.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge.models.fit.memory import MemoryStatistics
from edge.models.train.crops import Crops, DrawnRegion
from edge.models.train.feature_cache import CachedPicture, FeatureCache
from edge.models.train.head import Batch, stacked
from edge.models.train.losses import positive_weight
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache
from edge.models.train.samples import place_targets
from edge.models.train.seen_targets import defective_share, seen_targets, shows_defect, without_surroundings

_LOOKED_AT = 32
"""Regions by which the share of defective places is known before the training."""


class DrawnFeatures:
    """Batches of a head's training; the same ones for the same seed and epoch."""

    def __init__(
        self, pictures: PictureCache, memory: MemoryStatistics, cache: FeatureCache, options: TrainOptions, *, turns: bool
    ) -> None:
        """``cache``: whose mean and deviation bring features to one scale. ``turns``: as for ``Crops``."""
        self._memory, self._options = memory, options
        self._mean, self._deviation = cache.mean, cache.deviation
        self._crops = Crops(pictures, options, turns=turns)
        rng = np.random.default_rng((options.seed, 7))
        targets = [self._learned(self._crops.region(rng, 0.0))[1] for _ in range(_LOOKED_AT)]
        share = defective_share(targets, np.full(_LOOKED_AT, 1 / _LOOKED_AT))
        self.positive = positive_weight(share) if options.balance else 1.0
        """By how much more a defective place counts."""

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Draw the batches of an epoch, ``epoch`` from 0."""
        options = self._options
        rng = np.random.default_rng((options.seed, 8, epoch))
        for step in range(options.steps):
            progress = (epoch + step / options.steps) / options.epochs
            learned = [self._learned(self._crops.region(rng, progress)) for _ in range(options.batch)]
            yield stacked([one[0] for one in learned], [one[1] for one in learned])

    def _learned(self, one: DrawnRegion) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Standardised features (h, w, d) and targets (h, w) of a region."""
        features = self._memory.vectors(np.ascontiguousarray(one.picture))
        targets = place_targets(one.mask, self._memory.net, (features.shape[0], features.shape[1]))
        if one.clean is not None:
            before = self._memory.vectors(np.ascontiguousarray(one.clean))
            targets = seen_targets(targets, before, features, self._memory.deviation)
        elif one.mask.any():
            targets = without_surroundings(targets)
        return np.asarray((features - self._mean) / self._deviation, np.float32), targets


def kept_features(pictures: PictureCache, memory: MemoryStatistics) -> Iterator[CachedPicture]:
    """Give the features of the good training pictures, which bring all to one scale, and of all that is validated on."""
    before: NDArray[np.float32] | None = None
    for one in pictures.kept:
        if one.role == "train" and one.group == "labelled":
            continue
        features = memory.vectors(np.ascontiguousarray(pictures.picture(one)))
        grid = features.shape[0], features.shape[1]
        targets = place_targets(pictures.mask(one), memory.net, grid) if one.has_mask else None
        if one.group == "good":
            before = features  # what is drawn into a picture comes after it
        elif one.group == "synthetic" and before is not None and targets is not None:
            targets = seen_targets(targets, before, features, memory.deviation)
            if not shows_defect(targets):
                continue
        yield CachedPicture(one.role, one.group, one.kind, features, targets)
