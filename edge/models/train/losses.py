"""Losses of the head: focal, which counts places, and Dice, which counts defects."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_MOST_WEIGHT = 20.0
"""Most that a defective place counts over a good one, however rare it is."""


def focal(logits: Tensor, targets: Tensor, valid: Tensor, gamma: float, positive: float) -> Tensor:
    """Return the mean focal loss of the valid places.

    ``logits``, ``targets``, ``valid``: (n, 1, h, w); targets between 0 and 1, ``valid`` 1 where a place is of the picture.
    ``positive``: by how much more a defective place counts. For soft targets as Li et al., "Generalized focal loss", 2020.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    if gamma > 0:
        loss = loss * (targets - torch.sigmoid(logits)).abs() ** gamma
    weight = valid * (1 + (positive - 1) * targets)
    return (loss * weight).sum() / weight.sum().clamp_min(1)


def dice(logits: Tensor, targets: Tensor, valid: Tensor) -> Tensor:
    """Return 1 less twice the overlap over the sum of both, the mean over pictures with a defect; 0 where none has any."""
    shares = torch.sigmoid(logits) * valid
    targets = targets * valid
    overlap, both = (shares * targets).sum(dim=(1, 2, 3)), (shares + targets).sum(dim=(1, 2, 3))
    defective = (targets.sum(dim=(1, 2, 3)) > 0).float()
    return ((1 - (2 * overlap + 1) / (both + 1)) * defective).sum() / defective.sum().clamp_min(1)


def coral(a: Tensor, b: Tensor) -> Tensor:
    """Return how far the covariances of two sets of features, (n, d) and (m, d), lie apart.

    Sun and Saenko, "Deep CORAL", ECCV workshops 2016: the squared Frobenius norm over 4 d^2.
    """
    apart = torch.cov(a.T) - torch.cov(b.T)
    return (apart**2).sum() / (4 * a.shape[1] ** 2)


def mmd(a: Tensor, b: Tensor) -> Tensor:
    """Return the squared maximum mean discrepancy of two sets of features, (n, d) and (m, d), by five Gaussian kernels.

    Long et al., "Learning transferable features with deep adaptation networks", ICML 2015; the widths lie around the mean
    squared distance.
    """
    both = torch.cat([a, b])
    squares = (both**2).sum(dim=1)
    distances = (squares[:, None] + squares[None, :] - 2 * both @ both.T).clamp_min(0)
    width = distances.detach().mean().clamp_min(1e-6)
    kernel = torch.stack([torch.exp(-distances / (width * 2.0**k)) for k in range(-2, 3)]).mean(dim=0)
    n = len(a)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def positive_weight(share: float) -> float:
    """Return the weight of defective places, of which this ``share`` is, so that both kinds count the same in all."""
    return min(_MOST_WEIGHT, (1 - share) / share) if share > 0 else 1.0
