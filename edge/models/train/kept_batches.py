"""Batches of kept features: pictures drawn by their chances, and by a curriculum the strongest synthetic defects first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.models.train.feature_cache import CachedSample, FeatureCache
from edge.models.train.head import Batch, stacked
from edge.models.train.losses import positive_weight
from edge.models.train.options import TrainOptions
from edge.models.train.seen_targets import defective_share
from edge.models.train.shares import STRONGEST_OF, chances


class KeptFeatures:
    """Batches of a head's training; the same ones for the same seed and epoch."""

    def __init__(self, cache: FeatureCache, options: TrainOptions) -> None:
        self._cache, self._options = cache, options
        self._learned = [sample for sample in cache.of("train") if sample.has_targets]
        self._chances = chances(self._learned)
        targets = [cache.target(sample) for sample in self._learned]
        self.positive = positive_weight(defective_share(targets, self._chances)) if options.balance else 1.0
        """By how much more a defective place counts."""
        self.steps = -(-len(self._learned) // options.batch)
        """Batches of an epoch."""
        self._synthetic = np.array([k for k, sample in enumerate(self._learned) if sample.group == "synthetic"], np.intp)
        self._strengths = self._strengths_of() if options.curriculum and len(self._synthetic) else {}

    def batches(self, epoch: int) -> Iterator[Batch]:
        """Give as many pictures as there are, ``epoch`` from 0."""
        rng = np.random.default_rng((self._options.seed, 5, epoch))
        order = rng.choice(len(self._learned), len(self._learned), p=self._chances)
        if self._strengths:
            order = self._strongest_first(rng, order, epoch)
        for at in range(0, len(order), self._options.batch):
            yield kept_batch(self._cache, [self._learned[int(k)] for k in order[at : at + self._options.batch]])

    def _strongest_first(self, rng: np.random.Generator, order: NDArray[np.intp], epoch: int) -> NDArray[np.intp]:
        """Put the strongest of three synthetic defects in a drawn one's place, the less often the longer it trains."""
        of = self._chances[self._synthetic]
        chosen = order.copy()
        for place, own in enumerate(order):
            progress = (epoch + place / len(order)) / self._options.epochs
            if int(own) in self._strengths and rng.random() > progress:
                others = rng.choice(self._synthetic, STRONGEST_OF - 1, p=of / of.sum())
                chosen[place] = max((int(own), *map(int, others)), key=self._strengths.__getitem__)
        return chosen

    def _strengths_of(self) -> dict[int, float]:
        """How far the defective places of each synthetic defect lie from the mean of good ones, in deviations."""
        found = {}
        for k in map(int, self._synthetic):
            targets = np.nan_to_num(self._cache.target(self._learned[k]))
            where = targets >= min(0.5, float(targets.max()))
            found[k] = float(np.abs(self._cache.standardised(self._learned[k])[where]).mean())
        return found


def kept_batch(cache: FeatureCache, samples: Sequence[CachedSample]) -> Batch:
    """Return kept pictures, of different sizes maybe, in one batch."""
    return stacked([cache.standardised(sample) for sample in samples], [cache.target(sample) for sample in samples])
