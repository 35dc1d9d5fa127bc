"""What makes frames invalid: a picture whose bright pixels are cut off, that lost its edges, or that shows another place.

These are breaches of validity, measured against fixed bounds and not against what is usual. Nothing else ever locks a line:
a deviation of the other statistics, however large, may be an epidemic of real defects, which has to stay one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.drift.named import BREACHES, Breach
from edge.drift.reference import Reference
from edge.drift.statistics import INDEX

CLIPPED_SHARE: Final = 0.01
"""Share of the picture's pixels that may be cut off beyond what the reference has: no new threshold brings them back."""
SHARPNESS: Final = 0.7
"""Share of the edges' height that has to be left, in the sharpest direction. A defocus with a standard deviation of about
0.8 px takes so much from edges that are sharp."""
DISAGREEMENT: Final = float(np.log(0.5))
"""With a correlation below 0.5 the picture shows another part, or none."""
_USUAL = 6.0
"""A breach also lies so many deviations of single frames outside the reference."""
_COMES = 0.25
_BACK = 0.8
"""It ends at this share of its bound, so that a value on the bound doesn't switch frame by frame."""


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """How far a part may lie from the reference: as far as the bundle's registration allows, or 5 % of the frame."""

    shift_px: float
    rotation_deg: float = 3.0
    scale: float = 0.03


class Ladder:
    """The breaches of the newest frames. Used by one thread."""

    def __init__(self, reference: Reference, limits: PlaceLimits, *, frames: int) -> None:
        """``frames``: measured frames that are judged; a breach comes once three in four of them show it, which no third of
        bad parts does by chance, and goes once half of them don't.
        """
        self._reference = reference
        self._limits = limits
        still = self._reach(reference.center)
        self._reaches = np.tile([still[breach] for breach in BREACHES], (frames, 1))
        self._next = 0
        self._in_force: frozenset[Breach] = frozenset()

    def add(self, values: NDArray[np.float64]) -> tuple[Breach, ...]:
        """Take the statistics of one frame; returns the breaches in force, in the order of ``BREACHES``."""
        reach = self._reach(values)
        self._reaches[self._next] = [reach[breach] for breach in BREACHES]
        self._next = (self._next + 1) % len(self._reaches)
        of_most, middle = np.quantile(self._reaches, (_COMES, 0.5), axis=0)
        self._in_force = frozenset(
            breach
            for number, breach in enumerate(BREACHES)
            if of_most[number] > 1 or (breach in self._in_force and middle[number] > _BACK)
        )
        return tuple(breach for breach in BREACHES if breach in self._in_force)

    def _reach(self, values: NDArray[np.float64]) -> dict[Breach, float]:
        """How far each breach is reached by a frame; 1 is its bound."""
        center, usual = self._reference.center, _USUAL * self._reference.sigma
        beyond = np.abs(values - center) / usual
        clipped, shift_x, shift_y = INDEX["clipped"], INDEX["shift_x"], INDEX["shift_y"]
        lost = (_edges(center) - _edges(values)) / -np.log(SHARPNESS)
        limits = {"rotation": self._limits.rotation_deg, "scale": self._limits.scale}
        moved = float(np.hypot(values[shift_x], values[shift_y])) / self._limits.shift_px
        out = [min(moved, max(beyond[shift_x], beyond[shift_y]))]
        out += [min(abs(values[INDEX[name]]) / most, beyond[INDEX[name]]) for name, most in limits.items()]
        disagreement = INDEX["disagreement"]
        if center[disagreement] < DISAGREEMENT - usual[disagreement]:
            out.append(1 + (values[disagreement] - DISAGREEMENT))
        return {
            "clipped": min(float(values[clipped] - center[clipped]) / CLIPPED_SHARE, float(beyond[clipped])),
            "out_of_focus": min(lost, max(float(beyond[INDEX[name]]) for name in ("edges_x", "edges_y"))),
            "out_of_place": float(max(out)),
        }


def _edges(values: NDArray[np.float64]) -> float:
    """Logarithm of the edges' height in the sharpest direction."""
    x, y, diagonal = (float(values[INDEX[name]]) for name in ("edges_x", "edges_y", "edges_diagonal"))
    return max(x, y, (x + y + abs(diagonal)) / 2)


def locks_of(breaches: Collection[Breach], lock: Collection[Breach]) -> tuple[Breach, ...]:
    """Those of the breaches that the config says make frames invalid."""
    return tuple(breach for breach in BREACHES if breach in breaches and breach in lock)
