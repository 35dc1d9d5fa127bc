"""An anomaly map to regions: tables with exact masks and boxes, and the whole chain against a slow restatement of it."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig
from edge.errors import UserError
from edge.frames import Found, Region, Rejected
from edge.regions.find import BadMapError, MapNotFinite, find_regions, map_max
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid
from edge.regions.smooth import nearest_to_high, smooth_inside

Map = NDArray[np.float32]
Box = tuple[int, int, int, int]
MEDIAN = SmoothConfig(kind="median", size=3)


def controls(config: RegionsConfig, values: Map, high: float = 0.5, low: float | None = None) -> RegionPlan:
    """For a map over a frame of its own size."""
    h, w = values.shape
    return RegionPlan.for_size(config, Grid((h, w), (w, h), (1.0, 1.0, 0.0, 0.0)), high=high, low=low)


def found(values: Map, high: float = 0.5, low: float | None = None, **keys: Any) -> Found:
    return find_regions(values, controls(RegionsConfig(**keys), values, high, low))


def drawn(*rows: str) -> Map:
    """``.`` is 0, a digit tenths, ``#`` 1."""
    return np.array(
        [[{".": 0.0, "#": 1.0}.get(c) or int(c) / 10 if c != "." else 0.0 for c in row] for row in rows], np.float32
    )


def shown(mask: NDArray[np.uint8]) -> list[str]:
    assert set(np.unique(mask)) <= {0, 255}
    return ["".join("#" if pixel else "." for pixel in row) for row in mask]


def boxes(result: Found) -> list[Box]:
    return [region.bbox_xyxy for region in result.regions]


def empty(shape: tuple[int, int] = (20, 30)) -> Map:
    return np.zeros(shape, np.float32)


# --- what a region tells


def test_a_region_tells_its_box_area_centre_scores_and_shape() -> None:
    values = drawn("......", ".6785.", ".5..5.", ".5556.", "......")
    [region] = found(values).regions
    assert region == Region(
        id=1,
        bbox_xyxy=(1, 1, 5, 4),
        area_px=10.0,
        centroid_xy=(2.5, 2.0),
        score_max=pytest.approx(0.8),
        score_mean=pytest.approx(0.57),
        fill_ratio=10 / 12,
        aspect_ratio=4 / 3,
        solidity=1.0,
        polygon=None,
    )


def test_the_polygon_is_the_outline_simplified_to_half_a_pixel() -> None:
    values = empty()
    values[3:8, 4:10] = 1
    [region] = found(values, polygons=True).regions
    assert region.polygon is not None
    assert set(region.polygon) == {(4.0, 3.0), (9.0, 3.0), (9.0, 7.0), (4.0, 7.0)}


def test_boxes_and_polygons_lie_in_the_map_wherever_the_roi_is() -> None:
    values = empty()
    values[12:15, 20:24] = 1
    roi = RoiConfig(units="image_px", include=((15, 9, 28, 19),))
    [region] = found(values, roi=roi, polygons=True).regions
    assert region.bbox_xyxy == (20, 12, 24, 15)
    assert region.centroid_xy == (21.5, 13.0)
    assert region.polygon is not None
    assert set(region.polygon) == {(20.0, 12.0), (23.0, 12.0), (23.0, 14.0), (20.0, 14.0)}


def test_a_component_over_the_whole_map_is_one_region() -> None:
    [region] = found(np.ones((7, 9), np.float32)).regions
    assert (region.bbox_xyxy, region.area_px, region.solidity) == ((0, 0, 9, 7), 63.0, 1.0)


def test_a_row_that_ends_at_the_edge_is_not_joined_to_the_next_that_begins_at_it() -> None:
    values = drawn("...##", "##...", ".....", "...##", "#####")
    result = found(values)
    assert boxes(result) == [(0, 3, 5, 5), (3, 0, 5, 1), (0, 1, 2, 2)]
    assert [region.area_px for region in result.regions] == [7.0, 2.0, 2.0]


def test_a_region_in_the_hole_of_another_is_its_own() -> None:
    values = drawn(".......", ".#####.", ".#...#.", ".#.7.#.", ".#...#.", ".#####.", ".......")
    result = found(values)
    assert boxes(result) == [(1, 1, 6, 6), (3, 3, 4, 4)]
    assert [region.area_px for region in result.regions] == [16.0, 1.0]
    assert result.regions[0].score_mean == 1.0


# --- threshold


def test_a_pixel_at_the_threshold_belongs_in_the_maps_own_precision() -> None:
    values = empty()
    values[4, 4] = 0.7
    values[4, 8] = np.nextafter(np.float32(0.7), np.float32(0))
    assert boxes(found(values, 0.7)) == [(4, 4, 5, 5)]
    assert boxes(found(values, 0.7, min_score_max=0.7, min_score_mean=0.7)) == [(4, 4, 5, 5)]


def test_hysteresis_grows_over_all_eight_neighbours_and_drops_what_has_no_seed() -> None:
    values = drawn("4.....", ".4....", "..6...", ".....4", "....4.", "......")
    assert shown(found(values, 0.6, 0.4).mask) == ["#.....", ".#....", "..#...", "......", "......", "......"]
    assert shown(found(values, 0.6).mask) == ["......", "......", "..#...", "......", "......", "......"]


def test_hysteresis_among_thousands_of_components_without_a_seed() -> None:
    values = empty((128, 128))
    values[::2, ::2] = 0.4
    values[64, 64] = 0.9
    result = found(values, 0.6, 0.3)
    assert boxes(result) == [(64, 64, 65, 65)]
    assert result.mask.sum() == 255


def test_negative_maps_have_no_frame_shaped_defect_at_the_border() -> None:
    values = np.full((12, 12), -2.0, np.float32)
    values[5:7, 5:7] = -0.5
    assert boxes(found(values, -1.0, border_px=2, smooth=MEDIAN)) == []
    assert boxes(found(values, -1.0, border_px=2)) == [(5, 5, 7, 7)]


