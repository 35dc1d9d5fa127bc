"""Regions to a verdict, and map pixels to image pixels."""

from __future__ import annotations

import numpy as np
import pytest

from edge.frames import AnomalyMap, Found, FrameMeta, Latency, Region
from edge.regions.verdict import invalid, judge, timed, to_image

META = FrameMeta(7, "device", 800, 600, "Mono8", 1, 2)
REGION = Region(0, (10, 20, 14, 22), 8.0, (11.5, 20.5), 0.9, 0.8, 1.0, 2.0, 1.0)


def amap(scale: tuple[float, float, float, float]) -> AnomalyMap:
    return AnomalyMap(np.zeros((150, 200), np.float32), scale, score=0.25)


def found(*regions: Region) -> Found:
    return Found(np.zeros((150, 200), np.uint8), regions, {"min_area_px": 3})


def test_no_region_is_a_pass_and_what_was_dropped_is_told() -> None:
    inspection = judge(META, amap((4, 4, 0, 0)), 0.3, found(), 0.6)
    assert (inspection.verdict, inspection.reason, inspection.map_max, inspection.threshold) == ("pass", None, 0.3, 0.6)
    assert inspection.regions_dropped == {"min_area_px": 3}
    assert inspection.score == 0.25


def test_a_surviving_region_is_a_fail_in_image_pixels() -> None:
    inspection = judge(META, amap((4, 4, 0, 0)), 0.9, found(REGION), 0.6)
    assert inspection.verdict == "fail"
    region = inspection.regions[0]
    assert region.bbox_xyxy == (40, 80, 56, 88)
    assert region.area_px == 128.0
    assert region.centroid_xy == (47.5, 83.5)
    assert (region.fill_ratio, region.aspect_ratio, region.solidity) == (1.0, 2.0, 1.0)


@pytest.mark.parametrize(
    ("scale", "box"),
    [
        ((1, 1, 0, 0), (10, 20, 14, 22)),
        ((2.5, 2.5, 0, 0), (25, 50, 35, 55)),
        ((2.5, 2.5, 1, 3), (26, 53, 36, 58)),
        ((800 / 3, 600 / 3, 0, 0), (800, 600, 800, 600)),
        ((1, 1, -12, -21), (0, 0, 2, 1)),
    ],
)
def test_box_edges_go_outward_to_whole_pixels_and_stay_inside_the_frame(
    scale: tuple[float, float, float, float], box: tuple[int, int, int, int]
) -> None:
    assert to_image(REGION, scale, 800, 600).bbox_xyxy == box


def test_a_third_of_the_frame_is_exactly_a_third() -> None:
    """800 / 3 * 3 is a little more than 800 in floating point; the box must not grow by a pixel."""
    region = Region(0, (0, 0, 3, 3), 9.0, (1.0, 1.0), 1, 1, 1, 1, 1)
    assert to_image(region, (799 / 3, 599 / 3, 0, 0), 1000, 1000).bbox_xyxy == (0, 0, 799, 599)


def test_a_late_verdict_is_no_verdict() -> None:
    good = judge(META, amap((1, 1, 0, 0)), 0.1, found(), 0.6)
    late = timed(good, Latency(1, 60, 1, 1, 80.1), 80.0)
    assert (late.verdict, late.reason) == ("invalid", "late")
    assert timed(good, Latency(1, 60, 1, 1, 80.0), 80.0).verdict == "pass"
    assert timed(good, Latency(1, 60, 1, 1, 1e6), None).verdict == "pass"


def test_a_frame_that_was_late_when_it_was_recorded_is_late_again_without_a_deadline() -> None:
    meta = FrameMeta(7, "device", 800, 600, "Mono8", 1, 2, late=True)
    assert timed(judge(meta, amap((1, 1, 0, 0)), 0.1, found(), 0.6), Latency(0, 0, 0, 0, 0), None).reason == "late"


def test_an_invalid_frame_keeps_its_reason_when_it_is_late_too() -> None:
    assert timed(invalid(META, "map_not_finite", 0.6), Latency(0, 0, 0, 0, 99), 80.0).reason == "map_not_finite"
