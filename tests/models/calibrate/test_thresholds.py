"""Thresholds from good frames: conformal above, a pooled quantile below, both on the map they are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig
from edge.errors import UserError
from edge.models.calibrate.thresholds import CalibrationResult, Candidate, calibrate, choose_high, rejections
from edge.models.robust_outliers import find_outliers
from edge.regions.find import find_regions
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid
from edge.regions.smooth import smooth_inside

Maps = list[tuple[str, NDArray[np.float32]]]
SHAPE = (40, 50)


def measured(maps: Maps, prepared: RegionPlan, **keys: Any) -> CalibrationResult:
    return calibrate(lambda: maps, prepared, **keys)


def controls(high: float = 0.0, low: float | None = None, **keys: Any) -> RegionPlan:
    return RegionPlan.for_size(RegionsConfig(**keys), Grid(SHAPE, (50, 40), (1.0, 1.0, 0.0, 0.0)), high=high, low=low)


def good(count: int, seed: int = 0) -> Maps:
    rng = np.random.default_rng(seed)
    return [(f"{index}.png", np.abs(rng.normal(0, 0.1, SHAPE)).astype(np.float32)) for index in range(count)]


def flat(*levels: float) -> Maps:
    """Maps with one pixel above 0."""
    maps = []
    for index, level in enumerate(levels):
        values = np.zeros(SHAPE, np.float32)
        values[20, 25] = level
        maps.append((f"{index}.png", values))
    return maps


def refusal(maps: Maps, prepared: RegionPlan | None = None, **keys: Any) -> str:
    with pytest.raises(UserError) as caught:
        measured(maps, prepared or controls(), **keys)
    return str(caught.value)


# --- high


def test_high_is_the_conformal_quantile_of_the_frames_maxima() -> None:
    maxima = [float(v) for v in np.random.default_rng(1).permutation(np.arange(1, 200, dtype=np.float32))]
    for share, rank in ((0.005, 199), (0.01, 198), (0.1, 180), (0.5, 100)):
        high, notes = choose_high(maxima, share, None)
        assert high == np.nextafter(np.float32(rank), np.float32(np.inf))
        assert notes == []


def test_a_frame_at_the_conformal_quantile_itself_passes() -> None:
    """A frame fails at ``high``, so ``high`` lies just above."""
    maps = good(99)
    high = measured(maps, controls(), false_rejects=0.01).high
    assert sum(bool(find_regions(values, controls(high)).regions) for _, values in maps) == 0
    high = measured(maps, controls(), false_rejects=0.05).high
    assert sum(bool(find_regions(values, controls(high)).regions) for _, values in maps) == 4


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000))
def test_new_good_frames_are_rejected_no_more_often_than_asked_for(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rejected = 0.0
    for _ in range(40):
        high, _notes = choose_high([float(v) for v in rng.gumbel(size=49)], 0.1, None)
        rejected += float((rng.gumbel(size=500) >= high).mean()) / 40
    assert rejected == pytest.approx(0.1, abs=0.035)


def test_too_few_frames_get_a_margin_and_are_told_how_many_would_do() -> None:
    assert choose_high([0.1, 0.5, 0.3], 0.001, None) == (
        pytest.approx(0.51),
        ["3 frames can't support a false reject rate of 0.001, 999 could: high is their maximum times 1.02"],
    )
    assert choose_high([-3.0, -1.0], 0.01, None) == (
        pytest.approx(-0.96),
        [
            "2 frames can't support a false reject rate of 0.01, 99 could: "
            "high is their maximum plus 2 % of the maxima's spread"
        ],
    )


@pytest.mark.parametrize(("count", "enough"), [(998, False), (999, True)])
def test_how_many_frames_are_enough(count: int, enough: bool) -> None:
    high, notes = choose_high([float(v) for v in range(1, count + 1)], 0.001, None)
    assert (notes == []) == enough
    assert high == pytest.approx(count if enough else count * 1.02, rel=1e-6)


@pytest.mark.parametrize("floor", [None, 0.2, 6.0])
def test_maps_without_noise_are_measured_like_others_and_it_is_told(floor: float | None) -> None:
    same = "every frame has the same maximum, 0.25, as without any camera noise"
    few = "3 frames can't support a false reject rate of 0.001, 999 could: high is their maximum times 1.02"
    result = measured(flat(0.25, 0.25, 0.25), controls(), floor=floor)
    assert (result.high, result.low) == (pytest.approx(0.255), None)
    assert result.note == f"{same}; {few}; low is off: the pixels' quantile 0.999 is the background's own value, 0"
    assert choose_high([0.25] * 1000, 0.001, floor) == (float(np.nextafter(np.float32(0.25), np.float32(1))), [same])


def test_maps_of_nothing_take_the_bundles_display_threshold() -> None:
    assert choose_high([0.0] * 1000, 0.001, 0.5) == (
        0.5,
        ["every frame has the same maximum, 0, as without any camera noise: high is the bundle's display threshold"],
    )
    assert measured(flat(0, 0), controls(), floor=0.5).high == 0.5
    assert refusal(flat(0, 0), floor=0.0).startswith("nothing to measure")


def test_nothing_to_measure_is_told() -> None:
    assert refusal(flat(0, 0, 0)) == (
        "nothing to measure: the good frames' maps are all the same\n"
        "  received: maximum 0 in every frame\n"
        "  expected: frames with the camera's noise\n"
        "  fix: record more frames, or set regions.threshold: {high: ..., low: ...} by hand"
    )
    assert refusal([]) == (
        "no frame to calibrate on\n  expected: good frames: the more, the fewer false rejects can be promised"
    )


# --- the map that is measured


def test_thresholds_are_measured_on_the_smoothed_map_inside_roi_and_border() -> None:
    maps = good(30)
    for _, values in maps:
        values[0, :], values[:, 45:] = 9, 9  # border, outside the ROI
        values[20, 20] = 5  # a single pixel, which the median removes
    keys: dict[str, Any] = {
        "roi": RoiConfig(include=((0.1, 0.0, 0.8, 1.0),), exclude=((0.4, 0.4, 0.5, 0.5),)),
        "border_px": 2,
        "smooth": SmoothConfig(kind="median", size=3),
    }
    result = measured(maps, controls(**keys), false_rejects=0.1)
    pool = [smooth_inside(values, controls(**keys)).copy() for _, values in maps]
    assert result.high < 1
    assert [maximum for _, maximum in result.maxima] == [float(values.max()) for values in pool]
    assert result.low == pytest.approx(np.quantile(np.concatenate(pool), 0.999), rel=1e-3)
    for _, values in maps:
        assert find_regions(values, controls(result.high * 1.5, **keys)).regions == ()


def test_zones_with_thresholds_of_their_own_are_not_measured() -> None:
    maps = flat(0.5, 0.6, 0.7)
    for _, values in maps:
        values[5, 5] = 9
    zone = ZoneConfig(units="image_px", shape=(0, 0, 10, 10), threshold=ThresholdConfig(high=10.0))
    assert measured(maps, controls(zones=(zone,))).high == pytest.approx(0.714)
    everywhere = ZoneConfig(shape=(0, 0, 1, 1), threshold=ThresholdConfig(high=10.0))
    assert refusal(maps, controls(zones=(everywhere,))) == (
        "regions.zones: nothing is left to calibrate\n"
        "  received: zones with thresholds of their own on every pixel inside ROI and border\n"
        "  fix: set regions.threshold by hand, or make the zones smaller"
    )


def test_a_map_that_is_not_finite_is_refused_by_its_frames_name() -> None:
    maps = good(3)
    maps[1][1][3, 3] = np.nan
    assert refusal(maps) == "1.png: the model's map has NaN or infinite values\n  fix: repair or replace the model"


# --- low


@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (40, 0), (1e-3, 0), (0.5, -2)])
def test_low_is_the_pooled_quantile_of_the_pixels(scale: float, offset: float) -> None:
    maps = [(name, (values * np.float32(scale) + np.float32(offset)).astype(np.float32)) for name, values in good(40)]
    pool = np.concatenate([values.ravel() for _, values in maps]).astype(np.float64)
    for quantile in (0.9, 0.99, 0.999):
        low = measured(maps, controls(), quantile=quantile).low
        assert low == pytest.approx(np.quantile(pool, quantile), rel=2e-4)


@pytest.mark.parametrize("quantile", [0.5, 0.9, 0.999, 0.9999])
@pytest.mark.parametrize(("offset", "scale"), [(100, 1), (1e4, 1), (0, 1e4), (20, 0.01)])
def test_low_is_within_a_thousandth_also_of_large_values(offset: float, scale: float, quantile: float) -> None:
    """And a map that varies little beside its level has no background that is one value."""
    rng = np.random.default_rng(2)
    maps = [(str(k), (rng.normal(offset, scale, SHAPE)).astype(np.float32)) for k in range(20)]
    exact = np.quantile(np.stack([values for _, values in maps]).astype(np.float64), quantile)
    result = measured(maps, controls(), quantile=quantile)
    assert result.low == pytest.approx(exact, abs=1e-3)
    assert not any("low is" in note for note in result.note.split("; "))


def test_low_is_never_above_high() -> None:
    maps = good(99)
    for _, values in maps[:60]:
        values[10:20, 10:20] = 3
    result = measured(maps, controls(), false_rejects=0.5, quantile=0.99)
    assert result.low == pytest.approx(result.high, abs=1e-6)
    assert result.low is not None
    assert result.low <= result.high


def test_no_quantile_means_no_hysteresis() -> None:
    assert measured(good(5), controls(), quantile=None).low is None


def test_low_is_off_where_it_would_be_the_backgrounds_own_value() -> None:
    """Else one seed would flood the whole map."""
    result = measured(flat(0.5, 0.6, 0.7, 0.8), controls(), false_rejects=0.5)
    assert result.low is None
    assert result.note == "low is off: the pixels' quantile 0.999 is the background's own value, 0"


# --- outliers


def with_outliers() -> Maps:
    maps = good(60)
    maps[7][1][10:20, 10:20] = 2
    maps[30][1][5, 5] = 4
    return maps


def test_frames_whose_maximum_is_an_outlier_are_listed_and_kept() -> None:
    result = measured(with_outliers(), controls(), outliers="keep")
    assert [outlier.name for outlier in result.outliers] == ["30.png", "7.png"]
    assert all(outlier.z > 5 for outlier in result.outliers)
    assert (result.frames, result.left_out) == (60, ())
    assert result.high == pytest.approx(4.08)


def test_outliers_are_left_out_on_request_from_high_and_low() -> None:
    result = measured(with_outliers(), controls(), outliers="leave_out")
    without = [m for index, m in enumerate(with_outliers()) if index not in (7, 30)]
    expected = measured(without, controls())
    assert (result.frames, result.left_out) == (58, ("30.png", "7.png"))
    assert (result.high, result.low, result.table, result.note) == (
        expected.high,
        expected.low,
        expected.table,
        expected.note,
    )
    assert len(result.maxima) == 60


def test_an_outlier_never_sets_the_threshold_unless_somebody_says_that_it_is_good() -> None:
    """A defect among the good frames would pass from then on, and with it every defect that is weaker."""
    assert refusal(with_outliers()) == (
        "30.png and 1 more: unlike the other good frames, and sets the threshold\n"
        "  received: high 4.08 with it, 0.4827 without; its maximum is 94 times the usual spread\n"
        "  expected: good frames alone: a defect among them would pass from then on\n"
        "  fix: look at it, then say --leave-out-outliers, or --keep-outliers if it is good"
    )
    # it is above the threshold and fails by itself: it sets nothing
    result = measured(with_outliers(), controls(), false_rejects=0.1)
    assert [outlier.maximum >= result.high for outlier in result.outliers] == [True, True]
    # one of them alone, at any place in the set, whatever the set's size
    for count in (10, 60, 400):
        maps = good(count)
        maps[count // 2][1][20, 20] = 1.5
        assert refusal(maps).startswith(f"{count // 2}.png: unlike the other good frames, and sets the threshold\n")


def test_the_highest_of_many_good_frames_is_no_outlier() -> None:
    """Maxima have a long tail upwards: of 2000 the highest lies about 7 robust deviations above the median."""
    rng = np.random.default_rng(3)
    found = [len(find_outliers([(str(i), float(v)) for i, v in enumerate(rng.gumbel(size=2000))])) for _ in range(50)]
    assert sum(map(bool, found)) <= 10
    assert len(find_outliers([(str(i), float(v)) for i, v in enumerate([*rng.gumbel(size=1999), 15.0])])) == 1


def test_a_map_that_good_frames_fill_to_its_bound_gives_no_threshold() -> None:
    """Per-image scaling, a saturated sigmoid, a mask of 0 and 1: no defect can be higher than the good frames are."""
    maps = good(40)
    for _, values in maps:
        values /= values.max()
    assert refusal(maps, reach=lambda: 1.0) == (
        "the map is cut off at 1, which 40 of 40 good frames reach\n"
        "  received: no higher value on noise or shapes either\n"
        "  expected: a map in which a defect stands out: no threshold above that value is ever reached, and one at it "
        "rejects good frames\n"
        "  fix: build the bundle from a model that gives its map in front of what bounds it: a sigmoid or softmax, a scale "
        "from each picture's lowest to its highest value, a comparison"
    )
    # whole grey levels: frames share their maximum by chance, and other pictures reach more
    assert measured(maps, controls(), reach=lambda: 1.1).high == pytest.approx(1.02)
    # as many as may be rejected anyway
    maps = good(99)
    maps[3][1][3, 3] = maps[4][1][5, 5] = 0.6
    assert measured(maps, controls(), false_rejects=0.05, reach=lambda: 0.6).high < 0.6
    assert refusal(maps, false_rejects=0.001, outliers="keep", reach=lambda: 0.6).startswith("the map is cut off at 0.6, ")


def test_high_stays_below_what_the_map_can_have() -> None:
    """Two per cent above the highest good frame may lie above a sigmoid's 1; half way to it a defect can still be seen."""
    maps = flat(0.5, 0.9, 0.99)
    result = measured(maps, controls(), highest=1.0)
    assert result.high == pytest.approx(0.995)
    assert "capped half way to 1, the highest value that the map can have" in result.note
    assert measured(maps, controls(), highest=2.0).high == pytest.approx(0.99 * 1.02)
    assert refusal(flat(0.5, 0.9, 1.0), highest=1.0).startswith("the map is cut off at 1, which 1 of 3 good frames reach\n")
    assert measured(flat(*[0.5] * 60, 1.0), controls(), false_rejects=0.1, highest=1.0).high < 0.51