def test_the_mask_is_empty_again_after_a_clean_frame() -> None:
    values = empty()
    prepared = controls(RegionsConfig(), values)
    values[2:4, 2:4] = 1
    assert find_regions(values, prepared).mask.any()
    assert not find_regions(empty(), prepared).mask.any()
    values[2:4, 2:4] = 0
    values[9:12, 9] = 1
    assert boxes(find_regions(values, prepared)) == [(9, 9, 10, 12)]


# --- ROI and border


def test_roi_and_border_choose_the_pixels_before_components_are_formed() -> None:
    """What lies outside neither seeds a region nor counts for its area."""
    values = empty((10, 10))
    values[4:6, 0:5] = 0.4
    values[4, 0] = 0.9
    roi = RoiConfig(include=((0.2, 0.0, 1.0, 1.0),))
    assert boxes(found(values, 0.6, 0.3)) == [(0, 4, 5, 6)]
    assert found(values, 0.6, 0.3, roi=roi).regions == ()
    assert found(values, 0.6, 0.3, border_px=1).regions == ()
    assert found(values, 0.3, roi=roi, min_area_px=7).dropped == {"min_area_px": 1}


def test_the_border_is_excluded_but_still_smooths_its_neighbours() -> None:
    """Zeroing it first would attenuate defects beside it and would let its zeros bleed in."""
    values = np.zeros((9, 9), np.float32)
    values[:, :4] = 1
    assert shown(found(values, 1.0, border_px=1, smooth=MEDIAN).mask)[1:-1] == [".###....."] * 7
    assert shown(found(values, 1.0, border_px=1, smooth=MEDIAN).mask)[0] == "." * 9


@pytest.mark.parametrize("kind", ["median", "gaussian", "box"])
def test_a_bright_pixel_outside_the_roi_reaches_in_through_smoothing_alone(kind: Any) -> None:
    """The early exit must not pass over a frame whose maximum inside is low before smoothing."""
    values = np.zeros((12, 12), np.float32)
    values[:, :6] = 1.0
    for roi in (
        RoiConfig(units="image_px", include=((6, 0, 12, 12),)),
        RoiConfig(units="image_px", include=([(6, 0), (12, 0), (12, 12), (6, 12)],)),
        RoiConfig(units="image_px", include=((6, 0, 12, 12),), exclude=((10, 10, 11, 11),)),
    ):
        prepared = controls(RegionsConfig(roi=roi, smooth=SmoothConfig(kind=kind, size=3)), values, 0.25)
        assert map_max(values, prepared) == 0.0
        expected = [] if kind == "median" else [(6, 0, 7, 12)]
        assert boxes(find_regions(values, prepared)) == expected


def test_map_max_is_the_raw_maximum_inside_roi_and_border() -> None:
    values = empty()
    values[0, 0], values[10, 10], values[5, 25], values[10, 3] = 9, 3, 5, 4
    assert map_max(values, controls(RegionsConfig(), values)) == 9
    assert map_max(values, controls(RegionsConfig(border_px=1, smooth=MEDIAN), values)) == 5
    left = RoiConfig(include=((0.0, 0.0, 0.5, 1.0),))
    assert map_max(values, controls(RegionsConfig(roi=left, border_px=1), values)) == 4
    diagonal = RoiConfig(units="image_px", include=([(6, 1), (29, 1), (29, 19), (6, 19)],), exclude=((20, 0, 30, 20),))
    assert map_max(values, controls(RegionsConfig(roi=diagonal), values)) == 3


def test_map_max_reads_every_band_of_a_tall_map() -> None:
    for row in (0, 63, 64, 1000, 4095):
        values = np.zeros((4096, 100), np.float32)
        values[row, 7] = 2
        assert map_max(values, controls(RegionsConfig(), values)) == 2
        values[row, 7] = np.nan
        with pytest.raises(MapNotFinite):
            map_max(values, controls(RegionsConfig(border_px=1), values))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (10, 10), (19, 29)])
def test_a_value_that_is_not_finite_is_never_passed_over(bad: float, place: tuple[int, int]) -> None:
    values = empty()
    values[place] = bad
    prepared = controls(RegionsConfig(border_px=3), values)
    with pytest.raises(MapNotFinite, match=r"^the map has NaN or infinite values$"):
        map_max(values, prepared)
    with pytest.raises(MapNotFinite):
        find_regions(values, prepared)


def test_values_at_the_ends_of_float32_are_finite() -> None:
    values = np.full((40, 40), np.finfo(np.float32).max, np.float32)
    assert map_max(values, controls(RegionsConfig(), values)) == np.finfo(np.float32).max


@pytest.mark.parametrize("values", [np.zeros((20, 30)), np.zeros((30, 20), np.float32), np.zeros((20, 30, 1), np.float32)])
def test_a_map_of_another_type_or_size_is_refused(values: Any) -> None:
    with pytest.raises(BadMapError, match=r"^the map is float\d\d \(.*\), expected float32 \(20, 30\)$"):
        map_max(values, controls(RegionsConfig(), empty()))


# --- opening, closing, holes, dilation


def test_opening_comes_before_closing() -> None:
    values = drawn(
        "..........", "..........", "..###.##..", "..###.##..", "..###.##..", ".......#..", "..........", ".........."
    )
    bare = ".........."
    block = ["..###....."] * 3
    assert shown(found(values, open_px=3).mask) == [bare, bare, *block, bare, bare, bare]
    assert shown(found(values, close_px=3).mask) == [bare, bare, *["..######.."] * 3, ".......#..", bare, bare]
    assert shown(found(values, open_px=3, close_px=3).mask) == [bare, bare, *block, bare, bare, bare]


def test_closing_does_not_leave_the_roi_but_may_enter_the_border() -> None:
    """The border's own values make no region; what closing takes of it counts with a score of 0."""
    values = empty((9, 9))
    values[4, 1], values[4, 3] = 1, 1
    assert shown(found(values, close_px=3).mask)[4] == "####....."
    closed = found(values, close_px=3, border_px=1)
    assert shown(closed.mask)[4] == "####....."
    assert closed.regions[0].score_mean == 0.5
    values[:, 0] = 9
    assert found(values, close_px=3, border_px=1).regions == closed.regions
    roi = RoiConfig(units="image_px", include=((1, 0, 9, 9),), exclude=((2, 0, 3, 9),))
    assert shown(found(values, close_px=3, border_px=1, roi=roi).mask)[4] == ".#.#....."


