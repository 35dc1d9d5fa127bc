"""A head's standardisation is measured anew on other frames: it is a norm layer, whose statistics belong to the pictures.

Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", NeurIPS 2020: mean and
variance become a weighted mean of the lab's and of the factory's. Needs no PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.models.train.channel_moments import ChannelMoments
from edge.models.train.head_weights import HeadWeights


def measured_anew(
    weights: HeadWeights, grids: Sequence[NDArray[np.float32]], share: float
) -> tuple[HeadWeights, NDArray[np.float32]]:
    """Return the head whose features are standardised by the lab's and the factory's statistics, and by how many of the
    lab's deviations each mean moved, (d,).

    ``grids``: features (h, w, d) of the factory's good pictures. ``share``: how much they count, below 1.
    """
    moments = ChannelMoments()
    for grid in grids:
        moments.add(grid)
    mean, deviation = moments.of(weights.width)
    new_mean = (1 - share) * weights.mean + share * mean
    variance = (1 - share) * np.square(weights.deviation.astype(np.float64)) + share * np.square(deviation)
    moved = np.abs(new_mean - weights.mean) / weights.deviation
    made = replace(weights, mean=new_mean.astype(np.float32), deviation=np.sqrt(variance).astype(np.float32))
    return made, moved.astype(np.float32)
