"""The funnel says what each step between a map and its regions left, and which areas went altogether at it (pure).

A record counts what the filters dropped. A spot above ``low`` that lies outside the ROI or in the border, is smoothed away,
never reaches ``high`` or is narrower than the opening reaches no filter; here it stands, at the step where it went.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import FunnelStep, Rejected
from edge.regions.candidates import above_low, find_candidates, scores_of
from edge.regions.components import Binary, Chosen, Components, find_components
from edge.regions.filters import dropped_areas, fates_of, rejected_of
from edge.regions.plan import RegionPlan
from edge.regions.smooth import smooth_window

RAW: Final = "above_low"
"""First step: every pixel of the map at or above ``low``, without hysteresis ``high``."""
KEPT_STEP: Final = "kept"
"""Last step: what passed every filter, before holes are filled and regions merged."""


def funnel(values: NDArray[np.float32], plan: RegionPlan) -> tuple[FunnelStep, ...]:
    """Return the steps that are on, in their order; ``values`` must be finite.

    A step is named by the config key of what acts there, ``above_low`` for the pixels that begin, ``hysteresis``, and
    ``kept`` for those that passed every filter. In ``lost``, ``filter`` is the step, ``value`` what the area had of it and
    ``limit`` what it needed: the highest value against a threshold; for an opening the narrower side against its width.

    It takes the plan's scratch memory: what ``find_candidates`` gave for this plan holds no longer.
    """
    return (*_upstream(values, plan), *_filters(values, plan))


class _Level:
    """One step's pixels are held here with their components; places are those of the map."""

    def __init__(self, pixels: Binary, values: NDArray[np.float32], at: tuple[int, int] = (0, 0)) -> None:
        self.pixels = np.ascontiguousarray(pixels)
        self._at = at
        self.components = find_components(self.pixels, np.ascontiguousarray(values))

    def __len__(self) -> int:
        return 0 if self.components is None else len(self.components)

    def step(self, key: str, lost: tuple[Rejected, ...] = ()) -> FunnelStep:
        return FunnelStep(key, int(np.count_nonzero(self.pixels)), len(self), lost)

    def without(self, left: Binary) -> Chosen:
        """Say which components have no pixel in ``left``."""
        return np.zeros(0, bool) if self.components is None else ~self.components.touching(left)

    def lost(self, which: Chosen, key: str, values: Any, limits: Any) -> tuple[Rejected, ...]:
        if self.components is None:
            return ()
        of, (y, x) = self.components, self._at
        columns = of.x0 + x, of.y0 + y, of.x1 + x, of.y1 + y, of.area
        more = (np.broadcast_to(column, len(of)) for column in (values, limits))
        chosen = np.flatnonzero(which)
        rows = zip(*(np.asarray(column)[chosen].tolist() for column in (*columns, *more)), strict=True)
        return tuple(Rejected((x0, y0, x1, y1), area, key, value, limit) for x0, y0, x1, y1, area, value, limit in rows)

    def peaks(self) -> NDArray[np.float32]:
        return np.zeros(0, np.float32) if self.components is None else self.components.score_max

    def at_peaks(self, picture: NDArray[np.float32]) -> Any:
        """Return a picture's values where each component is highest, or the one value of a 0-d picture."""
        if self.components is None or not picture.ndim:
            return picture
        return picture.ravel()[self.components.peaks()]


def _upstream(values: NDArray[np.float32], plan: RegionPlan) -> list[FunnelStep]:
    config = plan.config
    before = _Level((values >= _lows(plan)).view(np.uint8), values)
    steps = [before.step(RAW)]
    for key, on, area in (
        ("roi", config.roi is not None or not plan.roi.all(), plan.roi),
        ("border_px", config.border_px > 0, plan.inside),
    ):
        if on:
            after = _Level(before.pixels & area, values)
            gone = before.without(after.pixels)
            steps.append(after.step(key, before.lost(gone, key, before.peaks(), before.at_peaks(_lows(plan)))))
            before = after
    corner = plan.window[0].start, plan.window[1].start
    inside = _Level(before.pixels[plan.window], values[plan.window], corner)
    smoothed = smooth_window(values, plan).copy()
    level = _Level(above_low(smoothed, plan).copy(), smoothed, corner)
    if config.smooth is not None:
        of_smoothed = _Level(inside.pixels, smoothed, corner)
        lost = of_smoothed.lost(
            of_smoothed.without(level.pixels), "smooth", of_smoothed.peaks(), of_smoothed.at_peaks(_window_low(plan))
        )
        steps.append(level.step("smooth", lost))
    if plan.low is not None:
        seeded = np.zeros(0, bool) if level.components is None else level.components.reaching(plan.high)
        lost = level.lost(~seeded, "hysteresis", level.peaks(), level.at_peaks(plan.high))
        left = np.zeros_like(level.pixels)
        if level.components is not None:
            level.components.paint(left, seeded, 1)
        level = _Level(left, smoothed, corner)
        steps.append(level.step("hysteresis", lost))
    for key, operation, size in (
        ("open_px", cv2.MORPH_OPEN, config.open_px),
        ("close_px", cv2.MORPH_CLOSE, config.close_px),
    ):
        if size:
            kernel = np.ones((size, size), np.uint8)
            shaped = np.asarray(cv2.morphologyEx(level.pixels, operation, kernel), np.uint8) & plan.growing
            after = _Level(shaped, smoothed, corner)
            steps.append(after.step(key, level.lost(level.without(shaped), key, _widths(level.components), size)))
            level = after
    return steps


def _filters(values: NDArray[np.float32], plan: RegionPlan) -> list[FunnelStep]:
    config, steps = plan.config, []
    candidates = find_candidates(scores_of(values, plan, plan.highest(values)), plan)
    if candidates is None:
        return [FunnelStep(KEPT_STEP, 0, 0)]
    fates = fates_of(candidates, config)
    rejected = rejected_of(candidates, config, fates)
    pixels, left = int(candidates.area[candidates.chosen].sum()), int(candidates.chosen.sum())
    for key, area in dropped_areas(candidates, config, fates).items():
        lost = tuple(one for one in rejected if one.filter == key)
        pixels, left = pixels - area, left - len(lost)
        steps.append(FunnelStep(key, pixels, left, lost))
    return [*steps, FunnelStep(KEPT_STEP, pixels, left)]


def _widths(components: Components | None) -> Any:
    """Return the shorter side of each component's box: what an opening is compared with."""
    if components is None:
        return 0
    return np.minimum(components.x1 - components.x0, components.y1 - components.y0)


def _window_low(plan: RegionPlan) -> NDArray[np.float32]:
    return plan.high if plan.low is None else plan.low


def _lows(plan: RegionPlan) -> NDArray[np.float32]:
    """Return the lower threshold of each pixel of the whole map, 0-d without zones; beyond the window it is the line's."""
    low = _window_low(plan)
    if not low.ndim:
        return low
    whole = np.full(plan.inside.shape, plan.line_low, np.float32)
    whole[plan.window] = low
    return whole
