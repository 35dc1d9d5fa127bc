"""Histograms of parts: each its own while there are few, and so many places whatever comes."""

import numpy as np

from edge.models.evaluate.part_histograms import GROUPS, MOST_PARTS, PartHistogram, PartHistograms, group_of


def histogram(*numbers):
    return PartHistogram(
        np.array(numbers, np.int32), np.array([[1.0] * len(numbers), [2.0] * len(numbers), [0.5] * len(numbers)])
    )


def test_pixels_of_a_part_are_summed_bin_by_bin():
    parts = PartHistograms()
    parts.add("a", histogram(3, 5))
    parts.add("b", histogram(4))
    parts.add("a", histogram(5, 9))
    good, bad, overlap = parts.stacked(["a", "b"])
    assert good.tolist() == [[1, 0, 2, 1], [0, 1, 0, 0]]
    assert bad.tolist() == [[2, 0, 4, 2], [0, 2, 0, 0]]
    assert overlap.tolist() == [[0.5, 0, 1, 0.5], [0, 0.5, 0, 0]]


def test_ten_thousand_parts_take_the_room_of_five_hundred_and_lose_no_pixel():
    parts = PartHistograms()
    for index in range(10 * MOST_PARTS):
        parts.add(f"part {index}", histogram(index % 7))
    assert parts.grouped
    assert len(parts.by_name) == GROUPS
    good, _, _ = parts.stacked(sorted(parts.by_name))
    assert good.sum() == 10 * MOST_PARTS


def test_grouped_halves_equal_the_whole():
    whole, first, second = PartHistograms(), PartHistograms(), PartHistograms()
    for index in range(MOST_PARTS + 50):
        whole.add(f"{index}", histogram(index % 5))
        (first if index < 40 else second).add(f"{index}", histogram(index % 5))
    for one, other in ((first, second), (PartHistograms(), whole)):
        one.merge(other)
        names = sorted(whole.by_name)
        assert sorted(one.by_name) == names
        assert all((a == b).all() for a, b in zip(one.stacked(names), whole.stacked(names), strict=True))


def test_a_group_with_one_defective_part_is_drawn_with_the_defective_ones():
    parts = PartHistograms()
    for index in range(MOST_PARTS + 1):
        parts.add(f"{index}", histogram(1))
    names, (bad, good) = parts.classes({f"{index}": index == 7 for index in range(MOST_PARTS + 1)})
    assert [names[place] for place in bad] == [group_of("7")]
    assert len(good) == len(names) - 1
