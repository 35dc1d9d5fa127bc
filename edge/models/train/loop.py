"""The training of the head: epochs over the cached features, a checkpoint after each, an end when nothing is gained."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.evaluate.ranking import auroc, steps
from edge.models.train.checkpoint import Epoch, TrainingState, read_checkpoint, write_checkpoint
from edge.models.train.feature_cache import CachedSample, FeatureCache
from edge.models.train.head import Batch, DefectHead, load, weights_of
from edge.models.train.head_weights import HeadWeights
from edge.models.train.losses import dice, focal, positive_weight
from edge.models.train.options import TrainOptions

_GROUPS = {"good": 0.4, "synthetic": 0.35, "labelled": 0.2, "false_positive": 0.05}
"""Share of an epoch's pictures that each group gets, of the groups that there are."""


@dataclass(frozen=True, slots=True)
class TrainedHead:
    """``stopped``: why training ended before its last epoch, in words; None if it didn't."""

    weights: HeadWeights
    history: tuple[Epoch, ...]
    stopped: str | None = None
    not_a_number: bool = False
    """The loss became NaN or infinite; the weights are the last good ones."""


class _NotANumberError(Exception):
    def __init__(self, step: int) -> None:
        super().__init__(step)
        self.step = step


def train_head(
    cache: FeatureCache,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    start: HeadWeights | None = None,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> TrainedHead:
    """Train, and return the weights of the epoch with the lowest validation loss.

    ``folder``: for checkpoints; ``key``: what they depend on. ``start``: weights to go on from. The same cache, options and
    number of threads give the same weights, whether or not the run was killed in between.

    Raises:
        UserError: the loss was NaN before any weights were good, or a checkpoint is of another training.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    training = _Training(cache, options, start)
    history: list[Epoch] = []
    best: dict[str, NDArray[np.float32]] = {}
    kept = read_checkpoint(folder, key) if resume else None
    if kept is not None:
        training.restore(kept)
        history, best = list(kept.history), dict(kept.best)
    stopped, failed = _why_stop(history, options) if history else None, False
    while len(history) < options.epochs and stopped is None:
        number = len(history)
        try:
            loss = training.epoch(number)
            validated, synthetic, real = training.validate()
        except _NotANumberError as error:
            if not best:
                raise UserError(
                    "the loss became NaN or infinite before any weights were good",
                    received=f"epoch {number + 1}, step {error.step}",
                    fix="look at the frames' features for values without end; or give another --seed",
                ) from None
            last = max(epoch.number for epoch in history if epoch.kept)
            when = f"in epoch {number + 1}, step {error.step}"
            stopped = f"the loss became NaN or infinite {when}: kept the weights of epoch {last}"
            failed = True
            break
        lowest = min((epoch.validation_loss for epoch in history), default=np.inf)
        history.append(Epoch(number + 1, loss, validated, synthetic, real, kept=validated < lowest))
        if history[-1].kept:
            best = training.arrays()
        write_checkpoint(folder, key, TrainingState(training.arrays(), best, training.moments(), tuple(history)))
        epoch_done(history[-1])
        stopped = _why_stop(history, options)
    weights = HeadWeights(best, cache.mean, cache.deviation)
    return TrainedHead(weights, tuple(history), stopped, failed)


def _why_stop(history: Sequence[Epoch], options: TrainOptions) -> str | None:
    best = max(epoch.number for epoch in history if epoch.kept)
    if len(history) < options.epochs and len(history) - best >= options.patience:
        return f"nothing was gained in {options.patience} epochs: kept the weights of epoch {best}"
    return None


class _Training:
    """The head, its optimiser and the pictures of one training."""

    def __init__(self, cache: FeatureCache, options: TrainOptions, start: HeadWeights | None) -> None:
        self._cache, self._options = cache, options
        torch.manual_seed(options.seed)
        self._head = DefectHead(cache.width, options.hidden)
        if start is not None:
            load(self._head, start.arrays)
        self._optimiser = torch.optim.Adam(self._head.parameters(), lr=options.rate)
        self._learned = [sample for sample in cache.of("train") if sample.has_targets]
        self._validated = cache.of("validation")
        self._chances = _chances(self._learned)
        share = sum(float(cache.target(s).mean()) * float(c) for s, c in zip(self._learned, self._chances, strict=True))
        self._positive = positive_weight(share) if options.balance else 1.0

    def epoch(self, number: int) -> float:
        """Go through as many pictures as there are, drawn by their chances; the mean loss."""
        rng = np.random.default_rng((self._options.seed, 5, number))
        order = rng.choice(len(self._learned), len(self._learned), p=self._chances)
        batches = [order[at : at + self._options.batch] for at in range(0, len(order), self._options.batch)]
        self._head.train()
        losses = []
        for step, numbers in enumerate(batches):
            progress = (number + step / len(batches)) / self._options.epochs
            for group in self._optimiser.param_groups:
                group["lr"] = self._options.rate * 0.5 * (1 + np.cos(np.pi * progress))
            self._optimiser.zero_grad()
            loss = self._loss(self._batch([self._learned[int(k)] for k in numbers]))
            if not torch.isfinite(loss):
                raise _NotANumberError(step + 1)
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
            raise _NotANumberError(-(-len(self._learned) // self._options.batch))
        good = highest.get("good", [])
        return loss, _auroc(highest.get("synthetic", []), good), _auroc(highest.get("labelled", []), good)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return dict(weights_of(self._head, self._cache.mean, self._cache.deviation).arrays)

    def moments(self) -> dict[str, NDArray[np.float32]]:
        """What Adam keeps: of each weight the mean of its gradient and of its square, and the number of steps."""
        state = self._optimiser.state_dict()["state"]
        return {f"{k}.{name}": value.numpy().copy() for k, of in state.items() for name, value in of.items()}

    def restore(self, kept: TrainingState) -> None:
        load(self._head, kept.weights)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, values in kept.moments.items():
            number, _, what = name.partition(".")
            state.setdefault(int(number), {})[what] = torch.from_numpy(np.array(values))
        whole = self._optimiser.state_dict()
        self._optimiser.load_state_dict({"state": state, "param_groups": whole["param_groups"]})

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


def _chances(samples: Sequence[CachedSample]) -> NDArray[np.float64]:
    """How often each picture is drawn: the groups by their shares, and within a group every kind alike, however rare."""
    kinds: dict[str, dict[str, int]] = {}
    for sample in samples:
        of = kinds.setdefault(sample.group, {})
        of[sample.kind] = of.get(sample.kind, 0) + 1
    chances = [_GROUPS[s.group] / len(kinds[s.group]) / kinds[s.group][s.kind] for s in samples]
    return np.array(chances) / sum(chances)


def _auroc(bad: Sequence[float], good: Sequence[float]) -> float | None:
    if not bad or not good:
        return None
    return float(auroc(steps(np.array([*bad, *good]), np.arange(len(bad) + len(good)) < len(bad))))
