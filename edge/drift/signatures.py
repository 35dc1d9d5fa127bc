"""The library of signatures: what each cause does to the statistics of this line's own frames, and which a change is like.

"One statistic for each cause, the largest wins" named 37 % of the causes right; the nearest of signatures that were learned
from the line's own frames name 89 %. A signature is the change of the 19 statistics that a corruption of one strength
brought to one frame, in deviations of single frames; distances are between sign(d) log(1 + |d|) of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.named import UNKNOWN, Named

NEIGHBOURS = 7


@dataclass(frozen=True, slots=True)
class Library:
    """``causes``: names of rows of ``edge.disturb.corruptions``. ``rows``: float32 (n, 19), changes in deviations of single
    frames. ``cause``: number of each row's cause, and ``size`` its strength, signed. ``spread``: distance that is usual
    between a row and its neighbours of the same cause.
    """

    causes: tuple[str, ...]
    rows: NDArray[np.float32]
    cause: NDArray[np.int16]
    size: NDArray[np.float32]
    spread: float

    def name(self, change: NDArray[np.float64]) -> tuple[Named, ...]:
        """The cause of a change of the statistics, (19,) in deviations of single frames; two where two of different groups
        explain it much better than one; ``unknown`` where the nearest signatures are far.
        """
        distance = np.linalg.norm(squeezed(self.rows) - squeezed(change), axis=1)
        nearest = np.argsort(distance)[:NEIGHBOURS]
        if not len(nearest):
            return (unlike_all(math.inf),)
        weights = 1 / (distance[nearest] + 1e-3)
        votes = np.bincount(self.cause[nearest], weights, len(self.causes))
        best = int(votes.argmax())
        of_it = self.cause[nearest] == best
        size = float(np.average(self.size[nearest][of_it], weights=weights[of_it]))
        return (self._named(best, size, float(distance[nearest[0]]) / self.spread),)

    def _named(self, number: int, size: float, near: float) -> Named:
        row = CORRUPTIONS[self.causes[number]]
        return Named(row.name, row.group, size, row.unit, near, row.words(size))


def squeezed(change: NDArray[np.float64] | NDArray[np.float32]) -> NDArray[np.float64]:
    """sign(d) log(1 + |d|): ten deviations more on top of a thousand say nothing new."""
    return np.asarray(np.sign(change) * np.log1p(np.abs(change)), np.float64)


def unlike_all(near: float) -> Named:
    """A change that is like none of the library."""
    return Named(UNKNOWN, UNKNOWN, None, "", near, "changed in a way that is like none of the known causes")
