"""What ``regions:`` accepts, and what it says of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig


def regions(**keys: Any) -> RegionsConfig:
    """As from a file: through JSON, so that lists become tuples."""
    return RegionsConfig.model_validate_json(json.dumps(keys))


def refusal(**keys: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        regions(**keys)
    [error] = caught.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error.get('ctx', {}).get('error', error['msg'])}"


def test_every_control_is_off_by_default() -> None:
    config = regions()
    assert config == RegionsConfig()
    assert (config.roi, config.smooth, config.zones, config.max_regions, config.max_area_px) == (None, None, (), None, None)
    assert (config.open_px, config.close_px, config.dilate_px, config.min_area_px, config.merge_gap_px) == (0, 0, 0, 0, 0)
    filters = (
        config.min_score_max,
        config.min_score_mean,
        config.min_fill_ratio,
        config.max_aspect_ratio,
        config.min_solidity,
    )
    assert filters == (None,) * 5
    assert not config.fill_holes
    assert not config.polygons


def test_every_key_is_documented() -> None:
    for section in (RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            if name.endswith("_px"):
                assert "map px" in field.description or name == "min_area_px", name


def test_the_guides_whole_set_of_controls_is_accepted() -> None:
    config = regions(
        roi={
            "units": "norm",
            "include": [[0.1, 0.1, 0.9, 0.9], [[0, 0], [1, 0], [0.5, 1]]],
            "exclude": [[0.4, 0.4, 0.5, 0.5]],
        },
        border_px=2,
        smooth={"kind": "median", "size": 3},
        threshold={"high": 0.6, "low": 0.45},
        zones=[{"shape": [0, 0, 0.5, 0.5], "threshold": {"high": 0.8, "low": None}, "min_area_px": 4}],
        open_px=3,
        close_px=5,
        min_area_px=16,
        max_area_px=4000,
        min_score_max=0.6,
        min_score_mean=0.5,
        min_fill_ratio=0.15,
        max_aspect_ratio=6.0,
        min_solidity=0.8,
        fill_holes=True,
        dilate_px=3,
        merge_gap_px=1,
        sort_by="area",
        max_regions=20,
        polygons=True,
    )
    assert config.roi is not None
    assert config.roi.include[0] == (0.1, 0.1, 0.9, 0.9)
    assert config.roi.include[1] == [(0, 0), (1, 0), (0.5, 1)]
    assert config.threshold == ThresholdConfig(high=0.6, low=0.45)
    assert config.zones[0].threshold == ThresholdConfig(high=0.8)


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        ({"threshold": {"high": 0.4, "low": 0.5}}, "threshold.explicit: low (0.5) must not be above high (0.4)"),
        ({"min_area_px": 20, "max_area_px": 10}, ": min_area_px (20) must not be above max_area_px (10)"),
        (
            {"max_area_px": 10, "zones": [{"shape": [0, 0, 1, 1], "min_area_px": 11}]},
            ": zones.0.min_area_px (11) must not be above max_area_px (10)",
        ),
        ({"open_px": 4}, ": open_px: must be odd: 4 moves every shape by half a pixel; try 5"),
        ({"close_px": 2}, ": close_px: must be odd: 2 moves every shape by half a pixel; try 3"),
        ({"dilate_px": 1}, ": dilate_px: 1 changes nothing; expected 0 for none, or an odd number from 3 on"),
        (
            {"smooth": {"kind": "box", "size": 4}},
            "smooth: size must be odd: an even window moves the map by half a pixel; try 5",
        ),
        ({"smooth": {"kind": "median", "size": 7}}, "smooth: size of a median must be 3 or 5"),
        ({"smooth": {"kind": "box", "size": 3, "sigma": 1.0}}, "smooth: sigma belongs to a gaussian, not to box"),
        (
            {"roi": {"include": [[0.9, 0.1, 0.1, 0.9]]}},
            "roi: include.0: a rectangle is [x0, y0, x1, y1] with x0 < x1 and y0 < y1; got [0.9, 0.1, 0.1, 0.9]",
        ),
        (
            {"roi": {"include": [[100, 100, 900, 900]]}},
            "roi: include.0: 100 lies outside the frame, 0 to 1 in units norm (pixels are units image_px)",
        ),
        (
            {"roi": {"exclude": [[[0, 0], [1, 0], [0.5, -0.2]]]}},
            "roi: exclude.0: -0.2 lies outside the frame, 0 to 1 in units norm (pixels are units image_px)",
        ),
        (
            {"roi": {"units": "image_px", "include": [[-5, 0, 10, 10]]}},
            "roi: include.0: -5 lies outside the frame, which begins at 0",
        ),
        (
            {"zones": [{"shape": [0, 0, 1, 1]}]},
            "zones.0: a zone needs threshold or min_area_px: without either it changes nothing",
        ),
        ({"min_solidity": 7}, "min_solidity: Input should be less than or equal to 1"),
        ({"max_aspect_ratio": 0.5}, "max_aspect_ratio: Input should be greater than or equal to 1"),
        ({"max_regions": 0}, "max_regions: Input should be greater than or equal to 1"),
        ({"min_area_px": "abc"}, "min_area_px: Input should be a valid integer"),
        ({"merge_gap_px": True}, "merge_gap_px: Input should be a valid integer"),
        ({"min_score_max": 1e39}, "min_score_max: 1e+39 is beyond what a map can hold, which is float32"),
        ({"min_aera_px": 3}, "min_aera_px: Extra inputs are not permitted"),
        ({"sort_by": "size"}, "sort_by: Input should be 'score_max', 'score_mean' or 'area'"),
    ],
)
def test_what_is_out_of_range_or_contradictory_is_refused(keys: dict[str, Any], text: str) -> None:
    assert refusal(**keys) == text
