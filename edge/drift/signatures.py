"""Signatures: what each cause does to the statistics of this line's own frames, and which of them a change is like.

"One statistic for each cause, the largest wins" named 37 % of the causes right; what signatures learned from the line's
own frames reach, and how little of it is measured yet, stands in docs/drift.md. A signature is the change of the 19
statistics that a corruption of one strength brought to one frame, in deviations of single frames. Distances are between
sign(d) log(1 + |d|) of them, over how much signatures of that cause differ from their neighbours: what a cause leaves open
(how much of the noise a blur takes) doesn't speak against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.named import UNKNOWN, Named
from edge.drift.pairs import RESIDUALS, PairSearch
from edge.drift.sizes import SizeRule

BETWEEN: Final = 4
"""Nearest signatures of a cause between which it is drawn through: few signatures leave gaps that another cause's fill."""
_WITHIN: Final = 29 / 30
"""A change is unlike all causes if it lies further from them than so many of the signatures lie from the nearest other one
of their own cause: each was drawn anew, with another place, direction, frame and way."""
_LEAST_FAR: Final = 0.7
"""Signatures that hardly differ, of a cause without place and direction, say little of what a factory does."""
_PAIR: Final = 0.7
"""Two causes explain what one doesn't if they come so much nearer."""
_SURE: Final = 0.6
"""Share of ``far`` within which one cause is enough."""
_BETTER: Final = 0.5
"""Beyond it two causes are named in place of one that explains the change, too, if they come so much nearer."""
_LEAST_BAND: Final = 0.3
_SHARED: Final = 0.6
"""How much of a cause's band is that of all causes: few signatures say little of their own."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One signature to measure. ``size``: signed strength. ``seed``: of direction, place, noise and frame."""

    cause: str
    size: float
    seed: int


@dataclass(frozen=True, slots=True)
class Signatures:
    """``causes``: names of rows of ``edge.disturb.corruptions``. ``rows``: float32 (n, 19), changes in deviations of single
    frames. ``cause``: number of each row's cause, and ``size`` its strength, signed.
    """

    causes: tuple[str, ...]
    rows: NDArray[np.float32]
    cause: NDArray[np.int16]
    size: NDArray[np.float32]

    @classmethod
    def of(cls, plan: Sequence[Disturbance], rows: NDArray[np.float64]) -> Signatures:
        """``rows``: (n, 19), of the disturbances of ``plan``."""
        causes = tuple(dict.fromkeys(wanted.cause for wanted in plan))
        number = np.array([causes.index(wanted.cause) for wanted in plan], np.int16)
        return cls(causes, rows.astype(np.float32), number, np.array([wanted.size for wanted in plan], np.float32))

    def without(self, causes: Sequence[str]) -> Signatures:
        """The same without these causes."""
        kept = tuple(cause for cause in self.causes if cause not in causes)
        rows = np.isin(self.cause, [self.causes.index(cause) for cause in kept])
        number = np.array([kept.index(self.causes[own]) for own in self.cause[rows]], np.int16)
        return Signatures(kept, self.rows[rows], number, self.size[rows])