def test_below_a_negative_threshold_what_grew_into_the_border_raises_no_score() -> None:
    values = empty((9, 9)) - 2
    values[4, 1], values[4, 3] = -0.5, -0.75
    (region,) = found(values, -1.0, close_px=3, border_px=1).regions
    assert (region.bbox_xyxy, region.score_max) == ((0, 4, 4, 5), -0.5)


def test_nothing_is_opened_or_closed_towards_the_inside_of_the_maps_edge_but_the_maps_own() -> None:
    """The edge of the ROI is no edge of the picture: beyond it lies background."""
    values = empty((12, 12))
    values[5, 4:8] = 1
    values[6, 4:8] = 1
    roi = RoiConfig(units="image_px", include=((0, 5, 12, 12),))
    assert found(values, open_px=3, roi=roi).regions == ()
    assert shown(found(values, close_px=5, roi=roi).mask)[5:8] == ["....####....", "....####....", "............"]


def test_filling_holes_takes_in_what_lies_in_them() -> None:
    values = drawn(".......", ".#####.", ".#...#.", ".#.7.#.", ".#...#.", ".#####.", ".......")
    result = found(values, fill_holes=True)
    assert boxes(result) == [(1, 1, 6, 6)]
    assert result.regions[0].area_px == 25.0
    assert result.regions[0].score_mean == pytest.approx((16 + 0.7) / 25)


def test_a_region_in_the_hole_of_another_is_filled_over() -> None:
    values = drawn("#######", "#.....#", "#.###.#", "#.#.#.#", "#.###.#", "#.....#", "#######")
    result = found(values, fill_holes=True)
    assert (boxes(result), result.regions[0].area_px) == ([(0, 0, 7, 7)], 49.0)


def test_a_bay_at_the_maps_edge_is_no_hole() -> None:
    values = drawn("##.##", "#...#", "#####", ".....")
    assert shown(found(values, fill_holes=True).mask) == ["##.##", "#...#", "#####", "....."]


def test_filters_act_before_holes_are_filled_and_before_dilation() -> None:
    values = drawn(".......", ".#####.", ".#...#.", ".#...#.", ".#...#.", ".#####.", ".......")
    assert found(values, fill_holes=True, min_area_px=17).dropped == {"min_area_px": 1}
    assert found(values, dilate_px=3, min_area_px=17).dropped == {"min_area_px": 1}
    assert found(values, dilate_px=3, fill_holes=True, min_area_px=16).regions[0].area_px == 45.0


def test_dilation_is_an_ellipse_that_stays_inside_the_roi() -> None:
    values = empty((7, 7))
    values[3, 3] = 1
    assert shown(found(values, dilate_px=5).mask)[1:6] == ["...#...", ".#####.", ".#####.", ".#####.", "...#..."]
    roi = RoiConfig(units="image_px", include=((0, 0, 4, 7),))
    assert shown(found(values, dilate_px=3, roi=roi).mask)[2:5] == ["...#...", "..##...", "...#..."]


def test_regions_that_dilation_joins_are_one() -> None:
    values = empty((7, 12))
    values[3, 3], values[3, 6] = 0.8, 0.6
    result = found(values, dilate_px=3)
    assert boxes(result) == [(2, 2, 8, 5)]
    assert result.regions[0].score_max == pytest.approx(0.8)


# --- filters


def test_each_filter_drops_what_fails_it_and_the_first_one_counts() -> None:
    values = empty((40, 60))
    values[2, 2] = 1.0  # area 1
    values[2:22, 10:30] = 0.9  # area 400
    values[2:6, 40:44] = 0.55  # low maximum
    values[10, 40], values[10:14, 41:44] = 0.9, 0.5  # low mean
    for step in range(6):
        values[20 + step, 40 + step] = 0.9  # a slanted scratch: fill 1/6
    values[30, 2:22] = 0.9  # aspect 20
    values[30:39, 40:42], values[37:39, 42:49] = 0.9, 0.9  # an L
    values[30:34, 54:58] = 0.9  # passes
    result = found(
        values,
        min_area_px=3,
        max_area_px=300,
        min_score_max=0.6,
        min_score_mean=0.55,
        min_fill_ratio=0.3,
        max_aspect_ratio=6.0,
        min_solidity=0.7,
    )
    assert boxes(result) == [(54, 30, 58, 34)]
    assert result.dropped == {
        "min_area_px": 1,
        "max_area_px": 1,
        "min_score_max": 1,
        "min_score_mean": 1,
        "min_fill_ratio": 1,
        "max_aspect_ratio": 1,
        "min_solidity": 1,
    }
    assert result.rejected == ()


def test_what_was_dropped_is_listed_with_value_and_limit_on_request() -> None:
    values = empty()
    values[2:4, 2:12] = 0.75
    values[10:13, 20:22] = 1
    roi = RoiConfig(units="image_px", include=((1, 1, 29, 19),))
    config = RegionsConfig(max_aspect_ratio=4.0, min_area_px=7, roi=roi)
    result = find_regions(values, controls(config, values), explain=True)
    assert result.regions == ()
    assert result.rejected == (
        Rejected((20, 10, 22, 13), 6, "min_area_px", 6, 7),
        Rejected((2, 2, 12, 4), 20, "max_aspect_ratio", 5.0, 4.0),
    )


def test_limits_themselves_pass() -> None:
    values = empty()
    values[2:4, 2:12] = 0.75
    limits = {"min_area_px": 20, "max_area_px": 20, "max_aspect_ratio": 5.0, "min_fill_ratio": 1.0, "min_solidity": 1.0}
    result = found(values, min_score_max=0.75, min_score_mean=0.75, **limits)
    assert boxes(result) == [(2, 2, 12, 4)]
    assert result.dropped == {}


@pytest.mark.parametrize("scratch", [(slice(5, 6), slice(3, 20)), (slice(3, 20), slice(5, 6)), (slice(4, 5), slice(4, 5))])
def test_a_scratch_one_pixel_wide_survives_min_solidity(scratch: tuple[slice, slice]) -> None:
    values = np.zeros((30, 30), np.float32)
    values[scratch] = 1
    assert [region.solidity for region in found(values, min_solidity=1.0).regions] == [1.0]


