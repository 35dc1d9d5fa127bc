"""A map becomes its candidates here: what ROI, border, smoothing, thresholds, opening and closing leave to the filters.

A table of their measures stands for the map in everything that follows: a verdict under other filters needs no map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.regions.components import Binary, Chosen, Components, find_components
from edge.regions.plan import RegionPlan
from edge.regions.smooth import smooth_window


class Rows(Protocol):
    """Rows are what the filters read of candidates: one value of each measure for each of n rows."""

    @property
    def chosen(self) -> Chosen:
        """Say which rows are candidates; the others were no candidates in the first place."""

    @property
    def area(self) -> NDArray[Any]:
        """Return the areas in map px."""

    @property
    def score_max(self) -> NDArray[np.float32]:
        """Return the highest smoothed values."""

    @property
    def score_mean(self) -> NDArray[np.float32]:
        """Return the mean smoothed values."""

    @property
    def fill_ratio(self) -> NDArray[np.float64]:
        """Return the shares of the upright boxes that are filled."""

    @property
    def aspect_ratio(self) -> NDArray[np.float64]:
        """Return the ratios of the upright boxes' sides, 1 or more."""

    def solidity(self, chosen: Chosen) -> NDArray[np.float64]:
        """Return the solidities, which are right for the chosen rows at least: they are costly."""

    def zone(self) -> NDArray[Any]:
        """Return the index of the zone where each candidate is highest, -1 for none."""

    def boxes(self) -> NDArray[Any]:
        """Return (n, 4): x0, y0, x1, y1 in map px, x1 and y1 exclusive."""


@dataclass(frozen=True, slots=True)
class CandidateTable:
    """A table has one row for each candidate of one map, or of several, map after map. Every array has one value a row."""

    area: NDArray[np.int32]
    score_max: NDArray[np.float32]
    score_mean: NDArray[np.float32]
    fill_ratio: NDArray[np.float64]
    aspect_ratio: NDArray[np.float64]
    solidities: NDArray[np.float64]
    zones: NDArray[np.int16]
    places: NDArray[np.int32]
    """(n, 4): ``Rows.boxes``."""

    def __len__(self) -> int:
        return len(self.area)

    @property
    def chosen(self) -> Chosen:
        return np.ones(len(self.area), bool)

    def solidity(self, chosen: Chosen) -> NDArray[np.float64]:  # noqa: ARG002  (all were measured)
        return self.solidities

    def zone(self) -> NDArray[np.int16]:
        return self.zones

    def boxes(self) -> NDArray[np.int32]:
        return self.places

    @classmethod
    def joined(cls, tables: Sequence[CandidateTable]) -> CandidateTable:
        """Put the tables of several maps below each other, at least one."""
        return cls(*(np.concatenate([getattr(table, name) for table in tables]) for name in cls.__slots__))

    def only(self, which: NDArray[Any]) -> CandidateTable:
        """Return the rows that ``which`` chooses, by number or by truth."""
        return CandidateTable(*(getattr(self, name)[which] for name in self.__slots__))


EMPTY_TABLE: Final = CandidateTable(
    area=np.zeros(0, np.int32),
    score_max=np.zeros(0, np.float32),
    score_mean=np.zeros(0, np.float32),
    fill_ratio=np.zeros(0, np.float64),
    aspect_ratio=np.zeros(0, np.float64),
    solidities=np.zeros(0, np.float64),
    zones=np.zeros(0, np.int16),
    places=np.zeros((0, 4), np.int32),
)


