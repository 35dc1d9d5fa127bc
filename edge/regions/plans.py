"""The plans of ``regions:`` are kept here: one for each size of frame, made once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig
from edge.errors import UserError
from edge.frames import AnomalyMap
from edge.regions.plan import RegionPlan, check_reachable
from edge.regions.roi import Grid, ShapePixels

_KEPT_SIZES: Final = 8
"""Number of frame sizes whose plans are kept; a folder of pictures may hold a new size in each."""


class RegionPlans:
    """The plans of one config are each made when the first frame of a size comes. One thread uses them.

    Args:
        config: the line's ``regions``.
        mask: the ROI's mask picture, (H, W), above 0 where inspected; None: there is none.
        high: the threshold in force; None if thresholds are yet to be measured.
        low: where regions end; None without hysteresis.
        shapes: keeps the pixels of ROI and zones for other configs, too, and has the mask picture; None: none are kept.
        reachable: whether a config whose regions no map can reach is refused, which takes as long as the rest of a plan.
    """

    def __init__(
        self,
        config: RegionsConfig,
        mask: NDArray[np.uint8] | None,
        high: float | None = None,
        low: float | None = None,
        *,
        shapes: ShapePixels | None = None,
        reachable: bool = True,
    ) -> None:
        self._config = config
        self._mask = mask
        self._high, self._low = high, low
        self._shapes, self._reachable = shapes, reachable
        self._plans: dict[tuple[object, ...], RegionPlan | UserError] = {}

    def plan(self, amap: AnomalyMap, width: int, height: int) -> RegionPlan:
        """Return the plan for maps of this shape over frames of this size.

        Raises:
            UserError: the ROI or the mask picture doesn't fit such a frame.
        """
        key = (amap.values.shape, width, height, amap.map_to_image)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= _KEPT_SIZES:
                del self._plans[next(iter(self._plans))]
            plan = self._plans[key] = self._made(amap, width, height)
        if isinstance(plan, UserError):
            raise plan
        return plan

    def _made(self, amap: AnomalyMap, width: int, height: int) -> RegionPlan | UserError:
        h, w = amap.values.shape
        grid = Grid((h, w), (width, height), amap.map_to_image)
        try:
            plan = RegionPlan.for_size(self._config, grid, self._mask, high=self._high, low=self._low, shapes=self._shapes)
            if self._reachable:
                check_reachable(plan)
        except UserError as error:
            return error
        return plan
