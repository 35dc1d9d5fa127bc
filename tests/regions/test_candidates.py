"""A table of candidates stands for the map under every setting of the filters, with the numbers of ``find_regions``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_maps import downstream, noise, plan_for, upstream, zone_areas, zones_of

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ZoneConfig
from edge.errors import UserError
from edge.frames import AnomalyMap
from edge.regions import roi as roi_module
from edge.regions.candidates import EMPTY_TABLE, CandidateTable, candidate_table
from edge.regions.criteria import Criteria
from edge.regions.filters import FILTERS, KEPT, dropped_by, fates_of, rejected_of
from edge.regions.find import find_regions, map_max
from edge.regions.roi import ShapePixels


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    st.tuples(st.integers(6, 20), st.integers(6, 20)),
    st.sampled_from([(0.6, None), (0.7, 0.55), (0.5, 0.5)]),
    upstream,
    st.lists(downstream, min_size=1, max_size=4),
    st.lists(zone_areas, min_size=1, max_size=2).filter(lambda a: (a[0] is None) == (a[-1] is None)),
)
def test_a_sweep_of_filters_over_one_table_equals_find_regions(
    seeds: list[int], shape: tuple[int, int], levels: tuple[float, float | None], above: Any, sweep: list[Any], areas: Any
) -> None:
    maps = [noise(seed, shape) for seed in seeds]
    try:
        plan = plan_for(RegionsConfig(**above, zones=zones_of(areas[0])), shape, *levels)
    except UserError:  # a small map may have no pixel left inside
        return
    tables = [candidate_table(values, plan, map_max(values, plan)) for values in maps]
    rows = CandidateTable.joined(tables)
    frames = np.repeat(np.arange(len(maps)), [len(table) for table in tables])
    for below in sweep:
        config = RegionsConfig(**above, **below, zones=zones_of(areas[-1]))
        fates = fates_of(rows, config)
        own = plan_for(config, shape, *levels)
        for number, values in enumerate(maps):
            found = find_regions(values, own, explain=True)
            of_frame = fates[frames == number]
            dropped = {key: count for key, count in found.dropped.items() if key != "max_regions"}
            assert dropped_by(of_frame) == dropped
            assert bool((of_frame == KEPT).any()) == bool(found.regions)
            rejected = [one for one in found.rejected if one.filter != "max_regions"]
            assert rejected_of(tables[number], config, of_frame) == rejected


def test_a_row_holds_measures_place_and_zone() -> None:
    values = np.zeros((12, 16), np.float32)
    values[2:5, 3:9] = 0.7
    values[3, 4] = 0.9
    values[8, 12] = 0.8
    zone = ZoneConfig(shape=(0.0, 0.0, 0.5, 0.5), min_area_px=2)
    plan = plan_for(RegionsConfig(zones=(zone,)), (12, 16), 0.6, None)
    table = candidate_table(values, plan, map_max(values, plan))
    order = np.argsort(table.area)
    assert len(table) == 2
    assert table.area[order].tolist() == [1, 18]
    assert table.score_max[order].tolist() == np.float32([0.8, 0.9]).tolist()
    assert table.score_mean[order].tolist() == pytest.approx([0.8, (17 * 0.7 + 0.9) / 18], abs=1e-6)
    assert table.fill_ratio[order].tolist() == [1.0, 1.0]
    assert table.aspect_ratio[order].tolist() == [1.0, 2.0]
    assert table.solidities[order].tolist() == [1.0, 1.0]
    assert table.zones[order].tolist() == [-1, 0]
    assert table.places[order].tolist() == [[12, 8, 13, 9], [3, 2, 9, 5]]
    assert table.only(order[:1]).places.tolist() == [[12, 8, 13, 9]]


def test_a_map_below_its_threshold_has_an_empty_table() -> None:
    plan = plan_for(RegionsConfig(), (8, 8), 0.5, None)
    table = candidate_table(np.zeros((8, 8), np.float32), plan, 0.0)
    assert table is EMPTY_TABLE
    assert len(fates_of(table, RegionsConfig(min_area_px=3, min_solidity=0.5))) == 0


def test_every_filter_can_be_asked_of_a_table() -> None:
    assert {row.key for row in FILTERS} == {
        *("min_area_px", "max_area_px", "min_score_max", "min_score_mean"),
        *("min_fill_ratio", "max_aspect_ratio", "min_solidity"),
    }
    for row in FILTERS:
        assert len(row.measure(EMPTY_TABLE, EMPTY_TABLE.chosen)) == 0


def test_pixels_of_roi_and_zones_are_drawn_once_while_their_shapes_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    draw = roi_module.shape_pixels
    monkeypatch.setattr(roi_module, "shape_pixels", lambda *a, **k: drawn.append(a[3]) or draw(*a, **k))
    roi = RoiConfig(include=([(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)],))
    zone = ZoneConfig(shape=(0.2, 0.2, 0.6, 0.6), min_area_px=3)
    shapes = ShapePixels()
    base = RegionsConfig(roi=roi, zones=(zone,))
    changes: list[dict[str, Any]] = [
        {},
        {"min_area_px": 4},
        {"open_px": 3},
        {"smooth": SmoothConfig(kind="median", size=3)},
    ]
    for change in changes:
        config = base.model_copy(update=change)
        kept, fresh = plan_for(config, (20, 20), 0.5, 0.4, shapes=shapes), plan_for(config, (20, 20), 0.5, 0.4)
        assert np.array_equal(kept.inside, fresh.inside)
        assert np.array_equal(kept.zones[0][0], fresh.zones[0][0])
    assert drawn[:2] == ["regions.roi.include.0", "regions.zones.0.shape"]
    assert len(drawn) == 2 + 2 * len(changes)  # the kept pixels once, the fresh ones each time
    drawn.clear()
    plan_for(base.model_copy(update={"border_px": 1}), (20, 20), 0.5, 0.4, shapes=shapes)
    assert drawn == ["regions.zones.0.shape"], "the border may leave a zone without a pixel, so zones are looked at again"
    drawn.clear()
    plan_for(RegionsConfig(roi=RoiConfig(exclude=((0.0, 0.0, 0.2, 0.2),))), (20, 20), 0.5, 0.4, shapes=shapes)
    assert drawn == ["regions.roi.exclude.0"]


def test_reachability_is_checked_only_where_it_is_asked_for() -> None:
    amap = AnomalyMap(np.zeros((10, 10), np.float32), (1.0, 1.0, 0.0, 0.0))
    impossible = RegionsConfig(min_area_px=101)
    with pytest.raises(UserError, match="no region can be so large"):
        Criteria(impossible, 0.5).plan(amap, 10, 10)
    plan = Criteria(impossible, 0.5, shapes=ShapePixels(), reachable=False).plan(amap, 10, 10)
    assert plan.inside.all()


def test_a_plan_is_taken_over_by_a_config_with_other_filters() -> None:
    values = noise(4, (20, 20))
    first = RegionsConfig(min_area_px=2)
    plan = plan_for(first, (20, 20), 0.6, 0.5)
    for other in (RegionsConfig(min_area_px=9), RegionsConfig(min_solidity=0.9, max_regions=1), first):
        taken, own = find_regions(values, plan.under(other)), plan_for(other, (20, 20), 0.6, 0.5)
        expected = find_regions(values, own)
        assert (taken.regions, taken.dropped) == (expected.regions, expected.dropped)
        assert np.array_equal(taken.mask, expected.mask)
