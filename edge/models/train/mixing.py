"""Mixing of what a batch holds, in training alone: MixStyle mixes how pictures look, mixup the pictures themselves."""

from __future__ import annotations

import torch
from torch import Tensor

_ALPHA = 0.1
"""Weights are drawn from a Beta distribution with this alpha, as in the paper: one of the two mostly prevails."""


def mixed_styles(features: Tensor, share: float) -> Tensor:
    """Return features (n, c, h, w) with mean and deviation of each channel mixed with another picture's.

    Zhou et al., "Domain generalization with MixStyle", ICLR 2021. ``share``: of the batches; the others come back as they
    are. Draws come from PyTorch's own generator.
    """
    if float(torch.rand(())) >= share:
        return features
    count = len(features)
    mean = features.mean(dim=(2, 3), keepdim=True).detach()
    deviation = (features.var(dim=(2, 3), keepdim=True, unbiased=False) + 1e-6).sqrt().detach()
    weight = torch.distributions.Beta(_ALPHA, _ALPHA).sample((count, 1, 1, 1)).to(features.device)
    other = torch.randperm(count)
    style_mean = weight * mean + (1 - weight) * mean[other]
    style_deviation = weight * deviation + (1 - weight) * deviation[other]
    return (features - mean) / deviation * style_deviation + style_mean


def mixed_up(pictures: Tensor, targets: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
    """Return pictures and their targets, each mixed with another of the batch by one weight.

    Zhang et al., "mixup", ICLR 2018. ``alpha``: of the Beta distribution of the weight; 0: none.
    """
    if alpha <= 0:
        return pictures, targets
    weight = float(torch.distributions.Beta(alpha, alpha).sample())
    other = torch.randperm(len(pictures))
    return weight * pictures + (1 - weight) * pictures[other], weight * targets + (1 - weight) * targets[other]
