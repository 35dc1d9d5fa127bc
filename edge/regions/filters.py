"""Candidates are kept or rejected here by their shape and score.

A new filter is its key in ``config/regions.py`` and a row of ``FILTERS``; what the judge drops, counts and explains, and
what an import takes over, goes by that table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig
from edge.frames import Rejected
from edge.regions.candidates import Rows
from edge.regions.components import Chosen


def _least_areas(rows: Rows, config: RegionsConfig) -> NDArray[np.intp] | None:
    """Return the minimum area in force where each candidate is highest; None if no candidate has one."""
    if not config.min_area_px and not any(zone.min_area_px for zone in config.zones):
        return None
    areas = np.full(len(rows.area), config.min_area_px)
    if any(zone.min_area_px is not None for zone in config.zones):
        zones = rows.zone()
        for index, zone in enumerate(config.zones):
            if zone.min_area_px is not None:
                areas[zones == index] = zone.min_area_px
    return areas


@dataclass(frozen=True, slots=True)
class RegionFilter:
    """A filter is one row of the table."""

    key: str
    """Key under ``regions:`` that holds the limit; None there turns the filter off."""
    noun: str
    """Name of the measured property in texts."""
    measure: Callable[[Rows, Chosen], NDArray[Any]]
    """Measures all rows; the values are right for those that are chosen so far."""
    kind: Literal["area", "score", "shape"]
    """Areas are shown as whole numbers. Scores are float32, and so are their limits: otherwise 0.7 would fall short of
    0.7."""
    limits: Callable[[Rows, RegionsConfig], NDArray[Any] | None] | None = None
    """Limit of each row, if it is not one number for all; None turns the filter off."""

    @property
    def at_least(self) -> bool:
        """True if the limit is a minimum."""
        return self.key.startswith("min_")

    def limit(self, rows: Rows, config: RegionsConfig) -> Any:
        """Return the limit in force, or one for each row; None if the filter is off."""
        if self.limits is not None:
            return self.limits(rows, config)
        limit = getattr(config, self.key)
        return np.float32(limit) if limit is not None and self.kind == "score" else limit

    def fails(self, values: NDArray[Any], limit: Any) -> Chosen:
        """Return where a value lies beyond the limit; a value that meets it stays."""
        return np.asarray(values < limit if self.at_least else values > limit)


FILTERS: Final = (  # in the order in which they are applied: a candidate counts for the first that drops it
    RegionFilter("min_area_px", "area", lambda c, _: c.area, "area", limits=_least_areas),
    RegionFilter("max_area_px", "area", lambda c, _: c.area, "area"),
    RegionFilter("min_score_max", "score_max", lambda c, _: c.score_max, "score"),
    RegionFilter("min_score_mean", "score_mean", lambda c, _: c.score_mean, "score"),
    RegionFilter("min_fill_ratio", "fill_ratio", lambda c, _: c.fill_ratio, "shape"),
    RegionFilter("max_aspect_ratio", "aspect_ratio", lambda c, _: c.aspect_ratio, "shape"),
    RegionFilter("min_solidity", "solidity", lambda c, chosen: c.solidity(chosen), "shape"),
)


KEPT: Final = 127
"""Fate of a candidate that passes every filter."""
NO_CANDIDATE: Final = -1
"""Fate of a row that was no candidate."""


def fates_of(rows: Rows, config: RegionsConfig) -> NDArray[np.int8]:
    """Return for each row the number of the filter in ``FILTERS`` that drops it, the first that does, or ``KEPT``."""
    chosen = rows.chosen
    fates = np.where(chosen, np.int8(KEPT), np.int8(NO_CANDIDATE))
    for number, row in enumerate(FILTERS):
        limit = row.limit(rows, config)
        if limit is None:
            continue
        failed = chosen & row.fails(row.measure(rows, chosen), limit)
        if failed.any():
            fates[failed] = number
            chosen = chosen & ~failed
    return fates


def dropped_by(fates: NDArray[np.int8]) -> dict[str, int]:
    """Return how many rows each filter dropped, by its key; filters that dropped none are left out."""
    counts = np.bincount(fates[(fates >= 0) & (fates < KEPT)], minlength=len(FILTERS)).tolist()
    return {row.key: count for row, count in zip(FILTERS, counts, strict=True) if count}


def dropped_areas(rows: Rows, config: RegionsConfig, fates: NDArray[np.int8]) -> dict[str, int]:
    """Return the area in map px that each filter dropped, by its key, for every filter that is on."""
    on = [(number, row) for number, row in enumerate(FILTERS) if row.limit(rows, config) is not None]
    return {row.key: int(rows.area[fates == number].sum()) for number, row in on}


def rejected_of(rows: Rows, config: RegionsConfig, fates: NDArray[np.int8]) -> list[Rejected]:
    """Return each dropped candidate with the value and the limit that it was dropped for, in the order of the filters."""
    rejected: list[Rejected] = []
    boxes, areas = rows.boxes(), rows.area
    for number, row in enumerate(FILTERS):
        which = np.flatnonzero(fates == number)
        if not len(which):
            continue
        values = row.measure(rows, fates == number)
        limits = np.broadcast_to(row.limit(rows, config), values.shape)
        columns = boxes[which].tolist(), areas[which].tolist(), values[which].tolist(), limits[which].tolist()
        rejected += [Rejected(tuple(box), area, row.key, value, at) for box, area, value, at in zip(*columns, strict=True)]
    return rejected
