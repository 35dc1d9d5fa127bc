"""Mixing of what a batch holds, in training alone: MixStyle mixes how pictures look, mixup the pictures themselves.

Both take pixels as well as features of a frozen backbone; mixup of features is manifold mixup. Draws come from PyTorch's
own generator.
"""

from __future__ import annotations

import torch
from torch import Tensor

from edge.models.train.head import Batch
from edge.models.train.options import TrainOptions

_ALPHA = 0.1
"""Weights are drawn from a Beta distribution with this alpha, as in the paper: one of the two mostly prevails."""


def mixed_styles(features: Tensor, share: float, valid: Tensor | None = None) -> Tensor:
    """Return features (n, c, h, w) with mean and deviation of each channel mixed with another picture's.

    Zhou et al., "Domain generalization with MixStyle", ICLR 2021. ``share``: of the batches; the others come back as they
    are. ``valid``: (n, 1, h, w), 1 where a place is of the picture, by which alone its style is known; None: everywhere.
    """
    if share <= 0 or float(torch.rand(())) >= share:
        return features
    count = len(features)
    counted = torch.ones_like(features[:, :1]) if valid is None else valid
    places = counted.sum(dim=(2, 3), keepdim=True).clamp_min(1)
    mean = ((features * counted).sum(dim=(2, 3), keepdim=True) / places).detach()
    variance = (((features - mean) ** 2 * counted).sum(dim=(2, 3), keepdim=True) / places).detach()
    deviation = (variance + 1e-6).sqrt()
    weight = torch.distributions.Beta(_ALPHA, _ALPHA).sample((count, 1, 1, 1)).to(features.device)
    other = torch.randperm(count)
    style_mean = weight * mean + (1 - weight) * mean[other]
    style_deviation = weight * deviation + (1 - weight) * deviation[other]
    return (features - mean) / deviation * style_deviation + style_mean


def mixed_up(pictures: Tensor, targets: Tensor, valid: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return pictures, their targets and their ``valid`` places, each mixed with another of the batch by one weight.

    Zhang et al., "mixup", ICLR 2018; of features: Verma et al., "Manifold mixup", ICML 2019. ``alpha``: of the Beta
    distribution of the weight; 0: none. A mixed picture is where both of its two are.
    """
    if alpha <= 0:
        return pictures, targets, valid
    weight = float(torch.distributions.Beta(alpha, alpha).sample())
    other = torch.randperm(len(pictures))
    mixed, of = (weight * values + (1 - weight) * values[other] for values in (pictures, targets))
    return mixed, of, valid * valid[other]


def mixed_batch(batch: Batch, options: TrainOptions) -> Batch:
    """Return a batch of a head mixed as the options say."""
    where = torch.cat([batch.valid, batch.counted], dim=1)
    features, targets, where = mixed_up(batch.features, batch.targets, where, options.mixup)
    valid, counted = where[:, :1], where[:, 1:]
    return Batch(mixed_styles(features, options.mixstyle, valid), targets, valid, counted)
