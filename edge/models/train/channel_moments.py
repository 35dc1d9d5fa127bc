"""Mean and deviation of channels, summed picture by picture in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class ChannelMoments:
    """What the good training pictures are like, by which all are standardised."""

    def __init__(self) -> None:
        self._total: NDArray[np.float64] = np.zeros(1)
        self._squares: NDArray[np.float64] = np.zeros(1)
        self._count = 0

    def add(self, values: NDArray[Any]) -> None:
        """Count values (..., channels)."""
        exact = values.reshape(-1, values.shape[-1]).astype(np.float64)
        self._total = self._total + exact.sum(axis=0)
        self._squares = self._squares + (exact**2).sum(axis=0)
        self._count += len(exact)

    def of(self, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and deviation, float64 (channels), zeros where nothing was counted."""
        mean = self._total / max(1, self._count)
        deviation = np.sqrt(np.maximum(self._squares / max(1, self._count) - mean**2, 0))
        return np.broadcast_to(mean, channels), np.broadcast_to(deviation, channels)
