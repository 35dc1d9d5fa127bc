"""A network or head is made surer of pictures of the line: scale and shift of its norms follow the falling entropy (Tent).

Wang et al., "Tent: fully test-time adaptation by entropy minimization", ICLR 2021. Here it is done once, offline, on good
frames, with the statistics as they are given; whether the result is any better is for whoever asked to measure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from edge.models.train.head import DefectHead, load
from edge.models.train.head_weights import HeadWeights
from edge.models.train.network import DefectNetwork, load_arrays, network_weights_of, padded, planes
from edge.models.train.network_weights import NetworkWeights

STEPS: Final = 20
RATE: Final = 1e-3


def surer_network(
    weights: NetworkWeights, pictures: Sequence[NDArray[np.uint8]], steps: int = STEPS
) -> tuple[NetworkWeights, float, float]:
    """Return the network after ``steps`` of Adam on the affine terms of its norms, and the mean entropy of a place before
    and after, in nats. ``pictures``: uint8 (H, W, C), at least one; each step takes the next.

    The same weights and pictures give the same result.
    """
    with _one_thread():
        network = DefectNetwork(weights.channels, weights.width)
        load_arrays(network, weights.arrays)
        network.eval()
        affine = [values for name, values in network.named_parameters() if "_norm." in name]
        taken = [planes(padded(picture)[None], weights.mean, weights.deviation) for picture in pictures]
        before, after = _lowered(network, affine, taken, steps)
        return network_weights_of(network, weights.mean, weights.deviation), before, after


def surer_head(
    weights: HeadWeights, grids: Sequence[NDArray[np.float32]], steps: int = STEPS
) -> tuple[HeadWeights, float, float]:
    """Return the head after ``steps`` of Adam on a scale and shift of each feature, which its mean and deviation hold then,
    and the mean entropy of a place before and after, in nats. ``grids``: features (h, w, d) of at least one picture.

    The same weights and features give the same result.
    """
    with _one_thread():
        head = DefectHead(weights.width, weights.hidden)
        load(head, weights.arrays)
        head.eval().requires_grad_(False)
        scale = torch.ones(1, weights.width, 1, 1, requires_grad=True)
        shift = torch.zeros(1, weights.width, 1, 1, requires_grad=True)
        taken = [
            torch.from_numpy(((grid - weights.mean) / weights.deviation).astype(np.float32)).permute(2, 0, 1)[None]
            for grid in grids
        ]

        def said(values: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = head(values * scale + shift, torch.ones(1, 1, *values.shape[2:]))
            return logits

        before, after = _lowered(said, [scale, shift], taken, steps)
        factor, offset = (values.detach().numpy().ravel() for values in (scale, shift))
    # factor * (f - mean) / deviation + offset = (f - (mean - offset * deviation / factor)) / (deviation / factor)
    deviation = weights.deviation / factor
    return replace(weights, mean=weights.mean - offset * deviation, deviation=deviation), before, after


def _lowered(
    said: Callable[[torch.Tensor], torch.Tensor], affine: Sequence[torch.Tensor], taken: Sequence[torch.Tensor], steps: int
) -> tuple[float, float]:
    """Take the steps on the terms ``affine`` of ``said``, each on the next of ``taken``; the entropy before and after."""
    optimiser = torch.optim.Adam(list(affine), lr=RATE)
    before = _mean_entropy(said, taken)
    for step in range(steps):
        optimiser.zero_grad()
        _entropy(said(taken[step % len(taken)])).backward()
        optimiser.step()
    return before, _mean_entropy(said, taken)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in a fixed order: the same result on every machine with these instructions."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _mean_entropy(said: Callable[[torch.Tensor], torch.Tensor], taken: Sequence[torch.Tensor]) -> float:
    with torch.no_grad():
        return float(np.mean([float(_entropy(said(values))) for values in taken]))


def _entropy(logits: Any) -> torch.Tensor:
    """Mean entropy of "defective or not" over all places: -p log p - (1 - p) log (1 - p)."""
    return functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(logits))