class Library:
    """Signatures made ready for naming."""

    def __init__(self, signatures: Signatures, jitter: NDArray[np.float64] | float = 0.0) -> None:
        """``jitter``: by how much the blocks of the line itself vary, in deviations of single frames: so much of a change
        says nothing of its cause.
        """
        self.signatures = signatures
        self._points = squeezed(signatures.rows.astype(np.float64))
        band = _bands(self._points, signatures.cause, len(signatures.causes))
        self._band = np.hypot(band, np.minimum(jitter, 1.0))
        self.far = _far(self._points, signatures.cause, self._band)
        """Distance from which on a change is like none of the signatures, in bands."""
        self._pairs = PairSearch(
            signatures.rows.astype(np.float64),
            self._band[signatures.cause],
            signatures.cause,
            np.array([CORRUPTIONS[cause].group for cause in signatures.causes], object)[signatures.cause],
        )
        self._rules = {
            (number, side): rule
            for number in range(len(signatures.causes))
            for side in (-1, 1)
            if (rule := self._rule(number, side)) is not None
        }

    def name(self, change: NDArray[np.float64]) -> tuple[Named, ...]:
        """The cause of a change of the statistics, (19,) in deviations of single frames; two where two explain what one
        doesn't; ``unknown`` where all signatures of the one that comes nearest are far.
        """
        if not len(self._points):
            return (unlike_all(np.inf),)
        distance = self.distance(change)
        one = self._one(distance, change)
        if one.near <= _SURE * self.far:
            return (one,)
        pair = self._pairs.nearest(change)
        known = one.near <= self.far
        if pair is None or pair.distance > min(self.far, (_BETTER if known else _PAIR) * one.near):
            return (one if known else unlike_all(one.near),)
        first, second = pair.rows
        return self._part(first, second, change, pair.distance), self._part(second, first, change, pair.distance)

    def distance(self, change: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far a change lies from every signature, (n,), in bands."""
        apart = (self._points - squeezed(change)) / self._band[self.signatures.cause]
        return np.asarray(np.sqrt(np.mean(np.square(apart), axis=1)))

    def _one(self, distance: NDArray[np.float64], change: NDArray[np.float64]) -> Named:
        """The cause that comes nearest, on the side of its strengths that does, and the size that the cause's rule says."""
        rows, wanted = self.signatures, squeezed(change)
        found = []
        for number, side in self._rules:
            own = np.flatnonzero((rows.cause == number) & (np.sign(rows.size) == side))
            own = own[np.argsort(distance[own])[:BETWEEN]]
            apart = (self._points[own] - wanted) / self._band[number]
            found.append((_to_lines(apart), number, side, float(distance[own[0]])))
        _, best, side, near = min(found)
        return self._named(best, side * self._rules[best, side].size(change), near)

    def _rule(self, number: int, side: int) -> SizeRule | None:
        rows = self.signatures
        own = (rows.cause == number) & (np.sign(rows.size) == side)
        return SizeRule(rows.rows[own].astype(np.float64), np.abs(rows.size[own]).astype(np.float64)) if own.any() else None

    def _part(self, row: int, other: int, change: NDArray[np.float64], near: float) -> Named:
        """One of two causes; its size is what the change says without the other one's part."""
        rows = self.signatures
        rest = change - rows.rows[other]
        rest[RESIDUALS] = rows.rows[row, RESIDUALS]
        number, side = int(rows.cause[row]), int(np.sign(rows.size[row]))
        return self._named(number, side * self._rules[number, side].size(rest), near)

    def _named(self, number: int, size: float, near: float) -> Named:
        row = CORRUPTIONS[self.signatures.causes[number]]
        return Named(row.name, row.group, size, row.unit, near, row.words(size))


def _bands(points: NDArray[np.float64], cause: NDArray[np.int16], causes: int) -> NDArray[np.float64]:
    """For each cause how much its signatures differ from their three nearest, (causes, 19)."""
    squares = np.zeros((max(causes, 1), points.shape[1]))
    for number in range(causes):
        own = points[cause == number]
        if len(own) > 1:
            squares[number] = np.mean(np.square(own[:, None] - own[_nearest(own, 3)]), axis=(0, 1))
    return np.asarray(np.sqrt((1 - _SHARED) * squares + _SHARED * squares.mean(axis=0) + _LEAST_BAND**2))


def _far(points: NDArray[np.float64], cause: NDArray[np.int16], band: NDArray[np.float64]) -> float:
    """The distance that all but a few signatures have another one of their own cause within."""
    apart = []
    for number in range(len(band)):
        own = points[cause == number] / band[number]
        if len(own) > 1:
            nearest = own[_nearest(own, 1)[:, 0]]
            apart.append(np.sqrt(np.mean(np.square(own - nearest), axis=1)))
    return max(_LEAST_FAR, float(np.quantile(np.concatenate(apart), _WITHIN))) if apart else np.inf


def _to_lines(apart: NDArray[np.float64]) -> float:
    """How far the origin lies from the points ``apart``, (n, 19), and from the lines between each two of them.

    Li and Lu, "Face recognition using the nearest feature line method", IEEE Trans. Neural Networks 10 (1999); lines end
    at their points here.
    """
    first, second = np.triu_indices(len(apart), 1)
    start, along = apart[first], apart[second] - apart[first]
    length = np.maximum(np.einsum("ij,ij->i", along, along), 1e-12)
    share = np.clip(-np.einsum("ij,ij->i", start, along) / length, 0, 1)
    points = np.concatenate((apart, start + share[:, None] * along))
    return float(np.sqrt(np.mean(np.square(points), axis=1)).min())


def _nearest(own: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    squares = np.sum(own**2, axis=1)
    apart = squares[:, None] + squares[None] - 2 * own @ own.T
    np.fill_diagonal(apart, np.inf)
    return np.asarray(np.argsort(apart, axis=1)[:, : min(count, len(own) - 1)])


def squeezed(change: NDArray[np.float64]) -> NDArray[np.float64]:
    """sign(d) log(1 + |d|): ten deviations more on top of a thousand say nothing new."""
    return np.asarray(np.sign(change) * np.log1p(np.abs(change)), np.float64)


def unlike_all(near: float) -> Named:
    """A change that is like none of the library."""
    return Named(UNKNOWN, UNKNOWN, None, "", near, "changed in a way that is like none of the known causes")
