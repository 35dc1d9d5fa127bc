"""Streaming pixel metrics against ones that hold every pixel at once, and their memory."""

import math

import cv2
import numpy as np
import pytest

from edge.models.evaluate.pixels import PixelCurves, _ordered
from edge.models.evaluate.ranking import auroc, average_precision, steps


def scenes(seed, count=12, size=64, offset=0.0, scale=1.0):
    """Maps with raised discs under masks, some good."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        values = rng.normal(0, 1, (size, size)).astype(np.float32)
        mask = np.zeros((size, size), np.uint8)
        if index % 3:
            for _ in range(index % 3):
                x, y = rng.integers(8, size - 8, 2).tolist()
                cv2.circle(mask, (x, y), int(rng.integers(1, 6)), 1, -1)
            values += 2.0 * cv2.GaussianBlur(mask.astype(np.float32), (5, 5), 0)
        yield (values * scale + offset).astype(np.float32), mask.astype(bool), f"part {index // 2}"


def counted(items):
    curves = PixelCurves()
    for values, mask, part in items:
        curves.add(values, mask if mask.any() else None, part)
    return curves


def pro_by_thresholds(items, limit):
    """AU-PRO by its definition: for every distinct value, the mean over regions of the share at or above it."""
    items = list(items)
    regions = []
    for values, mask, _ in items:
        count, labels = cv2.connectedComponents(mask.astype(np.uint8))
        regions += [np.sort(values[labels == i]) for i in range(1, count)]
    good = np.sort(np.concatenate([values[~mask] for values, mask, _ in items]))
    levels = np.unique(np.concatenate([values.ravel() for values, _, _ in items]))[::-1]
    rate = np.array([0.0, *((len(good) - np.searchsorted(good, levels)) / len(good))])
    overlap = np.mean([[0.0, *((len(r) - np.searchsorted(r, levels)) / len(r))] for r in regions], axis=0)
    x = np.append(rate[rate < limit], limit)
    y = np.append(overlap[rate < limit], np.interp(limit, rate, overlap))
    return float(np.trapezoid(y, x) / limit)


@pytest.mark.parametrize(("offset", "scale"), [(0.0, 1.0), (100.0, 1.0), (-3.0, 1e-3), (0.5, 0.05)])
def test_the_stream_equals_all_pixels_at_once(offset, scale):
    items = list(scenes(0, offset=offset, scale=scale))
    found = counted(items).metrics()
    values = np.concatenate([v.ravel() for v, _, _ in items])
    bad = np.concatenate([m.ravel() for _, m, _ in items])
    exact = steps(values, bad)
    assert found.auroc == pytest.approx(auroc(exact), abs=1e-6)
    assert found.average_precision == pytest.approx(average_precision(exact), abs=1e-6)
    assert found.au_pro_30 == pytest.approx(pro_by_thresholds(items, 0.3), abs=1e-3)
    assert found.au_pro_05 == pytest.approx(pro_by_thresholds(items, 0.05), abs=1e-3)
    assert found.defective_pixels == bad.sum()
    assert found.pixels == bad.size


def test_the_order_of_values_is_the_order_of_their_numbers():
    values = np.array([-1e30, -5, -1, -(2.0**-30), -1e-20, 0, 1e-20, 2.0**-30, 1e-3, 1, 1.0000001, 7, 1e30], np.float32)
    numbers = _ordered(values)
    assert (np.diff(numbers) >= 0).all()
    assert numbers[3:8].tolist() == [-1, 0, 0, 0, 1]  # no number is spent on what is nearer to zero than 1e-9
    assert len(np.unique(numbers)) == 11


def test_with_fewer_bins_than_values_the_areas_stay_within_their_bound():
    items = list(scenes(5, count=30))
    exact, few = counted(items).metrics(), PixelCurves(most=4096)
    for values, mask, part in items:
        few.add(values, mask if mask.any() else None, part)
    rough = few.metrics()
    assert exact.tie_bound == 0
    assert 0 < abs(rough.auroc - exact.auroc) <= rough.tie_bound < 1e-2
    assert rough.au_pro_30 == pytest.approx(exact.au_pro_30, abs=1e-3)


def test_merged_halves_equal_the_whole():
    items = list(scenes(1))
    whole, first, second = counted(items), counted(items[:5]), counted(items[5:])
    first.merge(second)
    assert first.metrics().auroc == whole.metrics().auroc
    assert first.metrics().au_pro_30 == pytest.approx(whole.metrics().au_pro_30, abs=1e-12)
    assert first.regions == whole.regions


def test_a_thousand_pictures_take_no_more_memory_than_ten():
    items = list(scenes(2, count=10, size=24))
    few = counted(items)
    many = PixelCurves(most=8192)
    for index in range(1000):
        values, mask, part = items[index % 10]
        many.add(values, mask if mask.any() else None, part)
    assert many._entries <= 1.5 * many.most + 24**2
    assert len(many._settled().keys) == len(few._settled().keys)
    assert many.metrics().auroc == pytest.approx(few.metrics().auroc, abs=1e-12)
    assert many.metrics().pixels == 100 * few.metrics().pixels


def test_without_defects_metrics_are_undefined():
    curves = PixelCurves()
    curves.add(np.ones((4, 4), np.float32), None, "a")
    metrics = curves.metrics()
    assert math.isnan(metrics.auroc)
    assert math.isnan(metrics.au_pro_30)
    assert curves.pro_points()[0].size == 0
    assert math.isnan(curves.intervals({"a": False})["auroc"][0])
    assert math.isnan(PixelCurves().metrics().auroc)


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"a mask of \(3, 3\) for a map of \(4, 4\)"):
        PixelCurves().add(np.ones((4, 4), np.float32), np.ones((3, 3), bool), "a")


def test_intervals_hold_the_value_and_narrow_with_more_parts():
    few, many = counted(scenes(3, count=12)), counted(scenes(3, count=60))
    widths = []
    for curves in (few, many):
        metrics = curves.metrics()
        intervals = curves.intervals(dict.fromkeys(curves.by_part.by_name, True), replicates=200)
        for name, (low, high) in intervals.items():
            assert low <= getattr(metrics, name) <= high
        widths.append(intervals["auroc"][1] - intervals["auroc"][0])
    assert widths[1] < widths[0]


def test_the_pro_curve_stops_at_its_limit():
    x, y = counted(scenes(4)).pro_points(50)
    assert len(x) <= 50
    assert x[-1] <= 0.3
    assert (np.diff(y) >= 0).all()


def test_pixels_that_are_not_inspected_do_not_count():
    (values, mask, part), *_ = list(scenes(6))[1:2]
    where = np.zeros_like(mask)
    where[:, :40] = True
    cut, part_of = PixelCurves(), PixelCurves()
    cut.add(values, mask, part, where)
    part_of.add(np.ascontiguousarray(values[:, :40]), np.ascontiguousarray(mask[:, :40]), part)
    assert cut.metrics().pixels == part_of.metrics().pixels == 64 * 40
    nothing = PixelCurves()
    nothing.add(values, mask, part, np.zeros_like(mask))
    assert nothing.regions == 0
