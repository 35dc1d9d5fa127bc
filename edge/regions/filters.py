"""Candidates are kept or rejected here by their shape and score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.frames import Rejected
from edge.regions.components import Chosen, Components
from edge.regions.plan import RegionPlan


def keep_candidates(
    components: Components, kept: Chosen, plan: RegionPlan, explain: bool
) -> tuple[Chosen, dict[str, int], list[Rejected]]:
    """Those of ``kept`` that pass every filter; how many each filter dropped; each of those, where asked for."""
    dropped: dict[str, int] = {}
    rejected: list[Rejected] = []
    y, x = (side.start for side in plan.window)
    for key, measured, limit, fails in _tests(components, plan):
        values = measured(kept)
        failed = kept & fails(values, limit)
        which = np.flatnonzero(failed)
        if not len(which):
            continue
        dropped[key] = len(which)
        kept = kept & ~failed
        if explain:
            corners = components.x0 + x, components.y0 + y, components.x1 + x, components.y1 + y
            columns = *corners, components.area, values, np.broadcast_to(limit, values.shape)
            rows = zip(*(column[which].tolist() for column in columns), strict=True)
            rejected += [Rejected((x0, y0, x1, y1), area, key, value, at) for x0, y0, x1, y1, area, value, at in rows]
    return kept, dropped, rejected


_Test: TypeAlias = tuple[str, Callable[[Chosen], NDArray[Any]], Any, np.ufunc]


def _tests(components: Components, plan: RegionPlan) -> Iterator[_Test]:
    """Of each filter in use: its config key, what it measures of the components chosen so far, its limit, when it drops.

    Scores are float32, and so are their limits: else a score of 0.7 would fall short of 0.7.
    """
    config = plan.config
    if config.min_area_px or plan.zones:
        yield "min_area_px", lambda _: components.area, _least_areas(components, plan), np.less
    if config.max_area_px is not None:
        yield "max_area_px", lambda _: components.area, config.max_area_px, np.greater
    if config.min_score_max is not None:
        yield "min_score_max", lambda _: components.score_max, np.float32(config.min_score_max), np.less
    if config.min_score_mean is not None:
        yield "min_score_mean", lambda _: components.score_mean, np.float32(config.min_score_mean), np.less
    if config.min_fill_ratio is not None:
        yield "min_fill_ratio", lambda _: components.fill_ratio, config.min_fill_ratio, np.less
    if config.max_aspect_ratio is not None:
        yield "max_aspect_ratio", lambda _: components.aspect_ratio, config.max_aspect_ratio, np.greater
    if config.min_solidity is not None:
        yield "min_solidity", components.solidity, config.min_solidity, np.less


def _least_areas(components: Components, plan: RegionPlan) -> NDArray[np.intp]:
    """The minimum area in force where each component is highest."""
    areas = np.full(len(components), plan.config.min_area_px)
    if plan.zones:
        peaks = components.peaks()
        for zone, area in reversed(plan.zones):
            if area is not None:
                areas[zone.ravel()[peaks]] = area
    return areas
