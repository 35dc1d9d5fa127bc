"""The training of the network: epochs of batches drawn anew, validated on whole pictures of other parts."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edge.models.train.alignment import ALIGNED, places_of
from edge.models.train.checkpoint import Arrays, Epoch, TrainingState
from edge.models.train.crops import Crops, Cutouts, valid_places
from edge.models.train.epochs import EpochLimits, Learned, NotANumberError, image_auroc, run_epochs
from edge.models.train.losses import dice, focal, positive_weight
from edge.models.train.mixing import mixed_up
from edge.models.train.network import DefectNetwork, arrays_of, load_arrays, padded, planes
from edge.models.train.network_weights import GRID_STRIDE, NetworkWeights
from edge.models.train.optimiser import cosine, moments_of, put_back
from edge.models.train.options import TrainOptions
from edge.models.train.picture_cache import KeptPicture, PictureCache
from edge.models.train.samples import target_grid

_DECAY = 1e-4
"""Weight decay."""
_COUNTED = 64
"""Cut-outs by which the share of defective places is known before the training."""


def train_network(
    cache: PictureCache,
    options: TrainOptions,
    folder: Path,
    key: str,
    *,
    turns: bool,
    factory: PictureCache | None = None,
    start: NetworkWeights | None = None,
    encoder: Arrays | None = None,
    resume: bool = False,
    epoch_done: Callable[[Epoch], None] = lambda _: None,
) -> Learned[NetworkWeights]:
    """Train, and return the weights of the epoch with the lowest validation loss.

    ``folder``: for checkpoints; ``key``: what they depend on. ``turns``: pictures may be mirrored and turned. ``factory``:
    unlabelled pictures that features are drawn towards. ``start``: weights to go on from; ``encoder``: those of a
    pretrained encoder. The same pictures, options and number of threads give the same weights on a CPU, whether or not the
    run was killed in between.

    Raises:
        UserError: the loss was NaN before any weights were good, or a checkpoint is of another training.
        OSError: a checkpoint can't be written.
    """
    torch.set_num_threads(options.threads or os.cpu_count() or 1)
    training = NetworkTraining(cache, options, turns=turns, factory=factory)
    if start is not None:
        load_arrays(training.network, start.arrays)
    elif encoder is not None:
        load_arrays(training.network.encoder, encoder)
    limits = EpochLimits(options.epochs, options.patience)
    learned = run_epochs(training, limits, folder, key, resume=resume, epoch_done=epoch_done)
    return learned.with_weights(NetworkWeights(learned.weights, cache.mean, cache.deviation))


class NetworkTraining:
    """The network, its optimiser and the pictures of one training."""

    def __init__(
        self, cache: PictureCache, options: TrainOptions, *, turns: bool, factory: PictureCache | None = None
    ) -> None:
        self._cache, self._options = cache, options
        plain = replace(options, augment=(), randaugment=0)
        self._factory = None if factory is None or options.align is None else Crops(factory, plain, turns=turns)
        torch.manual_seed(options.seed)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = DefectNetwork(len(cache.mean), options.width).to(self._device)
        self._optimiser = torch.optim.AdamW(self.network.parameters(), lr=options.rate, weight_decay=_DECAY)
        self._crops = Crops(cache, options, turns=turns)
        self._validated = cache.of("validation")
        counted = self._crops.batch(np.random.default_rng((options.seed, 7)), _COUNTED, 0.0)
        share = float((counted.targets * counted.valid).sum() / counted.valid.sum())
        self._positive = positive_weight(share) if options.balance else 1.0

    def epoch(self, number: int) -> float:
        """Learn from so many batches as an epoch has; the mean loss."""
        options = self._options
        rng = np.random.default_rng((options.seed, 8, number))
        torch.manual_seed(int(rng.integers(2**31)))  # of MixStyle and mixup: the same after a resume
        self.network.train()
        losses = []
        for step in range(options.steps):
            progress = (number + step / options.steps) / options.epochs
            cosine(self._optimiser, options.rate, progress)
            self._optimiser.zero_grad()
            with self._precision():
                loss = self._loss(self._crops.batch(rng, options.batch, progress), rng)
            if not torch.isfinite(loss):
                raise NotANumberError(step + 1)
            loss.backward()
            self._optimiser.step()
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def validate(self) -> tuple[float, float | None, float | None]:
        """The loss on validation parts, and the image AUROC of synthetic and of real defects there."""
        self.network.eval()
        losses: list[float] = []
        highest: dict[str, list[float]] = {}
        with torch.no_grad():
            for one in self._validated:
                logits, valid = self._logits(one)
                highest.setdefault(one.group, []).append(float(logits[valid > 0].max()))
                if one.has_mask:
                    losses.append(float(self._measured(logits, self._targets(one, valid), valid)))
        loss = float(np.mean(losses))
        if not np.isfinite(loss):
            raise NotANumberError(self._options.steps)
        good = highest.get("good", [])
        return loss, image_auroc(highest.get("synthetic", []), good), image_auroc(highest.get("labelled", []), good)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return arrays_of(self.network)

    def moments(self) -> dict[str, NDArray[Any]]:
        return moments_of(self._optimiser)

    def restore(self, kept: TrainingState) -> None:
        load_arrays(self.network, kept.weights)
        put_back(self._optimiser, kept.moments)

    def _loss(self, batch: Cutouts, rng: np.random.Generator) -> torch.Tensor:
        pictures = self._planes(batch)
        targets, valid = (torch.from_numpy(values).to(self._device) for values in (batch.targets, batch.valid))
        pictures, targets, valid = mixed_up(pictures, targets, valid, self._options.mixup)
        if self._factory is None:
            return self._measured(self.network(pictures, self._options.mixstyle), targets, valid)
        seen = self._planes(self._factory.good(rng, self._options.batch))
        features = self.network.encoder(torch.cat([pictures, seen]), self._options.mixstyle)
        loss = self._measured(self.network.decoded([f[: len(pictures)] for f in features]), targets, valid)
        good = [k for k, one in enumerate(batch.targets) if one.max() == 0]
        if not good:
            return loss
        ours, theirs = (places_of(features[2][rows]) for rows in (good, list(range(len(pictures), len(features[2])))))
        return loss + self._options.align_weight * ALIGNED[self._options.align or "coral"](ours, theirs)

    def _planes(self, batch: Cutouts) -> torch.Tensor:
        return planes(batch.pictures, self._cache.mean, self._cache.deviation).to(self._device)

    def _measured(self, logits: torch.Tensor, targets: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        logits = logits.float()
        loss = focal(logits, targets, valid, self._options.focal, self._positive)
        if self._options.dice > 0:
            loss = loss + self._options.dice * dice(logits, targets, valid)
        return loss

    def _logits(self, one: KeptPicture) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of a whole picture, and where they are of it."""
        whole = padded(self._cache.picture(one))
        grid = whole.shape[0] // GRID_STRIDE, whole.shape[1] // GRID_STRIDE
        valid = torch.from_numpy(valid_places((one.height, one.width), grid)[None, None]).to(self._device)
        with self._precision():
            taken = planes(whole[None], self._cache.mean, self._cache.deviation).to(self._device)
            return self.network(taken).float(), valid

    def _targets(self, one: KeptPicture, valid: torch.Tensor) -> torch.Tensor:
        mask, grid = self._cache.mask(one), (valid.shape[2], valid.shape[3])
        whole = np.pad(mask, [(0, n * GRID_STRIDE - side) for n, side in zip(grid, mask.shape, strict=True)])
        targets = target_grid(whole, GRID_STRIDE, (GRID_STRIDE / 2, GRID_STRIDE / 2), grid)
        return torch.from_numpy(targets[None, None]).to(self._device)

    def _precision(self) -> Any:
        """bfloat16 where it is asked for and the GPU has it; weights stay float32."""
        if self._options.bf16 and self._device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()