def test_a_slanted_scratch_one_pixel_wide_survives_min_solidity() -> None:
    values = np.eye(12, dtype=np.float32)
    assert [region.solidity for region in found(values, min_solidity=0.9).regions] == [1.0]


def test_solidity_compares_outline_and_hull_and_takes_no_notice_of_holes() -> None:
    values = empty()
    values[2:8, 2:8] = 1
    values[4:6, 4:6] = 0
    values[10:16, 10:12], values[14:16, 12:16] = 1, 1  # an L: 5 + 4 and the cut corner, in 25 - 8
    ring, corner = sorted(found(values).regions, key=lambda region: region.bbox_xyxy)
    assert ring.solidity == 1.0
    assert corner.solidity == pytest.approx(9.5 / 17)


# --- zones


def test_a_zone_has_its_own_thresholds() -> None:
    values = empty((20, 40))
    values[5:8, 5:8] = 0.6
    values[5:8, 25:28] = 0.6
    zone = ZoneConfig(shape=(0.5, 0.0, 1.0, 1.0), threshold=ThresholdConfig(high=0.8))
    assert boxes(found(values, 0.5, zones=(zone,))) == [(5, 5, 8, 8)]
    values[6, 26] = 0.8
    assert boxes(found(values, 0.5, zones=(zone,))) == [(26, 6, 27, 7), (5, 5, 8, 8)]
    zone = ZoneConfig(shape=(0.5, 0.0, 1.0, 1.0), threshold=ThresholdConfig(high=0.8, low=0.6))
    assert boxes(found(values, 0.5, zones=(zone,))) == [(25, 5, 28, 8), (5, 5, 8, 8)]


def test_a_zone_may_be_more_sensitive_than_the_rest() -> None:
    values = empty((20, 40))
    values[5:8, 5:8] = 0.3
    values[5:8, 18:22] = 0.3
    zone = ZoneConfig(shape=[(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)], threshold=ThresholdConfig(high=0.2))
    assert boxes(found(values, 0.5, zones=(zone,))) == [(5, 5, 8, 8), (18, 5, 20, 8)]


def test_a_region_may_cross_a_zones_edge_and_answers_to_the_zone_of_its_peak() -> None:
    values = empty((20, 40))
    values[5:7, 17:23] = 0.6
    values[5, 22] = 0.7
    right = ZoneConfig(shape=(0.5, 0.0, 1.0, 1.0), min_area_px=13)
    assert found(values, 0.5, zones=(right,)).dropped == {"min_area_px": 1}
    values[5, 17] = 0.8
    assert boxes(found(values, 0.5, zones=(right,))) == [(17, 5, 23, 7)]
    assert found(values, 0.5, zones=(right,), min_area_px=13).dropped == {"min_area_px": 1}


def test_the_first_zone_listed_wins_where_zones_overlap() -> None:
    values = empty((20, 40))
    values[5:7, 5:7] = 0.6
    strict = ZoneConfig(shape=(0.0, 0.0, 0.5, 1.0), threshold=ThresholdConfig(high=0.9))
    lax = ZoneConfig(shape=(0.1, 0.0, 1.0, 1.0), threshold=ThresholdConfig(high=0.1))
    assert boxes(found(values, 0.5, zones=(strict, lax))) == []
    assert boxes(found(values, 0.5, zones=(lax, strict))) == [(5, 5, 7, 7)]


def test_calibration_sees_the_pixels_that_the_lines_own_thresholds_rule() -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    zone = ZoneConfig(units="image_px", shape=(0, 0, 1, 3), threshold=ThresholdConfig(high=9))
    area = ZoneConfig(units="image_px", shape=(0, 0, 4, 1), min_area_px=8)
    roi = RoiConfig(units="image_px", include=((0, 0, 4, 2),))
    assert smooth_inside(values, controls(RegionsConfig(), values)).tolist() == list(range(12))
    assert smooth_inside(values, controls(RegionsConfig(roi=roi), values)).tolist() == list(range(8))
    assert smooth_inside(values, controls(RegionsConfig(roi=roi, zones=(zone, area)), values)).tolist() == [
        1,
        2,
        3,
        5,
        6,
        7,
    ]


# --- merging, order, how many


def test_merging_measures_between_pixels_not_between_boxes() -> None:
    """An L whose box holds a far pixel doesn't swallow it."""
    values = empty((30, 30))
    values[2:26, 2:4], values[24:26, 2:26] = 1, 1
    values[4, 24] = 1
    assert len(found(values, merge_gap_px=18).regions) == 2
    assert boxes(found(values, merge_gap_px=19)) == [(2, 2, 26, 26)]


@pytest.mark.parametrize(("dx", "dy", "gap"), [(3, 0, 2), (0, 4, 3), (3, 3, 2), (2, 5, 4)])
def test_the_gap_counts_empty_pixels_and_the_larger_of_across_and_down(dx: int, dy: int, gap: int) -> None:
    values = empty()
    values[5, 5], values[5 + dy, 5 + dx] = 1, 1
    assert len(found(values, merge_gap_px=gap - 1).regions) == 2
    assert boxes(found(values, merge_gap_px=gap)) == [(5, 5, 6 + dx, 6 + dy)]


def test_a_merged_region_keeps_all_its_fields_and_the_mask() -> None:
    values = empty()
    values[4:8, 4:6] = 0.6
    values[4:8, 7:9] = 0.8
    apart, merged = found(values, polygons=True), found(values, merge_gap_px=1, polygons=True)
    assert shown(apart.mask) == shown(merged.mask)
    [region] = merged.regions
    assert region.polygon is not None
    assert set(region.polygon) == {(4.0, 4.0), (8.0, 4.0), (8.0, 7.0), (4.0, 7.0)}
    assert region.bbox_xyxy == (4, 4, 9, 8)
    assert (region.area_px, region.centroid_xy, region.fill_ratio, region.aspect_ratio) == (16.0, (6.0, 5.5), 0.8, 1.25)
    assert (region.score_max, region.score_mean) == (pytest.approx(0.8), pytest.approx(0.7))
    assert region.solidity == pytest.approx(6 / 12)


