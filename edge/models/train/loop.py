"""The training of the head: epochs over the cached features."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge.models.train.checkpoint import Epoch, TrainingState
from edge.models.train.drawn_features import DrawnFeatures
from edge.models.train.epochs import EpochLimits, Learned, NotANumberError, image_auroc, run_epochs
from edge.models.train.feature_cache import CachedSample, FeatureCache
from edge.models.train.head import Batch, DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.losses import dice, focal, positive_weight
from edge.models.train.optimiser import cosine, moments_of, put_back
from edge.models.train.options import TrainOptions
from edge.models.train.shares import chances


def train_head(
    cache: FeatureCache,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    drawn: DrawnFeatures | None = None,
    start: HeadWeights | None = None,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> Learned[HeadWeights]:
    """Train, and return the weights of the epoch with the lowest validation loss.

    ``folder``: for checkpoints; ``key``: what they depend on. ``drawn``: what is learned from in the place of the cache's
    own training pictures. ``start``: weights to go on from. The same cache, options and
    number of threads give the same weights, whether or not the run was killed in between.

    Raises:
        UserError: the loss was NaN before any weights were good, or a checkpoint is of another training.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    limits = EpochLimits(options.epochs, options.patience)
    training = _Training(cache, options, start, drawn)
    learned = run_epochs(training, limits, folder, key, resume=resume, epoch_done=epoch_done)
    return learned.with_weights(HeadWeights(learned.weights, cache.mean, cache.deviation))


class _Training:
    """The head, its optimiser and the pictures of one training."""

    def __init__(
        self, cache: FeatureCache, options: TrainOptions, start: HeadWeights | None, drawn: DrawnFeatures | None
    ) -> None:
        self._cache, self._options, self._drawn = cache, options, drawn
        torch.manual_seed(options.seed)
        self._head = DefectHead(cache.width, options.hidden)
        if start is not None:
            load(self._head, start.arrays)
        self._optimiser = torch.optim.Adam(self._head.parameters(), lr=options.rate)
        self._learned = [sample for sample in cache.of("train") if sample.has_targets]
        self._validated = cache.of("validation")
        self._chances = chances(self._learned)
        share = sum(float(cache.target(s).mean()) * float(c) for s, c in zip(self._learned, self._chances, strict=True))
        self._positive = positive_weight(share) if options.balance else 1.0
        self._steps = -(-len(self._learned) // options.batch)
        if drawn is not None:
            self._positive, self._steps = drawn.positive, options.steps

    def epoch(self, number: int) -> float:
        """Go through as many batches as an epoch has; the mean loss."""
        self._head.train()
        losses = []
        for step, batch in enumerate(self._kept(number) if self._drawn is None else self._drawn.batches(number)):
            cosine(self._optimiser, self._options.rate, (number + step / self._steps) / self._options.epochs)
            self._optimiser.zero_grad()
            loss = self._loss(batch)
            if not torch.isfinite(loss):
                raise NotANumberError(step + 1)
            loss.backward()
            self._optimiser.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self) -> tuple[float, float | None, float | None]:
        """The loss on validation parts, and the image AUROC of synthetic and of real defects there."""
        self._head.eval()
        losses: list[float] = []
        highest: dict[str, list[float]] = {}
        with torch.no_grad():
            for sample in self._validated:
                batch = self._batch([sample])
                logits = self._head(batch.features, batch.valid)
                highest.setdefault(sample.group, []).append(float(logits.max()))
                if sample.has_targets:
                    losses.append(float(self._measured(logits, batch)))
        loss = float(np.mean(losses))
        if not np.isfinite(loss):
            raise NotANumberError(self._steps)
        good = highest.get("good", [])
        return loss, image_auroc(highest.get("synthetic", []), good), image_auroc(highest.get("labelled", []), good)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return dict(weights_of(self._head, self._cache.mean, self._cache.deviation).arrays)

    def moments(self) -> dict[str, NDArray[np.float32]]:
        return moments_of(self._optimiser)

    def restore(self, kept: TrainingState) -> None:
        load(self._head, kept.weights)
        put_back(self._optimiser, kept.moments)

    def _kept(self, number: int) -> Iterator[Batch]:
        """Give as many pictures as there are, drawn by their chances."""
        rng = np.random.default_rng((self._options.seed, 5, number))
        order = rng.choice(len(self._learned), len(self._learned), p=self._chances)
        for at in range(0, len(order), self._options.batch):
            yield self._batch([self._learned[int(k)] for k in order[at : at + self._options.batch]])

    def _loss(self, batch: Batch) -> torch.Tensor:
        return self._measured(self._head(batch.features, batch.valid), batch)

    def _measured(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        loss = focal(logits, batch.targets, batch.valid, self._options.focal, self._positive)
        if self._options.dice > 0:
            loss = loss + self._options.dice * dice(logits, batch.targets, batch.valid)
        return loss

    def _batch(self, samples: Sequence[CachedSample]) -> Batch:
        height, width = max(s.height for s in samples), max(s.width for s in samples)
        features = np.zeros((len(samples), height, width, self._cache.width), np.float32)
        targets = np.zeros((len(samples), 1, height, width), np.float32)
        valid = np.zeros_like(targets)
        for row, sample in enumerate(samples):
            features[row, : sample.height, : sample.width] = self._cache.standardised(sample)
            targets[row, 0, : sample.height, : sample.width] = self._cache.target(sample)
            valid[row, 0, : sample.height, : sample.width] = 1
        planes = torch.from_numpy(features).permute(0, 3, 1, 2)
        return Batch(planes, torch.from_numpy(targets), torch.from_numpy(valid))
