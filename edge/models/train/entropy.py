"""A trained network is made surer of pictures of the line: scale and shift of its norms follow the falling entropy (Tent).

Wang et al., "Tent: fully test-time adaptation by entropy minimization", ICLR 2021. Here it is done once, offline, on good
frames, with the statistics as they are given; whether the result is any better is for whoever asked to measure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

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
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        network = DefectNetwork(weights.channels, weights.width)
        load_arrays(network, weights.arrays)
        network.eval()
        affine = [values for name, values in network.named_parameters() if "_norm." in name]
        optimiser = torch.optim.Adam(affine, lr=RATE)
        taken = [planes(padded(picture)[None], weights.mean, weights.deviation) for picture in pictures]
        before = _mean_entropy(network, taken)
        for step in range(steps):
            optimiser.zero_grad()
            _entropy(network(taken[step % len(taken)])).backward()
            optimiser.step()
        made = network_weights_of(network, weights.mean, weights.deviation)
        return made, before, _mean_entropy(network, taken)
    finally:
        torch.set_num_threads(threads)


def _mean_entropy(network: DefectNetwork, taken: Sequence[torch.Tensor]) -> float:
    with torch.no_grad():
        return float(np.mean([float(_entropy(network(planes_))) for planes_ in taken]))


def _entropy(logits: Any) -> torch.Tensor:
    """Mean entropy of "defective or not" over all places: -p log p - (1 - p) log (1 - p)."""
    return functional.binary_cross_entropy_with_logits(logits, torch.sigmoid(logits))