def test_good_frames_hold_no_outlier() -> None:
    assert measured(good(200), controls()).outliers == ()
    assert find_outliers([("a", 1.0), ("b", 1.0), ("c", 1.0)]) == ()
    assert [o.name for o in find_outliers([(str(i), 1.0 + (i == 20)) for i in range(40)])] == ["20"]


def test_a_quarter_of_the_frames_may_be_left_out() -> None:
    maps = flat(*[0.1 + index / 10_000 for index in range(300)], *[5.0 + index for index in range(100)])
    result = measured(maps, controls(), outliers="leave_out", quantile=None)
    assert (len(result.left_out), result.frames) == (100, 300)
    assert result.high == pytest.approx(1.02 * (0.1 + 299 / 10_000))


def test_frames_are_asked_for_a_second_time_only_to_leave_some_out() -> None:
    asked = []

    def maps() -> Maps:
        asked.append(1)
        return with_outliers()

    calibrate(maps, controls(), outliers="keep")
    calibrate(lambda: good(60), controls(), outliers="leave_out")
    assert len(asked) == 1
    calibrate(maps, controls(), outliers="leave_out")
    assert len(asked) == 3


def test_too_many_outliers_are_no_outliers() -> None:
    maps = flat(*[0.1 + index / 1000 for index in range(20)], *[5.0] * 7)
    assert refusal(maps, outliers="leave_out") == (
        "too many frames are outliers to be left out\n"
        "  received: 7 of 27 frames\n"
        "  expected: at most 6, as in a set of good frames\n"
        "  fix: look at them, and remove the bad ones from the set"
    )


# --- the table


def test_the_table_counts_the_frames_that_each_candidate_would_have_rejected() -> None:
    maxima = [float(v) for v in range(1, 101)]
    table = rejections(maxima, 98.0, 50.0)
    up = {v: float(np.nextafter(np.float32(v), np.float32(np.inf))) for v in (100, 99, 98, 95, 90)}
    assert table == (
        Candidate(up[100], 0, "rejects 0.0%"),
        Candidate(up[99], 1, "rejects 1.0%"),
        Candidate(up[98], 2, "rejects 2.0%"),
        Candidate(98.0, 3, "high"),
        Candidate(up[95], 5, "rejects 5.0%"),
        Candidate(up[90], 10, "rejects 10.0%"),
        Candidate(50.0, 51, "the bundle's display threshold"),
    )


def test_maps_are_used_one_at_a_time() -> None:
    """A generator that reuses its memory gives what a list gives."""
    buffer = np.zeros(SHAPE, np.float32)

    def reusing() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for name, values in with_outliers():
            buffer[:] = values
            yield name, buffer

    expected: CalibrationResult = measured(with_outliers(), controls(), outliers="leave_out")
    assert calibrate(reusing, controls(), outliers="leave_out") == expected
