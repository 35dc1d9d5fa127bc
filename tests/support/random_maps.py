"""Random maps and ``regions:`` sections, in the two halves that tuning tells apart: above the candidates and below them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from edge.config.regions import RegionsConfig, RoiConfig, SmoothConfig, ThresholdConfig, ZoneConfig
from edge.regions.plan import RegionPlan
from edge.regions.roi import Grid


def noise(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Values of 20 levels, smooth enough for components of many shapes."""
    values = np.random.default_rng(seed).random((shape[0] + 2, shape[1] + 2))
    near = sum(values[1 + dy : shape[0] + 1 + dy, 1 + dx : shape[1] + 1 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    values = 0.5 * values[1:-1, 1:-1] + 0.5 * near / 9
    return (np.round((values - values.min()) / np.ptp(values) * 20) / 20).astype(np.float32)


def plan_for(config: RegionsConfig, shape: tuple[int, int], high: float, low: float | None, **more: Any) -> RegionPlan:
    return RegionPlan.for_size(config, Grid(shape, shape[::-1], (1.0, 1.0, 0.0, 0.0)), high=high, low=low, **more)


upstream = st.fixed_dictionaries(
    {
        "roi": st.sampled_from(
            [None, RoiConfig(include=((0.2, 0.1, 0.8, 0.9),)), RoiConfig(exclude=((0.3, 0.3, 0.7, 0.5),))]
        ),
        "border_px": st.sampled_from([0, 1]),
        "smooth": st.sampled_from([None, None, SmoothConfig(kind="median", size=3), SmoothConfig(kind="box", size=3)]),
        "open_px": st.sampled_from([0, 0, 3]),
        "close_px": st.sampled_from([0, 0, 3]),
    }
)
downstream = st.fixed_dictionaries(
    {
        "min_area_px": st.sampled_from([0, 2, 5]),
        "max_area_px": st.sampled_from([None, 20]),
        "min_score_max": st.sampled_from([None, 0.75]),
        "min_score_mean": st.sampled_from([None, 0.7]),
        "min_fill_ratio": st.sampled_from([None, 0.6]),
        "max_aspect_ratio": st.sampled_from([None, 2.0]),
        "min_solidity": st.sampled_from([None, 0.8, 0.95]),
        "fill_holes": st.booleans(),
        "dilate_px": st.sampled_from([0, 3]),
        "merge_gap_px": st.integers(0, 2),
        "max_regions": st.sampled_from([None, 2]),
    }
)
zone_areas = st.one_of(st.none(), st.tuples(st.integers(1, 6), st.integers(0, 3)))


def zones_of(areas: tuple[int, int] | None) -> tuple[ZoneConfig, ...]:
    if areas is None:
        return ()
    own = ThresholdConfig(high=0.6, low=0.55)
    return (
        ZoneConfig(shape=(0.0, 0.0, 0.5, 0.6), threshold=own, min_area_px=areas[0]),
        ZoneConfig(shape=(0.3, 0.3, 0.9, 0.9), min_area_px=areas[1]),
    )