def test_merging_chains_and_reaches_into_holes() -> None:
    values = empty((20, 60))
    for x in range(2, 50, 4):
        values[3, x] = 1
    assert boxes(found(values, merge_gap_px=3)) == [(2, 3, 47, 4)]
    ring = drawn("#######", "#.....#", "#.....#", "#..7..#", "#.....#", "#.....#", "#######")
    assert len(found(ring, merge_gap_px=1).regions) == 2
    assert boxes(found(ring, merge_gap_px=2)) == [(0, 0, 7, 7)]


def test_merging_hundreds_of_regions() -> None:
    values = empty((200, 200))
    values[::8, ::8] = 1
    values[0, 4] = 1
    result = found(values, merge_gap_px=3)
    assert len(result.regions) == 624
    assert max(region.area_px for region in result.regions) == 3.0


def test_regions_come_in_the_order_of_the_key_and_ties_by_the_other_scores_area_and_place() -> None:
    values = empty((20, 60))
    values[2:4, 2:4] = 0.6
    values[2:4, 10:14] = 0.6
    values[2, 20] = 0.9
    values[2:8, 30:33], values[2, 30] = 0.5, 0.8
    values[12:14, 2:4] = 0.6
    a, wide, peak, big, b = (2, 2, 4, 4), (10, 2, 14, 4), (20, 2, 21, 3), (30, 2, 33, 8), (2, 12, 4, 14)
    assert boxes(found(values)) == [peak, big, wide, a, b]
    assert boxes(found(values, sort_by="score_mean")) == [peak, wide, a, b, big]
    assert boxes(found(values, sort_by="area")) == [big, wide, a, b, peak]
    assert [region.id for region in found(values).regions] == [1, 2, 3, 4, 5]


def test_scores_that_agree_in_six_decimals_count_as_equal_in_the_order() -> None:
    values = empty()
    values[2, 2] = 0.7000002
    values[5:7, 5:7] = 0.7
    assert boxes(found(values)) == [(5, 5, 7, 7), (2, 2, 3, 3)]
    assert boxes(found(values / np.float32(1000), 0.0005)) == [(5, 5, 7, 7), (2, 2, 3, 3)]


def test_max_regions_shortens_the_list_and_says_so_but_leaves_the_mask() -> None:
    values = empty((20, 60))
    for index, x in enumerate(range(2, 58, 8)):
        values[5:8, x : x + 3] = 0.6 + index / 100
    result = found(values, max_regions=2)
    assert boxes(result) == [(50, 5, 53, 8), (42, 5, 45, 8)]
    assert result.dropped == {"max_regions": 5}
    assert result.mask.sum() == 7 * 9 * 255


# --- controls that don't fit


def test_low_above_high_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        controls(RegionsConfig(), empty(), 0.4, 0.6)
    assert str(caught.value) == (
        "regions.threshold: low is above high\n  received: low 0.6, high 0.4\n  expected: low at most high"
    )


def test_a_zone_that_holds_no_pixel_is_refused() -> None:
    zone = ZoneConfig(units="image_px", shape=(3.6, 3.6, 4.4, 4.4), min_area_px=1)
    with pytest.raises(UserError) as caught:
        controls(RegionsConfig(zones=(zone,)), empty())
    assert str(caught.value) == (
        "regions.zones.0.shape: holds no pixel of the map\n"
        "  received: [3.6, 3.6, 4.4, 4.4] in units image_px\n"
        "  expected: a shape around the centre of at least one of the map's 30 x 20 pixels\n"
        "  fix: make it larger or remove it"
    )


def refusal(values: Map | None = None, **keys: Any) -> str:
    with pytest.raises(UserError) as caught:
        controls(RegionsConfig(**keys), empty() if values is None else values)
    return str(caught.value)


def test_a_zone_outside_what_is_inspected_is_refused() -> None:
    zone = ZoneConfig(units="image_px", shape=(0, 0, 10, 10), min_area_px=1)
    assert refusal(zones=(zone,), roi=RoiConfig(units="image_px", include=((10, 0, 30, 20),))) == (
        "regions.zones.0.shape: the zone changes nothing\n"
        "  received: its 100 map pixels all lie outside the ROI or in the border\n"
        "  expected: at least one that is inspected and in no earlier zone\n"
        "  fix: move the zone, or remove it"
    )
    edge = ZoneConfig(units="image_px", shape=(0, 0, 30, 2), min_area_px=1)
    assert "its 60 map pixels all lie outside the ROI or in the border" in refusal(zones=(edge,), border_px=2)
    assert find_regions(empty(), controls(RegionsConfig(zones=(edge,), border_px=1), empty())).regions == ()


def test_a_zone_inside_an_earlier_one_is_refused() -> None:
    small = ZoneConfig(units="image_px", shape=(2, 2, 5, 5), threshold=ThresholdConfig(high=0.9))
    large = ZoneConfig(units="image_px", shape=(0, 0, 10, 10), min_area_px=5)
    assert refusal(zones=(large, small)) == (
        "regions.zones.1.shape: the zone changes nothing\n"
        "  received: its 9 map pixels all lie outside the ROI, in the border or in an earlier zone\n"
        "  expected: at least one that is inspected and in no earlier zone\n"
        "  fix: put the smaller zone first, or remove this one"
    )
    assert controls(RegionsConfig(zones=(small, large)), empty()).zones[0][0].sum() == 9


def test_scores_that_agree_in_six_decimals_are_equal_whatever_the_maps_scale() -> None:
    values = empty((5, 9))
    values[1, 1], values[1, 6] = 0.0600001, 0.0600004
    assert boxes(found(values, 0.05)) == [(1, 1, 2, 2), (6, 1, 7, 2)]
    values[1, 6] = 0.060002
    assert boxes(found(values, 0.05)) == [(6, 1, 7, 2), (1, 1, 2, 2)]


