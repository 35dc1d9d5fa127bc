"""The filters of regions: one row each, which the judge, its explanation and the import of others' configs go by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.config.regions import RegionsConfig
from edge.models.pyimgano.import_config import _THEIRS
from edge.regions import filters
from edge.regions.filters import FILTERS, RegionFilter
from edge.regions.find import find_regions, map_max
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid
from edge.report import explain

LIMITS: dict[str, Any] = {
    "min_area_px": 13,
    "max_area_px": 11,
    "min_score_max": 0.95,
    "min_score_mean": 0.95,
    "min_fill_ratio": 1.0,
    "max_aspect_ratio": 2.5,
    "min_solidity": 0.9,
}
"""For each filter a limit that the one candidate fails: an L of 12 px, 8 wide and 3 high."""


def candidate() -> np.ndarray:
    values = np.zeros((12, 12), np.float32)
    values[2, 2:10] = 0.9
    values[3:5, 2:4] = 0.9
    return values


def judged(values: np.ndarray, **keys: Any) -> Any:
    plan = RegionPlan.for_size(RegionsConfig(**keys), Grid((12, 12), (12, 12), (1.0, 1.0, 0.0, 0.0)), high=0.5)
    return find_regions(values, plan, map_max(values, plan), explain=True)


def test_every_row_is_a_key_of_the_config_that_is_off_by_default() -> None:
    assert len(judged(candidate()).regions) == 1
    assert all(RegionsConfig.model_fields[row.key].default in (None, 0) for row in FILTERS)
    assert {row.key for row in FILTERS} == set(LIMITS)


@pytest.mark.parametrize("row", FILTERS, ids=lambda row: row.key)
def test_each_filter_drops_counts_and_explains(row: RegionFilter) -> None:
    found = judged(candidate(), **{row.key: LIMITS[row.key]})
    assert (found.regions, found.dropped) == ((), {row.key: 1})
    (rejected,) = found.rejected
    text = explain.rejected_text(rejected)
    assert text.startswith(f"{row.noun} ")
    assert (" < " in text, " > " in text) == (row.at_least, not row.at_least)


def test_a_new_filter_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here ``merge_gap_px`` stands in for the new key: a candidate must be at least so wide."""
    new = RegionFilter("merge_gap_px", "width", lambda c, _: c.boxes()[:, 2] - c.boxes()[:, 0], "area")
    monkeypatch.setattr(filters, "FILTERS", (*FILTERS, new))
    monkeypatch.setitem(explain._FILTERS, new.key, new)
    assert not new.at_least
    found = judged(candidate(), merge_gap_px=7)
    assert found.dropped == {"merge_gap_px": 1}
    assert explain.rejected_text(found.rejected[0]) == "width 8 > 7"


def test_an_import_takes_every_shape_filter_from_the_section_of_shapes() -> None:
    shapes = [row.key for row in FILTERS if row.kind == "shape"]
    assert shapes == ["min_fill_ratio", "max_aspect_ratio", "min_solidity"]
    assert [_THEIRS[key] for key in shapes] == [f"shape_filters.{key}" for key in shapes]
