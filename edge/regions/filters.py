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

from edge.frames import Rejected
from edge.regions.components import Chosen, Components
from edge.regions.plan import RegionPlan


def _least_areas(components: Components, plan: RegionPlan) -> NDArray[np.intp] | None:
    """Return the minimum area in force where each component is highest; None if no component has one."""
    if not plan.config.min_area_px and not plan.zones:
        return None
    areas = np.full(len(components), plan.config.min_area_px)
    if plan.zones:
        peaks = components.peaks()
        for zone, area in reversed(plan.zones):
            if area is not None:
                areas[zone.ravel()[peaks]] = area
    return areas


@dataclass(frozen=True, slots=True)
class RegionFilter:
    """A filter is one row of the table."""

    key: str
    """Key under ``regions:`` that holds the limit; None there turns the filter off."""
    noun: str
    """Name of the measured property in texts."""
    measure: Callable[[Components, Chosen], NDArray[Any]]
    """Measures all components; the values are right for those that are chosen so far."""
    kind: Literal["area", "score", "shape"]
    """Areas are shown as whole numbers. Scores are float32, and so are their limits: otherwise 0.7 would fall short of
    0.7."""
    limits: Callable[[Components, RegionPlan], NDArray[Any] | None] | None = None
    """Limit of each component, if it is not one number for all; None turns the filter off."""

    @property
    def at_least(self) -> bool:
        """True if the limit is a minimum."""
        return self.key.startswith("min_")

    def limit(self, components: Components, plan: RegionPlan) -> Any:
        """Return the limit in force, or one for each component; None if the filter is off."""
        if self.limits is not None:
            return self.limits(components, plan)
        limit = getattr(plan.config, self.key)
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


def keep_candidates(
    components: Components, chosen: Chosen, plan: RegionPlan, explain: bool
) -> tuple[Chosen, dict[str, int], list[Rejected]]:
    """Return the ``chosen`` that pass every filter, how many each filter dropped, and, if asked for, each of those."""
    dropped: dict[str, int] = {}
    rejected: list[Rejected] = []
    y, x = (side.start for side in plan.window)
    for row in FILTERS:
        limit = row.limit(components, plan)
        if limit is None:
            continue
        values = row.measure(components, chosen)
        failed = chosen & row.fails(values, limit)
        which = np.flatnonzero(failed)
        if not len(which):
            continue
        dropped[row.key] = len(which)
        chosen = chosen & ~failed
        if explain:
            corners = components.x0 + x, components.y0 + y, components.x1 + x, components.y1 + y
            columns = *corners, components.area, values, np.broadcast_to(limit, values.shape)
            entries = zip(*(column[which].tolist() for column in columns), strict=True)
            rejected += [
                Rejected((x0, y0, x1, y1), area, row.key, value, at) for x0, y0, x1, y1, area, value, at in entries
            ]
    return chosen, dropped, rejected