def test_what_comes_nearest_to_its_threshold_is_told_smoothed_and_with_the_threshold_there() -> None:
    values = empty()
    values[5, 5], values[10, 20] = 0.9, 0.7
    assert nearest_to_high(values, controls(RegionsConfig(), values, 0.5)) == (pytest.approx(0.9), 0.5)
    zone = ZoneConfig(units="image_px", shape=(0, 0, 10, 10), threshold=ThresholdConfig(high=2.0))
    assert nearest_to_high(values, controls(RegionsConfig(zones=(zone,)), values, 0.75)) == (pytest.approx(0.7), 0.75)
    box = RegionsConfig(smooth=SmoothConfig(kind="box", size=3), border_px=7)
    assert nearest_to_high(values, controls(box, values)) == (pytest.approx(0.7 / 9), 0.5)


def test_the_highest_smoothed_value_is_told_where_something_was_smoothed() -> None:
    values = empty()
    values[5, 5], values[0, 20] = 0.9, 2.7  # the second lies in the border
    box = SmoothConfig(kind="box", size=3)
    assert found(values, 0.5).smoothed_max is None  # nothing smooths
    assert found(values, 0.5, smooth=box, border_px=1).smoothed_max == pytest.approx(0.3)  # 2.7 / 9 reaches in
    assert found(values, 0.1, smooth=box, border_px=3).smoothed_max == pytest.approx(0.1)
    assert found(values, 3.0, smooth=box).smoothed_max is None  # quiet: no pixel could reach it
    triangle = RoiConfig(include=([(0.0, 0.2), (1.0, 0.2), (0.0, 1.0)],))
    assert found(values, 0.01, smooth=box, roi=triangle).smoothed_max == pytest.approx(0.1)
    assert found(values, 0.5, smooth=box, border_px=1, close_px=3).smoothed_max == pytest.approx(0.3)


def test_a_map_without_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^the map is 30 x 0: it has no pixel$"):
        controls(RegionsConfig(), empty((0, 30)))


def most_allocated(values: Map, prepared: RegionPlan) -> int:
    """Bytes that a frame's regions take at most at any moment, once the first such frame has passed."""
    find_regions(values, prepared)
    tracemalloc.start()
    try:
        find_regions(values, prepared)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


GUIDE = RegionsConfig(
    roi=RoiConfig(include=((0.1, 0.1, 0.9, 0.9),)),
    border_px=2,
    smooth=MEDIAN,
    min_area_px=16,
    min_fill_ratio=0.15,
    max_aspect_ratio=6.0,
    min_solidity=0.8,
    min_score_max=0.6,
    merge_gap_px=1,
)
"""The reference guide's whole set of controls."""


