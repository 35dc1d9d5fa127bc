"""A trained network as arrays: kept in the bundle, so that a later training can go on from it. Needs no PyTorch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.train.head_weights import ANOTHER
from edge.storage.arrays import read_arrays

NETWORK: Final = "network.npz"
"""File of a trained bundle. No frame meets it."""
STEM_STRIDE: Final = 4
GRID_STRIDE: Final = 8
"""Px of the picture for each place that gets a logit."""
FAR_STRIDE: Final = 32
"""Px for each place of the coarsest features; the picture's sides are brought to multiples of it."""
NORM_EPSILON: Final = 1e-5
"""What PyTorch's norm layers add to the variance."""
_FIRST: Final = "encoder.steps.0.down.weight"


@dataclass(frozen=True, slots=True)
class NetworkWeights:
    """The weights of a network by the names that PyTorch gives them.

    ``mean``, ``deviation``: (c,), of the good training pictures' grey levels, by which a picture is standardised.
    """

    arrays: Mapping[str, NDArray[Any]]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Channels at the finest stride."""
        return int(self.arrays[_FIRST].shape[0])

    @property
    def channels(self) -> int:
        """Channels of a picture."""
        return len(self.mean)

    def to_bytes(self) -> bytes:
        """``network.npz``."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, deviation=self.deviation, **self.arrays)  # type: ignore[arg-type]
        return buffer.getvalue()


def read_network_weights(path: Path) -> NetworkWeights:
    """Read the network of a trained bundle. Raises UserError where it can't be read."""
    try:
        arrays = read_arrays(path.read_bytes())
        weights = NetworkWeights(arrays, arrays.pop("mean"), arrays.pop("deviation"))
        weights.arrays[_FIRST]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not the network of a trained bundle", received=error, fix=ANOTHER) from None
    return weights


def check_shape(path: Path, weights: NetworkWeights, channels: int, width: int) -> None:
    """Raise UserError where a training can't go on from ``weights``, read from ``path``."""
    shape = weights.channels, weights.width
    if shape != (channels, width):
        raise UserError(
            f"{path}: the network is of another shape",
            received=f"pictures of {shape[0]} channels, width {shape[1]}",
            expected=f"pictures of {channels} channels, width {width}",
            fix="train with the preset of the first training, or without --from",
        )