@dataclass(slots=True)
class Candidates:
    """The candidates of one map are the ``chosen`` among ``components``; they hold until the next map of the same plan.

    ``smoothed`` is the window's values as the thresholds saw them. What is costly is measured when a filter asks for it.
    """

    components: Components
    chosen: Chosen
    smoothed: NDArray[np.float32]
    plan: RegionPlan

    @property
    def area(self) -> NDArray[np.intp]:
        return self.components.area

    @property
    def score_max(self) -> NDArray[np.float32]:
        return np.asarray(self.components.score_max, np.float32)

    @property
    def score_mean(self) -> NDArray[np.float32]:
        return np.asarray(self.components.score_mean, np.float32)

    @property
    def fill_ratio(self) -> NDArray[np.float64]:
        return self.components.fill_ratio

    @property
    def aspect_ratio(self) -> NDArray[np.float64]:
        return self.components.aspect_ratio

    def solidity(self, chosen: Chosen) -> NDArray[np.float64]:
        return self.components.solidity(chosen)

    def zone(self) -> NDArray[np.int16]:
        zones = np.full(len(self.components), -1, np.int16)
        if self.plan.zones:
            peaks = self.components.peaks()
            for index, (pixels, _) in enumerate(self.plan.zones):
                zones[pixels.ravel()[peaks]] = index  # no pixel is in two
        return zones

    def boxes(self) -> NDArray[np.intp]:
        y, x = (side.start for side in self.plan.window)
        of = self.components
        return np.stack([of.x0 + x, of.y0 + y, of.x1 + x, of.y1 + y], axis=1)

    def table(self) -> CandidateTable:
        """Measure everything that a filter could ask for, and keep it."""
        which = self.chosen
        return CandidateTable(
            area=self.area[which].astype(np.int32),
            score_max=self.score_max[which],
            score_mean=self.score_mean[which],
            fill_ratio=self.fill_ratio[which],
            aspect_ratio=self.aspect_ratio[which],
            solidities=self.solidity(which)[which],
            zones=self.zone()[which],
            places=self.boxes()[which].astype(np.int32),
        )


def candidate_table(values: NDArray[np.float32], plan: RegionPlan, highest: float) -> CandidateTable:
    """Return the table of one map; ``highest`` is what ``edge.regions.find.map_max`` gave for it."""
    candidates = find_candidates(scores_of(values, plan, highest), plan)
    return EMPTY_TABLE if candidates is None else candidates.table()


def scores_of(values: NDArray[np.float32], plan: RegionPlan, highest: float) -> NDArray[np.float32] | None:
    """Return the window's values as the thresholds see them; None if none of them can reach its threshold.

    ``highest`` is the raw maximum inside. The array may be the plan's own memory, valid until the next call.
    """
    return None if plan.quiet(values, highest) else _without_border(smooth_window(values, plan), plan)


def find_candidates(smoothed: NDArray[np.float32] | None, plan: RegionPlan) -> Candidates | None:
    """Find what the filters are given; None if there is nothing. ``smoothed`` is what ``scores_of`` gave."""
    if smoothed is None:
        return None
    components = find_components(above_low(smoothed, plan), smoothed)
    if components is None:
        return None
    seeded = np.ones(len(components), bool) if plan.low is None else components.reaching(plan.high)
    if not seeded.any():
        return None
    config = plan.config
    if not config.open_px and not config.close_px:
        return Candidates(components, seeded, smoothed, plan)
    shaped = plan.shaped
    shaped.fill(0)
    components.paint(shaped, seeded, 1)
    for operation, size in ((cv2.MORPH_OPEN, config.open_px), (cv2.MORPH_CLOSE, config.close_px)):
        if size:
            cv2.morphologyEx(shaped, operation, np.ones((size, size), np.uint8), dst=shaped)
    np.bitwise_and(shaped, plan.growing, out=shaped)
    components = find_components(shaped, smoothed)
    return None if components is None else Candidates(components, np.ones(len(components), bool), smoothed, plan)


def above_low(smoothed: NDArray[np.float32], plan: RegionPlan) -> Binary:
    """Return the window, 1 where a value inside reaches ``low``, or ``high`` without hysteresis.

    It is the plan's own memory, valid until the next call.
    """
    binary: Binary = plan.candidates
    np.greater_equal(smoothed, plan.high if plan.low is None else plan.low, out=binary.view(bool))
    if plan.solid:
        for strip in plan.outside:
            binary[strip] = 0
    else:
        np.bitwise_and(binary, plan.inside_window, out=binary)
    return binary


def _without_border(smoothed: NDArray[np.float32], plan: RegionPlan) -> NDArray[np.float32]:
    """Put ``faint`` in place of the border's own scores, where a region can grow into it."""
    if not plan.border:
        return smoothed
    out = plan.smooth_window
    if smoothed is not out:
        np.copyto(out, smoothed)
    for strip in plan.border:
        out[strip] = plan.faint
    return out
