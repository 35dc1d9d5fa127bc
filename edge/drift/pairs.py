"""Two causes at once: which two signatures together make a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.drift.statistics import INDEX

_DIFFERENCES = ("low_residual", "mid_on_part", "mid_off_part", "bright", "dark", "disagreement")
RESIDUALS: Final = [INDEX[name] for name in _DIFFERENCES]
"""Logarithms of what differs: the larger of two covers the smaller. The others add up."""
_ADDING: Final = len(INDEX) - len(RESIDUALS)
_ORDER: Final = [number for number in INDEX.values() if number not in RESIDUALS] + RESIDUALS
_COARSE: Final = 8
"""Signatures of each cause that are tried at first."""
_CLOSEST: Final = 12
"""Pairs of causes that are looked at closely."""
_TURNS: Final = 4
_ALIKE: Final = 0.7
"""Two causes of one group with a larger cosine between their changes are two words for one thing: not named as two."""


@dataclass(frozen=True, slots=True)
class Pair:
    """``rows``: numbers of the two signatures, the larger change first. ``distance``: of both together to the change."""

    rows: tuple[int, int]
    distance: float


class PairSearch:
    """Signatures made ready for the search of two causes. Groups may be the same where the parts are independent, such as
    a shift and a turn.
    """

    def __init__(
        self, rows: NDArray[np.float64], band: NDArray[np.float64], cause: NDArray[np.int16], group: NDArray[Any]
    ) -> None:
        """``rows``: (n, 19) in deviations. ``band``: (n, 19), by how much each may differ. ``cause``, ``group``: (n,)."""
        self._rows, self._band = (part[:, _ORDER].astype(np.float32) for part in (rows, band))
        self._cause, self._group = cause, group
        few = [_spread(np.flatnonzero(cause == number), _COARSE) for number in np.unique(cause)]
        self._few = np.concatenate(few) if few else np.empty(0, np.intp)
        pointing = _squeezed(self._rows) / self._band
        self._pointing = pointing / np.maximum(np.linalg.norm(pointing, axis=1, keepdims=True), 1e-9)

    def nearest(self, change: NDArray[np.float64]) -> Pair | None:
        """A few signatures of each cause are tried with each other, and then all of the pairs of causes that came nearest:
        the best second one for the first, the best first one for that, and so on. None if no two are independent.
        """
        wanted = _squeezed(change[_ORDER].astype(np.float32))
        best: dict[tuple[int, int], tuple[float, int, int]] = {}
        for place, row in enumerate(self._few[:-1]):
            distance = self._distances(int(row), self._few[place + 1 :], wanted)
            for number in np.argsort(distance)[:_CLOSEST]:
                other = int(self._few[place + 1 + number])
                causes = int(self._cause[row]), int(self._cause[other])
                if distance[number] < best.get(causes, (np.inf,))[0]:
                    best[causes] = (float(distance[number]), int(row), other)
        found = [self._closer(first, second, wanted) for _, first, second in sorted(best.values())[:_CLOSEST]]
        found = [pair for pair in found if np.isfinite(pair.distance)]
        if not found:
            return None
        nearest = min(found, key=lambda pair: pair.distance)
        a, b = nearest.rows
        if np.linalg.norm(_squeezed(self._rows[a])) < np.linalg.norm(_squeezed(self._rows[b])):
            a, b = b, a
        return Pair((a, b), nearest.distance)

    def _closer(self, first: int, second: int, wanted: NDArray[np.float32]) -> Pair:
        of_first, of_second = (np.flatnonzero(self._cause == self._cause[row]) for row in (first, second))
        least = np.inf
        for _ in range(_TURNS):
            distance = self._distances(first, of_second, wanted)
            second = int(of_second[distance.argmin()])
            distance = self._distances(second, of_first, wanted)
            if not distance.min() < least:
                break
            first, least = int(of_first[distance.argmin()]), float(distance.min())
        return Pair((first, second), least)

    def _distances(self, row: int, others: NDArray[np.intp], wanted: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far ``row`` together with each of the others lies, in bands; infinite where both are one thing."""
        own, both = self._rows[row], self._rows[others]
        both[:, :_ADDING] += own[:_ADDING]
        np.maximum(both[:, _ADDING:], own[_ADDING:], out=both[:, _ADDING:])
        apart = (_squeezed(both) - wanted) / np.maximum(self._band[row], self._band[others])
        distance = np.sqrt(np.einsum("ij,ij->i", apart, apart) / apart.shape[1])
        alike = np.abs(self._pointing[others] @ self._pointing[row]) > _ALIKE
        one = (self._cause[others] == self._cause[row]) | ((self._group[others] == self._group[row]) & alike)
        return np.where(one, np.float32(np.inf), distance)


def _squeezed(change: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.copysign(np.log1p(np.abs(change)), change)


def _spread(numbers: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most ``count`` of them, evenly: signatures of a cause stand in the order of their sizes."""
    return np.asarray(numbers[np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int)])
