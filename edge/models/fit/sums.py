"""Sums over pictures from which means and deviations follow, exact so that parts add up to the whole bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.models.fit.protocol import GraphPicture

STEPS = 256
"""Values are summed in steps of 1/256 grey level: whole numbers below 2 ** 16, whose squares sum without rounding."""
_KEPT_BYTES = 24_000_000
_MOST_KEPT = 24
_LEAST_KEPT = 4


def in_steps(plane: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Grey levels 0 to 255 as whole steps; what lies beyond is cut."""
    steps = np.rint(plane * np.float32(STEPS))
    return np.asarray(np.clip(steps, 0, 65535), np.uint16)


class PlaneSums:
    """Count, sum and sum of squares of planes of one shape, (H, W, C), each value in steps."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.count = 0
        self.total = np.zeros(shape)
        self.squares = np.zeros(shape)
        self._results: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def add(self, steps: NDArray[Any]) -> None:
        self._results = None
        cv2.accumulate(steps, self.total)
        cv2.accumulateSquare(steps, self.squares)
        self.count += 1

    def merge(self, other: PlaneSums) -> None:
        self._results = None
        self.count += other.count
        self.total += other.total
        self.squares += other.squares

    def mean_and_variance(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """In grey levels, and unbiased in their squares; they belong to the sums."""
        if self._results is None:
            mean = self.total / self.count
            variance = np.maximum(self.squares - self.total * mean, 0) / ((self.count - 1) * STEPS**2)
            self._results = (mean / STEPS).astype(np.float32), variance.astype(np.float32)
        return self._results

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        return {f"{name}_total": self.total, f"{name}_squares": self.squares}


def left_out(
    mean: NDArray[np.float32], variance: NDArray[np.float32], value: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and variance of the other ``count - 1`` values (Welford's update, undone)."""
    distance = value - mean
    without = mean - distance / np.float32(count - 1)
    np.multiply(distance, distance, out=distance)
    distance *= np.float32(-count / (count - 1))
    distance += variance * np.float32(count - 1)
    np.maximum(distance, 0, out=distance)
    distance /= np.float32(count - 2)
    return without, distance


class KeptPictures:
    """A fixed choice of the pictures that were added: those whose content has the lowest SHA-256.

    It doesn't depend on the order, so the choice of merged parts is the choice of the whole.
    """

    def __init__(self, picture_bytes: int) -> None:
        self._most = max(_LEAST_KEPT, min(_MOST_KEPT, _KEPT_BYTES // max(1, picture_bytes)))
        self._kept: dict[bytes, GraphPicture] = {}

    def add(self, picture: GraphPicture) -> None:
        digest = sha256(np.ascontiguousarray(picture).data).digest()
        if len(self._kept) < self._most or digest < max(self._kept):
            self._kept[digest] = picture.copy()
            self._trim()

    def merge(self, other: KeptPictures) -> None:
        self._kept.update(other._kept)
        self._trim()

    def _trim(self) -> None:
        for digest in sorted(self._kept)[self._most :]:
            del self._kept[digest]

    def pictures(self) -> Sequence[GraphPicture]:
        """In the order of their hashes."""
        return [self._kept[digest] for digest in sorted(self._kept)]
