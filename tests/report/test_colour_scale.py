"""The colours of a map stand for values around the thresholds in force, and the bar below it says which."""

from __future__ import annotations

import numpy as np
import pytest

from edge.config.regions import RegionsConfig, ThresholdConfig, ZoneConfig
from edge.errors import UserError
from edge.regions.criteria import Criteria
from edge.report.colour_scale import Scale, bar_marks, blend_heat, coloured, read_ends, under_bar
from edge.report.lettering import text_size


@pytest.mark.parametrize(
    ("high", "low", "ends"),
    [
        (4.1, 3.4, (0.0, 8.2)),
        (0.5, None, (0.0, 1.0)),
        (42.3, 0.0, (0.0, 84.6)),
        (2.0, -1.0, (-4.0, 4.0)),
        (-2.0, -3.0, (-6.0, 0.0)),
        (0.0, None, (-1.0, 1.0)),
        (0.0, -5.0, (-10.0, 0.0)),
        (1e-30, None, (0.0, 2e-30)),
    ],
)
def test_the_bar_always_contains_low_and_high(high: float, low: float | None, ends: tuple[float, float]) -> None:
    scale = Scale(high, low)
    assert scale.range == pytest.approx(ends)
    first, last = scale.range
    assert first < last
    assert all(first <= level <= last for level in scale.thresholds)
    for width in (360, 800, 1800):
        texts = [text for text, *_ in bar_marks(scale, width, 11.2)]
        wanted = [f"{first:.4g}", f"{last:.4g}", f"high {high:.4g}", *([] if low is None else [f"low {low:.4g}"])]
        assert texts == wanted


def test_thresholds_of_zones_lie_on_the_bar_too() -> None:
    zone = ZoneConfig(shape=(0.0, 0.0, 0.5, 0.5), threshold=ThresholdConfig(high=9.0, low=7.0))
    scale = Scale.of(Criteria(RegionsConfig(zones=(zone,)), 4.0))
    assert (scale.range, scale.thresholds) == ((0.0, 18.0), [4.0, 9.0, 7.0])


@pytest.mark.parametrize(("high", "low"), [(4.1, 4.09), (4.1, 0.001), (4.1, 4.1), (1e9, 1.0)])
def test_no_number_below_the_bar_covers_another(high: float, low: float) -> None:
    boxes = [(row, left, left + text_size(text, 11.2)[0]) for text, left, row, _ in bar_marks(Scale(high, low), 360, 11.2)]
    for index, (row, start, stop) in enumerate(boxes):
        assert 0 <= start < stop <= 360
        assert not any(row == r and start < e and s < stop for r, s, e in boxes[:index])


def test_ticks_stand_where_the_colours_of_the_thresholds_are() -> None:
    panel = np.zeros((50, 401, 3), np.uint8)
    picture = under_bar(panel, Scale(2.0, 1.0), 11.2)
    white = np.flatnonzero((picture[55] == 255).all(axis=1))
    assert white.tolist() == [99, 100, 101, 199, 200, 201]


def test_colours_go_from_blue_to_red_and_beyond_the_end_nothing_changes() -> None:
    scale = Scale(2.0)
    below, first, last, beyond = coloured(np.array([[-5.0, 0.0, 4.0, 50.0]], np.float32), scale.range)[0].tolist()
    assert (below, beyond) == (first, last)
    assert last[0] > 100 > last[2]
    assert first[2] > first[0]


def test_heat_leaves_the_picture_as_it_is_at_the_lower_end_and_colours_it_at_high() -> None:
    picture = np.full((1, 3, 3), 100, np.uint8)
    blend_heat(picture, np.array([[0.0, 2.0, 4.0]], np.float32), Scale(2.0))
    assert picture[0, 0].tolist() == [100, 100, 100]
    tones = coloured(np.array([[2.0, 4.0]], np.float32), (0.0, 4.0))[0].astype(float)
    np.testing.assert_allclose(picture[0, 1:], 40 + 0.6 * tones, atol=3)


def test_ends_that_leave_out_a_threshold_are_refused() -> None:
    criteria = Criteria(RegionsConfig(), 4.1, 3.4)
    assert Scale.of(criteria, (1.0, 5.0)).range == (1.0, 5.0)
    with pytest.raises(UserError) as error:
        Scale.of(criteria, (0.0, 4.0))
    assert str(error.value) == (
        "--range: leaves out a threshold in force\n  received: 0,4\n  expected: LOWEST,HIGHEST around 4.1, 3.4\n"
        "  fix: widen it, or leave it out: the colours go from 0 to twice high"
    )
    with pytest.raises(UserError, match="ends before it begins"):
        Scale.of(criteria, (5.0, 1.0))


@pytest.mark.parametrize("text", ["5", "a,b", "1,2,3", "nan,1", "0,inf", ""])
def test_a_range_is_two_numbers(text: str) -> None:
    with pytest.raises(UserError, match="two numbers with a comma between them"):
        read_ends(text)
    assert read_ends("0, 12.5") == (0.0, 12.5)
