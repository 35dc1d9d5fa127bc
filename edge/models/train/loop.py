"""The training of the head: epochs over the cached features."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge.models.train.alignment import features_apart
from edge.models.train.checkpoint import Epoch, TrainingState
from edge.models.train.drawn_features import DrawnFeatures
from edge.models.train.epochs import EpochLimits, Learned, NotANumberError, image_auroc, run_epochs
from edge.models.train.factory_features import FactoryFeatures
from edge.models.train.feature_cache import FeatureCache
from edge.models.train.head import Batch, DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.kept_batches import KeptFeatures, kept_batch
from edge.models.train.losses import dice, focal
from edge.models.train.mixing import mixed_batch
from edge.models.train.optimiser import cosine, follow_weights, moments_of, put_back
from edge.models.train.options import TrainOptions

_HEAD = "head."
"""Begins the names of the weights that learn, beside what the optimiser keeps; the average of them is what is kept."""


def train_head(
    cache: FeatureCache,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    drawn: DrawnFeatures | None = None,
    factory: FactoryFeatures | None = None,
    start: HeadWeights | None = None,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> Learned[HeadWeights]:
    """Train, and return the weights of the last epoch: the average over its steps, when the step size has come down to 0.
    Where nothing was gained for so long that it ended early, they are those of the last epoch that gained something.

    The epoch with the lowest loss is not the best one: the loss grows with each place that is wrong and sure of it, though
    pictures are ranked better. On two of three splits of the magnetic tiles it was lowest after the first of 6 epochs, by
    which memory and head had an image AUROC of 0.889 and 0.834.

    ``folder``: for checkpoints; ``key``: what they depend on. ``drawn``: what is learned from in the place of the cache's
    own training pictures. ``factory``: what features are drawn towards (``options.align``). ``start``: weights to go on
    from. The same cache, options and number of threads give the same weights, whether or not the run was killed in between.

    Raises:
        UserError: the loss was NaN before any weights were good, or a checkpoint is of another training.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    limits = EpochLimits(options.epochs, options.patience, settles=True)
    training = _Training(cache, options, start, drawn, factory)
    learned = run_epochs(training, limits, folder, key, resume=resume, epoch_done=epoch_done)
    return learned.with_weights(HeadWeights(learned.weights, cache.mean, cache.deviation))


class _Training:
    """The head, its optimiser and the pictures of one training."""

    def __init__(
        self,
        cache: FeatureCache,
        options: TrainOptions,
        start: HeadWeights | None,
        drawn: DrawnFeatures | None,
        factory: FactoryFeatures | None,
    ) -> None:
        self._cache, self._options = cache, options
        self._factory = None if options.align is None else factory
        torch.manual_seed(options.seed)
        self._head = DefectHead(cache.width, options.hidden)
        if start is not None:
            load(self._head, start.on_scale(cache.mean, cache.deviation).arrays)
        self._average = deepcopy(self._head)
        """What is kept in the end: the mean of the head's weights over many steps."""
        self._optimiser = torch.optim.Adam(self._head.parameters(), lr=options.rate)
        self._learned = KeptFeatures(cache, options) if drawn is None else drawn
        self._steps = self._learned.steps if isinstance(self._learned, KeptFeatures) else options.steps
        self._validated = cache.of("validation")

    def epoch(self, number: int) -> float:
        """Go through as many batches as an epoch has; the mean loss."""
        self._head.train()
        torch.manual_seed(_drawn_in(self._options.seed, number))  # MixStyle and mixup: the same after a resume
        losses = []
        seen: Iterator[Batch | None] = repeat(None) if self._factory is None else self._factory.batches(number)
        for step, (batch, theirs) in enumerate(zip(self._learned.batches(number), seen, strict=False)):
            cosine(self._optimiser, self._options.rate, (number + step / self._steps) / self._options.epochs)
            self._optimiser.zero_grad()
            loss = self._loss(batch, theirs)
            if not torch.isfinite(loss):
                raise NotANumberError(step + 1)
            loss.backward()
            self._optimiser.step()
            follow_weights(self._average, self._head, number * self._steps + step)
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self) -> tuple[float, float | None, float | None]:
        """The loss on validation parts, and the image AUROC of synthetic and of real defects there."""
        self._average.eval()
        losses: list[float] = []
        highest: dict[str, list[float]] = {}
        with torch.no_grad():
            for sample in self._validated:
                batch = kept_batch(self._cache, [sample])
                logits = self._average(batch.features, batch.valid)
                highest.setdefault(sample.group, []).append(float(logits.max()))
                if sample.has_targets:
                    losses.append(float(self._measured(logits, batch)))
        loss = float(np.mean(losses))
        if not np.isfinite(loss):
            raise NotANumberError(self._steps)
        good = highest.get("good", [])
        return loss, image_auroc(highest.get("synthetic", []), good), image_auroc(highest.get("labelled", []), good)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return dict(weights_of(self._average, self._cache.mean, self._cache.deviation).arrays)

    def moments(self) -> dict[str, NDArray[np.float32]]:
        own = weights_of(self._head, self._cache.mean, self._cache.deviation).arrays
        return moments_of(self._optimiser) | {f"{_HEAD}{name}": values for name, values in own.items()}

    def restore(self, kept: TrainingState) -> None:
        load(self._average, kept.weights)
        load(self._head, {name[len(_HEAD) :]: values for name, values in kept.moments.items() if name.startswith(_HEAD)})
        put_back(self._optimiser, {name: values for name, values in kept.moments.items() if not name.startswith(_HEAD)})

    def _loss(self, batch: Batch, seen: Batch | None) -> torch.Tensor:
        mixed = mixed_batch(batch, self._options)
        loss = self._measured(self._head(mixed.features, mixed.valid), mixed)
        if seen is None or self._options.align is None:
            return loss
        apart = features_apart(self._head, batch, seen, self._options.align)
        return loss if apart is None else loss + self._options.align_weight * apart

    def _measured(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        loss = focal(logits, batch.targets, batch.counted, self._options.focal, self._learned.positive)
        if self._options.dice > 0:
            loss = loss + self._options.dice * dice(logits, batch.targets, batch.counted)
        return loss


def _drawn_in(seed: int, epoch: int) -> int:
    """The seed of what PyTorch draws in an epoch."""
    return int(np.random.default_rng((seed, 9, epoch)).integers(2**31))
