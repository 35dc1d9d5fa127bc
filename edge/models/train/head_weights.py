"""A trained head as arrays: kept in the bundle, so that a later training can go on from it. Needs no PyTorch."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.storage.arrays import read_arrays

HEAD: Final = "head.npz"
"""File of a trained bundle. No frame meets it."""
ANOTHER: Final = "copy the bundle again; a training can begin without --from"
_NAMES: Final = ("mix.weight", "mix.bias", "see.weight", "see.bias", "say.weight", "say.bias")


@dataclass(frozen=True, slots=True)
class HeadWeights:
    """The weights of a head.

    ``arrays``: convolutions ``mix`` (hidden, d, 1, 1), ``see`` (hidden, hidden, 3, 3) and ``say`` (1, hidden, 1, 1), each
    with its bias. ``mean``, ``deviation``: (d,), of the features that they were trained on.
    """

    arrays: Mapping[str, NDArray[np.float32]]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    @property
    def width(self) -> int:
        """Features of each place."""
        return len(self.mean)

    @property
    def hidden(self) -> int:
        return int(self.arrays["mix.weight"].shape[0])

    def to_bytes(self) -> bytes:
        """``head.npz``."""
        buffer = io.BytesIO()
        np.savez(buffer, mean=self.mean, deviation=self.deviation, **self.arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    def on_scale(self, mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> HeadWeights:
        """Return a head that says the same of features less ``mean`` (d,), over ``deviation`` (d,)."""
        first = self.arrays["mix.weight"][:, :, 0, 0].astype(np.float64)
        moved = (mean.astype(np.float64) - self.mean) / self.deviation
        arrays = dict(self.arrays) | {
            "mix.weight": (first * (deviation / self.deviation.astype(np.float64)))[:, :, None, None].astype(np.float32),
            "mix.bias": (self.arrays["mix.bias"] + first @ moved).astype(np.float32),
        }
        return HeadWeights(arrays, mean, deviation)

    def folded(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The first convolution for features as they come: a matrix (d, hidden), and its bias (hidden,)."""
        matrix = self.arrays["mix.weight"][:, :, 0, 0].T.astype(np.float64) / self.deviation[:, None].astype(np.float64)
        bias = self.arrays["mix.bias"] - self.mean.astype(np.float64) @ matrix
        return matrix.astype(np.float32), bias.astype(np.float32)


def read_head_weights(path: Path, width: int, hidden: int | None = None) -> HeadWeights:
    """Read the head of a trained bundle, for features of this ``width``. ``hidden``: its channels, where a training goes on
    with as many.

    Raises:
        UserError: it can't be read, or is of another shape.
    """
    try:
        found = read_arrays(path.read_bytes())
        arrays = {name: found[name] for name in (*_NAMES, "mean", "deviation")}
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not the head of a trained bundle", received=error, fix=ANOTHER) from None
    weights = HeadWeights({name: arrays[name] for name in _NAMES}, arrays["mean"], arrays["deviation"])
    channels = weights.hidden if hidden is None else hidden
    if (weights.width, weights.hidden) != (width, channels):
        raise UserError(
            f"{path}: the head is of another shape",
            received=f"{weights.width} features and {weights.hidden} channels",
            expected=f"{width} features and {channels} channels",
            fix="give the --backbone and --layers of the first training; a training can begin without --from",
        )
    return weights
