"""What no map could pass through is refused before the line starts; the bare chain takes it and finds nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.config.regions import RegionsConfig, RoiConfig, ZoneConfig
from edge.errors import UserError
from edge.regions.find import find_regions
from edge.regions.plan import RegionPlan, check_reachable
from edge.regions.roi import Grid

SHAPE = (20, 30)


def prepared(**keys: Any) -> RegionPlan:
    return RegionPlan.for_size(RegionsConfig(**keys), Grid(SHAPE, SHAPE[::-1], (1.0, 1.0, 0.0, 0.0)), high=0.5)


def hot(**keys: Any) -> list[tuple[int, int, int, int]]:
    """Boxes of what the controls leave of a map that is hot everywhere, after they were found reachable."""
    controls = prepared(**keys)
    check_reachable(controls)
    return [region.bbox_xyxy for region in find_regions(np.ones(SHAPE, np.float32), controls).regions]


def refusal(**keys: Any) -> str:
    controls = prepared(**keys)
    if not controls.config.zones:
        assert find_regions(np.ones(SHAPE, np.float32), controls).regions == ()
    with pytest.raises(UserError) as caught:
        check_reachable(controls)
    return str(caught.value)


def test_a_minimum_area_that_no_region_can_have_is_refused() -> None:
    """Else every frame would pass. What takes part in pieces gives no region larger than a piece."""
    assert refusal(min_area_px=601) == (
        "regions.min_area_px: no region can be so large\n"
        "  received: 601\n"
        "  expected: at most 600: 600 of the map's 30 x 20 pixels take part\n"
        "  fix: make it smaller; it is counted in map pixels, not the frame's"
    )
    assert hot(min_area_px=600) == [(0, 0, 30, 20)]
    pieces = RoiConfig(units="image_px", include=((0, 0, 10, 10), (15, 0, 20, 10)))
    zone = ZoneConfig(units="image_px", shape=(15, 0, 20, 10), min_area_px=101)
    assert refusal(zones=(zone,), roi=pieces) == (
        "regions.zones.0.min_area_px: no region can be so large\n"
        "  received: 101\n"
        "  expected: at most 100: 150 of the map's 30 x 20 pixels take part, and no region can have more than 100\n"
        "  fix: make it smaller; it is counted in map pixels, not the frame's"
    )
    opened = RoiConfig(units="image_px", include=((5, 5, 10, 10), (10, 7, 20, 8)))
    assert "at most 25: 35 of" in refusal(min_area_px=26, roi=opened, open_px=3)
    assert hot(min_area_px=25, roi=opened, open_px=3) == [(5, 5, 10, 10)]


def test_a_minimum_area_counts_what_closing_may_take_of_the_border() -> None:
    assert hot(min_area_px=600, close_px=5, border_px=2) == [(0, 0, 30, 20)]
    assert "at most 416: 416 of" in refusal(min_area_px=417, border_px=2)


def test_an_opening_that_nothing_survives_is_refused() -> None:
    roi = RoiConfig(units="image_px", include=((5, 5, 15, 11),))
    assert refusal(open_px=7, roi=roi) == (
        "regions.open_px: nothing is left to inspect\n"
        "  received: 7, and no square of that width fits into what takes part: 60 of the map's 30 x 20 pixels\n"
        "  expected: a square that fits; it is counted in map pixels, not the frame's\n"
        "  fix: make it smaller"
    )
    assert hot(open_px=5, roi=roi) == [(5, 5, 15, 11)]
    assert hot(open_px=41) == [(0, 0, 30, 20)]  # beyond the map's own edge nothing is missing
