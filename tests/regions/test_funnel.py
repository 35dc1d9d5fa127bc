"""The funnel tells where each area above the lower threshold went; its end is what ``find_regions`` counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_maps import downstream, noise, plan_for, upstream, zones_of

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig
from edge.errors import UserError
from edge.frames import Found, FunnelStep
from edge.regions.find import find_regions


def empty(shape: tuple[int, int] = (20, 30)) -> np.ndarray:
    return np.zeros(shape, np.float32)


def found(values: np.ndarray, high: float = 0.6, low: float | None = None, **keys: Any) -> Found:
    config = RegionsConfig(**keys)
    return find_regions(values, plan_for(config, values.shape, high, low), explain=True)  # type: ignore[arg-type]


def table(steps: tuple[FunnelStep, ...]) -> list[tuple[str, int, int, int]]:
    return [(step.step, step.pixels, step.areas, len(step.lost)) for step in steps]


def why(steps: tuple[FunnelStep, ...], key: str) -> list[tuple[tuple[int, int, int, int], int, float, float]]:
    [step] = [step for step in steps if step.step == key]
    assert all(one.filter == key for one in step.lost)
    return [(one.bbox_xyxy, one.area_px, round(one.value, 5), round(one.limit, 5)) for one in step.lost]


def test_a_blob_above_low_but_not_high_is_told() -> None:
    values = empty()
    values[5:8, 5:9] = 0.5
    steps = found(values, 0.6, 0.4).funnel
    assert table(steps) == [("above_low", 12, 1, 0), ("hysteresis", 0, 0, 1), ("kept", 0, 0, 0)]
    assert why(steps, "hysteresis") == [((5, 5, 9, 8), 12, 0.5, 0.6)]


def test_a_blob_in_the_border_is_told() -> None:
    values = empty()
    values[0:2, 10:14] = 0.9
    values[10, 10] = 0.8
    steps = found(values, border_px=2).funnel
    assert table(steps) == [("above_low", 9, 2, 0), ("border_px", 1, 1, 1), ("kept", 1, 1, 0)]
    assert why(steps, "border_px") == [((10, 0, 14, 2), 8, 0.9, 0.6)]


def test_a_blob_outside_the_roi_is_told_and_one_across_its_edge_is_not() -> None:
    values = empty()
    values[2:4, 2:5] = 0.7
    values[10, 10:20] = 0.7
    steps = found(values, roi=RoiConfig(include=((0.5, 0.0, 1.0, 1.0),))).funnel
    assert table(steps) == [("above_low", 16, 2, 0), ("roi", 5, 1, 1), ("kept", 5, 1, 0)]
    assert why(steps, "roi") == [((2, 2, 5, 4), 6, 0.7, 0.6)]


def test_a_blob_that_is_smoothed_away_is_told_with_what_was_left_of_it() -> None:
    values = empty()
    values[10, 10] = 0.9
    steps = found(values, smooth=SmoothConfig(kind="box", size=3)).funnel
    assert table(steps) == [("above_low", 1, 1, 0), ("smooth", 0, 0, 1), ("kept", 0, 0, 0)]
    assert why(steps, "smooth") == [((10, 10, 11, 11), 1, 0.1, 0.6)]


def test_what_an_opening_takes_is_told_with_its_width_and_what_a_closing_joins_is_counted() -> None:
    values = empty()
    values[4, 4:12] = 0.9
    values[10:14, 5:9] = values[10:14, 10:14] = 0.9
    steps = found(values, open_px=3, close_px=3).funnel
    assert table(steps) == [("above_low", 40, 3, 0), ("open_px", 32, 2, 1), ("close_px", 36, 1, 0), ("kept", 36, 1, 0)]
    assert why(steps, "open_px") == [((4, 4, 12, 5), 8, 1, 3)]


def test_each_filter_that_is_on_is_a_step_whether_it_drops_or_not() -> None:
    values = empty()
    values[2, 2] = 0.9
    values[6:10, 6:10] = 0.9
    steps = found(values, min_area_px=4, min_solidity=0.5).funnel
    assert table(steps) == [
        ("above_low", 17, 2, 0),
        ("min_area_px", 16, 1, 1),
        ("min_solidity", 16, 1, 0),
        ("kept", 16, 1, 0),
    ]


def test_a_zones_own_thresholds_count_where_it_lies() -> None:
    values = empty()
    values[3:6, 3:6] = values[3:6, 20:23] = 0.5
    zone = ZoneConfig(shape=(0.5, 0.0, 1.0, 1.0), threshold=ThresholdConfig(high=0.45, low=0.3))
    steps = found(values, 0.8, 0.4, zones=(zone,)).funnel
    assert table(steps) == [("above_low", 18, 2, 0), ("hysteresis", 9, 1, 1), ("kept", 9, 1, 0)]
    assert why(steps, "hysteresis") == [((3, 3, 6, 6), 9, 0.5, 0.8)]


def test_a_map_below_low_has_a_funnel_of_nothing() -> None:
    assert table(found(empty()).funnel) == [("above_low", 0, 0, 0), ("kept", 0, 0, 0)]


def test_nobody_pays_for_a_funnel_that_was_not_asked_for() -> None:
    values = empty()
    values[5, 5] = 0.9
    plan = plan_for(RegionsConfig(), (20, 30), 0.6, None)
    assert find_regions(values, plan).funnel == ()


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.tuples(st.integers(6, 20), st.integers(6, 20)),
    st.sampled_from([(0.6, None), (0.7, 0.55), (0.5, 0.5)]),
    upstream,
    downstream,
    st.sampled_from([None, (3, 2)]),
)
def test_the_funnels_end_is_what_find_regions_counts(
    seed: int, shape: tuple[int, int], levels: tuple[float, float | None], above: Any, below: Any, areas: Any
) -> None:
    values = noise(seed, shape)
    config = RegionsConfig(
        **above, **(below | {"fill_holes": False, "dilate_px": 0, "merge_gap_px": 0}), zones=zones_of(areas)
    )
    try:
        plan = plan_for(config, shape, *levels)
    except UserError:
        return
    result = find_regions(values, plan, explain=True)
    again = find_regions(values, plan)
    assert (again.regions, again.dropped) == (result.regions, result.dropped), "a funnel leaves no trace in the plan"
    steps = {step.step: step for step in result.funnel}
    assert steps["kept"].areas == len(result.regions) + result.dropped.get("max_regions", 0)
    assert steps["kept"].pixels == np.count_nonzero(result.mask)
    lost = {key: len(step.lost) for key, step in steps.items() if step.lost}
    assert {key: count for key, count in lost.items() if key in result.dropped} == {
        key: count for key, count in result.dropped.items() if key != "max_regions"
    }
    upstream_keys = ["above_low", "roi", "border_px", "smooth", "hysteresis", "open_px", "close_px"]
    order = [step.step for step in result.funnel if step.step in upstream_keys]
    assert order == [key for key in upstream_keys if key in steps], "the steps stand in the order in which they act"
    given = 0 if result.candidates is None else int(np.count_nonzero(result.candidates))
    if given:
        assert steps[order[-1]].pixels == given, "the last step before the filters leaves what the filters are given"
    pixels = [step.pixels for step in result.funnel if step.step not in ("smooth", "close_px")]
    first = [step for step in result.funnel if step.step in ("above_low", "roi", "border_px")]
    assert [step.pixels for step in first] == sorted((step.pixels for step in first), reverse=True)
    assert all(count >= 0 for count in pixels)
