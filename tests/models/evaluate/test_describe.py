"""Defects and false regions described."""

import numpy as np
import pytest

from edge.frames import Region
from edge.models.evaluate.describe import background_of, defects_of, seen_of
from edge.models.evaluate.scored import cell, contrast_class, size_class


def region(x0, y0, x1, y1, area=None):
    centre = ((x0 + x1 - 1) / 2, (y0 + y1 - 1) / 2)
    return Region(1, (x0, y0, x1, y1), float(area or (x1 - x0) * (y1 - y0)), centre, 1.0, 1.0, 1.0, 1.0, 1.0)


def test_each_connected_defect_has_its_size_contrast_place_and_whether_it_was_found():
    grey = np.full((60, 90), 100, np.uint8)
    mask, found = np.zeros((60, 90), bool), np.zeros((60, 90), bool)
    mask[5:9, 5:10] = True
    mask[50:55, 80:84] = True
    grey[mask] = [130] * 20 + [80] * 20
    found[8, 9] = True
    first, second = defects_of(mask, grey, found)
    assert (first.area_px, first.contrast, first.found) == (20, 30.0, True)
    assert (second.area_px, second.contrast, second.found) == (20, -20.0, False)
    assert first.place == pytest.approx((7.5 / 90, 7 / 60))
    assert cell(first.place) == "top left"
    assert cell(second.place) == "bottom right"


def test_classes_have_bounds_and_units():
    assert [size_class(a) for a in (1, 64, 100, 5000)] == ["0 to 4 px", "8 to 16 px", "8 to 16 px", "64 px and more"]
    assert [contrast_class(c) for c in (-4, 5, -39.9, 41)] == [
        "0 to 5 levels",
        "5 to 10 levels",
        "20 to 40 levels",
        "40 levels and more",
    ]


def test_false_regions_are_told_by_place_and_look():
    grey = np.full((100, 100), 40, np.uint8)
    grey[20:80, 20:80] = 150
    grey[50:53, 40:44] = 90
    grey[30:32, 30:60] = 220
    inside = np.ones((100, 100), bool)
    inside[:, 90:] = False
    regions = [
        region(40, 50, 44, 53),
        region(30, 30, 60, 32),
        region(0, 40, 6, 46),
        region(86, 40, 90, 44),
        region(8, 8, 12, 12),
    ]
    seen = seen_of(regions, grey, None, inside)
    assert [s.where for s in seen] == ["part", "part", "border", "roi_edge", "background"]
    assert [s.look for s in seen[:2]] == ["dark spot", "bright line"]
    assert {s.right for s in seen} == {None}


def test_a_region_on_a_defect_is_right():
    mask = np.zeros((50, 50), bool)
    mask[10, 10] = True
    grey = np.full((50, 50), 100, np.uint8)
    assert [s.right for s in seen_of([region(8, 8, 12, 12), region(30, 30, 34, 34)], grey, mask, None)] == [True, False]


def test_a_part_that_fills_the_frame_has_no_background():
    assert not background_of(np.full((40, 60), 90, np.uint8)).any()
