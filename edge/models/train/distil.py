"""The encoder begins with what the memory's backbone knows: it learns to say the same of good frames, before any defect.

Lite0's own weights don't fit into ordinary convolutions; its features can be learned (Hinton et al., "Distilling the
knowledge in a neural network", 2015; Bergmann et al., "Uninformed students", CVPR 2020).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from edge.models.fit.feature_net import FeatureNet
from edge.models.train.checkpoint import Epoch, TrainingState
from edge.models.train.crops import Crops
from edge.models.train.epochs import EpochLimits, NotANumberError, run_epochs
from edge.models.train.network import Encoder, arrays_of, load_arrays, planes
from edge.models.train.optimiser import cosine, moments_of, put_back
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import PictureCache

_VALIDATED = 8
"""Batches on which the loss is measured; the last epoch is kept unless it is worse."""


def distilled(
    cache: PictureCache,
    net: FeatureNet,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    turns: bool,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> dict[str, NDArray[Any]]:
    """Return the weights of an encoder that says what ``net`` says, by the names that they have in ``Encoder``.

    Raises:
        UserError: as ``run_epochs`` does.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    training = _Distilling(cache, net, options, turns=turns)
    limits = EpochLimits(options.pretrain_epochs, options.pretrain_epochs)
    learned = run_epochs(training, limits, folder, key, resume=resume, epoch_done=epoch_done)
    return {name[8:]: values for name, values in learned.best.items() if name.startswith("encoder.")}


class _Student(nn.Module):  # type: ignore[misc]  # PyTorch may be missing where types are checked
    def __init__(self, channels: int, width: int, taught: int) -> None:
        super().__init__()
        self.encoder = Encoder(channels, width)
        self.say = nn.Conv2d(8 * width, taught, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n, taught, H / 16, W / 16)."""
        _, _, middle, far = self.encoder(x)
        wide = functional.interpolate(far, scale_factor=2, mode="nearest")
        said: torch.Tensor = self.say(torch.cat([middle, wide], dim=1))
        return said


class _Distilling:
    """The student, its optimiser and the teacher."""

    def __init__(self, cache: PictureCache, net: FeatureNet, options: TrainOptions, *, turns: bool) -> None:
        self._cache, self._net, self._options = cache, net, options
        torch.manual_seed(options.seed + 1)
        self._student = _Student(len(cache.mean), options.width, net.width)
        self._optimiser = torch.optim.AdamW(self._student.parameters(), lr=options.rate, weight_decay=1e-4)
        self._crops = Crops(cache, replace(options, mixup=0.0, mixstyle=0.0, curriculum=False), turns=turns)
        first = self._taught(np.random.default_rng((options.seed, 9)), 4)[1]
        self._mean = first.mean(dim=(0, 2, 3), keepdim=True)
        self._deviation = first.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-3)

    def epoch(self, number: int) -> float:
        rng = np.random.default_rng((self._options.seed, 10, number))
        self._student.train()
        losses = []
        for step in range(self._options.steps):
            progress = (number + step / self._options.steps) / self._options.pretrain_epochs
            cosine(self._optimiser, self._options.rate, progress)
            self._optimiser.zero_grad()
            loss = self._loss(rng)
            if not torch.isfinite(loss):
                raise NotANumberError(step + 1)
            loss.backward()
            self._optimiser.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self) -> tuple[float, None, None]:
        self._student.eval()
        with torch.no_grad():
            rng = np.random.default_rng((self._options.seed, 11))
            losses = [float(self._loss(rng)) for _ in range(min(_VALIDATED, self._options.steps))]
        return float(np.mean(losses)), None, None

    def arrays(self) -> dict[str, NDArray[Any]]:
        return arrays_of(self._student)

    def moments(self) -> dict[str, NDArray[Any]]:
        return moments_of(self._optimiser)

    def restore(self, kept: TrainingState) -> None:
        load_arrays(self._student, kept.weights)
        put_back(self._optimiser, kept.moments)

    def _loss(self, rng: np.random.Generator) -> torch.Tensor:
        pictures, taught = self._taught(rng, self._options.batch)
        said = self._student(pictures)
        if said.shape[2:] != taught.shape[2:]:
            taught = functional.interpolate(taught, said.shape[2:], mode="area")
        return functional.smooth_l1_loss(said, (taught - self._mean) / self._deviation)

    def _taught(self, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cut-outs as the student takes them, and what the teacher says of them, (n, d, h, w)."""
        batch = self._crops.batch(rng, count, 1.0)
        said = np.stack([self._net.features(np.ascontiguousarray(picture)) for picture in batch.pictures])
        taught = torch.from_numpy(np.ascontiguousarray(said.transpose(0, 3, 1, 2)))
        return planes(batch.pictures, self._cache.mean, self._cache.deviation), taught