@pytest.mark.parametrize("more", [{}, {"close_px": 3, "dilate_px": 3, "fill_holes": True}])
def test_no_array_of_the_maps_size_is_allocated_for_a_frame(more: dict[str, Any]) -> None:
    """1024 x 1024: 4 MiB of values, a clean frame and one with a dozen defects."""
    values = np.full((1024, 1024), 0.1, np.float32)
    prepared = controls(GUIDE.model_copy(update=more), values, 0.6, 0.45)
    assert most_allocated(values, prepared) < 4 * 2**10
    for index in range(12):
        x, y = 150 + 200 * (index % 4), 200 + 250 * (index // 4)
        values[y : y + 14, x : x + 17] = 0.7
    assert len(find_regions(values, prepared).regions) == 12
    assert most_allocated(values, prepared) < 256 * 2**10


# --- properties


def noise(seed: int, shape: tuple[int, int], levels: int) -> Map:
    """Smooth enough for components of all shapes; few levels, so that ties occur."""
    rng = np.random.default_rng(seed)
    values = rng.random((shape[0] + 2, shape[1] + 2))
    near = sum(
        values[1 + dy : shape[0] + 1 + dy, 1 + dx : shape[1] + 1 + dx] for dy, dx in itertools.product((-1, 0, 1), repeat=2)
    )
    values = 0.5 * values[1:-1, 1:-1] + 0.5 * near / 9
    return (np.round((values - values.min()) / np.ptp(values) * levels) / levels).astype(np.float32)


shapes = st.tuples(st.integers(3, 18), st.integers(3, 18))
seeds = st.integers(0, 10**6)
thresholds = st.tuples(st.floats(0.3, 0.8), st.one_of(st.none(), st.floats(0.4, 1.0))).map(
    lambda pair: (pair[0], None if pair[1] is None else pair[0] * pair[1])
)
rois = st.one_of(
    st.none(),
    st.sampled_from(
        [
            RoiConfig(include=((0.2, 0.1, 0.8, 0.9),)),
            RoiConfig(include=([(0.0, 0.0), (1.0, 0.3), (0.5, 1.0)],), exclude=((0.4, 0.4, 0.6, 0.6),)),
            RoiConfig(exclude=((0.3, 0.3, 0.7, 0.5),)),
        ]
    ),
)
filters = st.fixed_dictionaries(
    {
        "roi": rois,
        "smooth": st.sampled_from(
            [None, None, MEDIAN, SmoothConfig(kind="median", size=5), SmoothConfig(kind="box", size=3)]
        ),
        "border_px": st.sampled_from([0, 0, 1]),
        "min_area_px": st.sampled_from([0, 0, 2, 5]),
        "max_area_px": st.sampled_from([None, None, 20]),
        "min_score_max": st.sampled_from([None, 0.75]),
        "min_score_mean": st.sampled_from([None, 0.625]),
        "min_fill_ratio": st.sampled_from([None, 0.5]),
        "max_aspect_ratio": st.sampled_from([None, 3.0]),
    }
)
shaping = st.fixed_dictionaries(
    {
        "open_px": st.sampled_from([0, 0, 3]),
        "close_px": st.sampled_from([0, 0, 3, 5]),
        "fill_holes": st.booleans(),
        "dilate_px": st.sampled_from([0, 0, 3, 5]),
        "merge_gap_px": st.integers(0, 3),
        "sort_by": st.sampled_from(["score_max", "score_mean", "area"]),
        "max_regions": st.sampled_from([None, None, 1, 3]),
    }
)


@settings(max_examples=250, deadline=None)
@given(seeds, shapes, st.sampled_from([8, 20, 1000]), thresholds, filters, shaping)
def test_the_chain_equals_its_slow_restatement(
    seed: int, shape: tuple[int, int], levels: int, levels_of: tuple[float, float | None], chosen: Any, shaped: Any
) -> None:
    values = noise(seed, shape, levels)
    config = RegionsConfig(**chosen, **shaped)
    high, low = levels_of
    try:
        prepared = controls(config, values, high, low)
    except UserError:  # a small map may have no pixel left inside
        return
    result = find_regions(values, prepared)
    roi = controls(config.model_copy(update={"border_px": 0}), values, high, low).inside
    mask, regions, dropped = restated(values, prepared.inside, roi, high, low, config)
    assert shown(result.mask) == shown(mask * np.uint8(255))
    assert result.dropped == dropped
    assert boxes(result) == [region["box"] for region in regions]
    for told, expected in zip(result.regions, regions, strict=True):
        assert told.area_px == expected["area"]
        assert told.score_max == pytest.approx(expected["score_max"], abs=1e-6)
        assert told.score_mean == pytest.approx(expected["score_mean"], abs=1e-6)
        assert told.centroid_xy == pytest.approx(expected["centre"])


@settings(max_examples=100, deadline=None)
@given(seeds, shapes, thresholds, filters, shaping)
def test_regions_never_overlap_lie_inside_and_their_areas_sum_to_the_masks(
    seed: int, shape: tuple[int, int], levels_of: tuple[float, float | None], chosen: Any, shaped: Any
) -> None:
    values = noise(seed, shape, 50)
    try:
        config = RegionsConfig(**{**chosen, **shaped, "max_regions": None})
        prepared = controls(config, values, *levels_of)
    except UserError:
        return
    result = find_regions(values, prepared)
    roi = controls(config.model_copy(update={"border_px": 0}), values, *levels_of).inside
    inside_boxes = np.zeros(shape, bool)
    for x0, y0, x1, y1 in boxes(result):
        inside_boxes[y0:y1, x0:x1] = True
    assert not (result.mask > 0)[~roi].any()
    assert not (result.mask > 0)[~inside_boxes].any()
    assert sum(region.area_px for region in result.regions) == np.count_nonzero(result.mask)
    assert all(region.score_mean <= region.score_max for region in result.regions)
    assert all(region.solidity is not None and 0 <= region.solidity <= 1 for region in result.regions)


@settings(max_examples=60, deadline=None)
@given(seeds, shapes, thresholds, filters, shaping, st.integers(-5, 5), st.integers(-5, 5))
def test_a_translation_of_the_map_translates_the_regions(
    seed: int, shape: tuple[int, int], levels_of: tuple[float, float | None], chosen: Any, shaped: Any, dx: int, dy: int
) -> None:
    config = RegionsConfig(**{**chosen, **shaped, "roi": None, "max_regions": None})
    spot = noise(seed, shape, 50)

    def at(x: int, y: int) -> set[Any]:
        values = np.zeros((50, 50), np.float32)
        values[y : y + shape[0], x : x + shape[1]] = spot
        return {
            (*np.subtract(r.bbox_xyxy, (x, y, x, y)).tolist(), r.area_px, r.score_max, r.score_mean, r.solidity)
            for r in found(values, *levels_of, **dict(config)).regions
        }

    assert at(16, 16) == at(16 + dx, 16 + dy)


@settings(max_examples=80, deadline=None)
@given(seeds, shapes, st.floats(0.2, 0.6), st.floats(0, 0.3), st.floats(0, 0.3), filters)
def test_raising_high_never_adds_a_region(
    seed: int, shape: tuple[int, int], low: float, above: float, further: float, chosen: Any
) -> None:
    values = noise(seed, shape, 50)
    try:
        before = set(boxes(find_regions(values, controls(RegionsConfig(**chosen), values, low + above, low))))
    except UserError:
        return
    after = boxes(find_regions(values, controls(RegionsConfig(**chosen), values, low + above + further, low)))
    assert set(after) <= before


@settings(max_examples=60, deadline=None)
@given(seeds, shapes, thresholds, thresholds, filters)
def test_a_zone_over_the_whole_frame_is_the_lines_own_thresholds(
    seed: int,
    shape: tuple[int, int],
    levels_of: tuple[float, float | None],
    others: tuple[float, float | None],
    chosen: Any,
) -> None:
    values = noise(seed, shape, 50)
    zone = ZoneConfig(shape=(0, 0, 1, 1), threshold=ThresholdConfig(high=levels_of[0], low=levels_of[1]))
    try:
        plain = controls(RegionsConfig(**chosen), values, *levels_of)
    except UserError:
        return
    zoned = controls(RegionsConfig(**chosen, zones=(zone,)), values, *others)
    one, other = find_regions(values, plain), find_regions(values, zoned)
    assert shown(one.mask) == shown(other.mask)
    assert (boxes(one), one.dropped) == (boxes(other), other.dropped)


@settings(max_examples=60, deadline=None)
@given(seeds, shapes, st.floats(0.3, 0.8), rois, st.sampled_from([0, 1]), st.sampled_from([(3, None), (5, 1.3), (9, None)]))
def test_a_gaussian_inside_the_roi_is_that_of_the_whole_map(
    seed: int, shape: tuple[int, int], high: float, roi: Any, border_px: int, kernel: tuple[int, float | None]
) -> None:
    values = noise(seed, shape, 50)
    smooth = SmoothConfig(kind="gaussian", size=kernel[0], sigma=kernel[1])
    try:
        prepared = controls(RegionsConfig(roi=roi, border_px=border_px, smooth=smooth), values, high)
    except UserError:
        return
    whole = cv2.GaussianBlur(values, (kernel[0], kernel[0]), kernel[1] or 0.0)
    expected = (whole >= np.float32(high)) & prepared.inside
    assert shown(find_regions(values, prepared).mask) == shown(expected * np.uint8(255))


# --- the slow restatement: one pixel at a time, nothing of OpenCV

SQUARE = list(itertools.product((-1, 0, 1), repeat=2))
CROSS = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)]
ELLIPSES = {3: CROSS, 5: [(y, x) for y in range(-2, 3) for x in range(-2, 3) if abs(y) < 2 or x == 0]}
Pixels = frozenset[tuple[int, int]]


