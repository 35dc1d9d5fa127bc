"""A bounded bank of feature vectors that covers all that were added, each with the picture that it came from."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.models.fit.farthest_points import farthest_points, nearest_of

Vectors: TypeAlias = NDArray[np.float32]
Projection: TypeAlias = Callable[[Vectors], Vectors]
_ROOM = 8
"""Vectors that wait, over those that stay: 32,000 of 432 features are 55 MB."""


class Bank:
    """A bank holds at most ``_ROOM * most`` vectors (n, ``width``) float32.

    ``owners``: the number of the picture that each came from. ``reaches``: how far from it, in the space of ``thin``, lies
    a vector of *another* picture that was dropped in its favour; inf if there is none. Without the first picture, that
    other one would still vouch for the place, to within that distance.
    """

    def __init__(self, width: int, most: int) -> None:
        self.width = width
        self.most = most
        self.vectors: Vectors = np.empty((0, width), np.float32)
        self.owners: NDArray[np.int32] = np.empty(0, np.int32)
        self.reaches: NDArray[np.float32] = np.empty(0, np.float32)
        self._waiting: list[tuple[Vectors, NDArray[np.int32], NDArray[np.float32]]] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_full(self) -> bool:
        """Return True if it should be thinned before more is added."""
        return self._count > _ROOM * self.most

    def add(self, vectors: Vectors, owner: int) -> None:
        """Take in a picture's vectors (n, ``width``)."""
        count = len(vectors)
        self._append(vectors, np.full(count, owner, np.int32), np.full(count, np.inf, np.float32))

    def merge(self, other: Bank, first_owner: int) -> None:
        """Take in another bank, whose pictures are numbered on from ``first_owner``."""
        other.settle()
        self._append(other.vectors, other.owners + np.int32(first_owner), other.reaches)

    def settle(self) -> None:
        """Bring all vectors into one array."""
        parts = [(self.vectors, self.owners, self.reaches), *self._waiting]
        if self._waiting:
            self.vectors, self.owners, self.reaches = (np.concatenate([part[k] for part in parts]) for k in range(3))
            self._waiting = []

    def restore(self, vectors: Vectors, owners: NDArray[np.int32], reaches: NDArray[np.float32]) -> None:
        """Hold exactly these."""
        self.vectors, self.owners, self.reaches, self._waiting = vectors, owners, reaches, []
        self._count = len(vectors)

    def thin(self, count: int, projection: Projection) -> None:
        """Keep the ``count`` vectors that cover the others best, by their distances after ``projection``."""
        self.settle()
        if len(self.vectors) <= count:
            return
        places = projection(self.vectors)
        kept = np.sort(farthest_points(places, count))
        dropped = np.setdiff1d(np.arange(len(places)), kept, assume_unique=True)
        nearest, distance = nearest_of(places[dropped], places[kept])
        reaches = self.reaches[kept]
        owned = self.owners[dropped] == self.owners[kept][nearest]
        # one of its own that is dropped hands on who vouches for it; one of another picture vouches itself
        np.minimum.at(reaches, nearest, distance + np.where(owned, self.reaches[dropped], 0).astype(np.float32))
        self.restore(self.vectors[kept], self.owners[kept], reaches)

    def _append(self, vectors: Vectors, owners: NDArray[np.int32], reaches: NDArray[np.float32]) -> None:
        self._waiting.append((vectors, owners, reaches))
        self._count += len(vectors)