def restated(
    values: Map,
    inside: NDArray[np.bool_],
    roi: NDArray[np.bool_],
    high: float,
    low: float | None,
    config: RegionsConfig,
) -> tuple[NDArray[np.uint8], list[dict[str, Any]], dict[str, int]]:
    smoothed = smooth(values, config.smooth)
    smoothed = np.where(inside | ~roi, smoothed, np.float32(0))
    mask = (smoothed >= np.float32(high if low is None else low)) & inside
    if low is not None:
        seeded = [c for c in parts(mask, SQUARE) if any(smoothed[p] >= np.float32(high) for p in c)]
        mask = drawn_from(seeded, mask.shape)
    for size, first in ((config.open_px, erode), (config.close_px, dilate)):
        if size:
            reach = range(-(size // 2), size // 2 + 1)
            square = list(itertools.product(reach, repeat=2))
            mask = (dilate if first is erode else erode)(first(mask, square), square)
    mask &= roi
    kept, dropped = [], {}
    for component in parts(mask, SQUARE):
        key = failure(component, smoothed, config)
        if key is None:
            kept.append(component)
        else:
            dropped[key] = dropped.get(key, 0) + 1
    mask = drawn_from(kept, mask.shape)
    if config.fill_holes:
        outside = np.pad(~mask, 1, constant_values=True)
        [around] = [c for c in parts(outside, CROSS) if (0, 0) in c]
        mask = ~drawn_from([around], outside.shape)[1:-1, 1:-1]
    if config.dilate_px:
        mask = dilate(mask, ELLIPSES[config.dilate_px])
    mask &= roi
    groups = [set(c) for c in parts(mask, SQUARE)]
    while config.merge_gap_px and (pair := near_pair(groups, config.merge_gap_px)):
        groups[pair[0]] |= groups.pop(pair[1])
    regions = [described(group, smoothed) for group in groups]
    regions.sort(
        key=lambda r: (
            -round(r[config.sort_by], 6),
            -round(r["score_max"], 6),
            -round(r["score_mean"], 6),
            -r["area"],
            *(r["box"][i] for i in (1, 0, 3, 2)),
        )
    )
    if config.max_regions is not None and len(regions) > config.max_regions:
        dropped["max_regions"] = len(regions) - config.max_regions
        regions = regions[: config.max_regions]
    return mask.astype(np.uint8), regions, dropped


def smooth(values: Map, config: SmoothConfig | None) -> Map:
    if config is None:
        return values
    reach = config.size // 2
    # cv2's edges: a median repeats the last pixel, a box mirrors around it
    padded = np.pad(values, reach, mode="edge" if config.kind == "median" else "reflect")
    of = np.median if config.kind == "median" else np.mean
    out = np.empty_like(values)
    for y, x in np.ndindex(values.shape):
        out[y, x] = of(padded[y : y + config.size, x : x + config.size].astype(np.float64))
    return out


def parts(mask: NDArray[np.bool_], neighbours: list[tuple[int, int]]) -> list[Pixels]:
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    found_parts = []
    while left:
        todo = [left.pop()]
        part = set(todo)
        while todo:
            y, x = todo.pop()
            for near in {(y + dy, x + dx) for dy, dx in neighbours} & left:
                left.remove(near)
                part.add(near)
                todo.append(near)
        found_parts.append(frozenset(part))
    return found_parts


def drawn_from(components: list[Pixels], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for pixel in itertools.chain(*components):
        mask[pixel] = True
    return mask


def neighbourhood(mask: NDArray[np.bool_], y: int, x: int, kernel: list[tuple[int, int]]) -> list[bool]:
    h, w = mask.shape
    return [bool(mask[y + dy, x + dx]) for dy, dx in kernel if 0 <= y + dy < h and 0 <= x + dx < w]


def erode(mask: NDArray[np.bool_], kernel: list[tuple[int, int]]) -> NDArray[np.bool_]:
    return np.array([[all(neighbourhood(mask, y, x, kernel)) for x in range(mask.shape[1])] for y in range(mask.shape[0])])


def dilate(mask: NDArray[np.bool_], kernel: list[tuple[int, int]]) -> NDArray[np.bool_]:
    return np.array([[any(neighbourhood(mask, y, x, kernel)) for x in range(mask.shape[1])] for y in range(mask.shape[0])])


def described(pixels: Any, smoothed: Map) -> dict[str, Any]:
    ys, xs = ([p[axis] for p in pixels] for axis in (0, 1))
    scores = [float(smoothed[p]) for p in pixels]
    return {
        "box": (min(xs), min(ys), max(xs) + 1, max(ys) + 1),
        "area": len(pixels),
        "score_max": max(scores),
        "score_mean": min(float(np.float32(sum(scores) / len(scores))), max(scores)),
        "centre": (sum(xs) / len(xs), sum(ys) / len(ys)),
    }


def failure(component: Pixels, smoothed: Map, config: RegionsConfig) -> str | None:
    it = described(component, smoothed)
    x0, y0, x1, y1 = it["box"]
    width, height = x1 - x0, y1 - y0
    tests = {
        "min_area_px": it["area"] < config.min_area_px,
        "max_area_px": config.max_area_px is not None and it["area"] > config.max_area_px,
        "min_score_max": config.min_score_max is not None and it["score_max"] < config.min_score_max,
        "min_score_mean": config.min_score_mean is not None and it["score_mean"] < config.min_score_mean,
        "min_fill_ratio": config.min_fill_ratio is not None and it["area"] / (width * height) < config.min_fill_ratio,
        "max_aspect_ratio": config.max_aspect_ratio is not None
        and max(width / height, height / width) > config.max_aspect_ratio,
    }
    return next((key for key, failed in tests.items() if failed), None)


def near_pair(groups: list[set[tuple[int, int]]], gap: int) -> tuple[int, int] | None:
    for i, j in itertools.combinations(range(len(groups)), 2):
        if min(max(abs(a[0] - b[0]), abs(a[1] - b[1])) for a in groups[i] for b in groups[j]) - 1 <= gap:
            return i, j
    return None
