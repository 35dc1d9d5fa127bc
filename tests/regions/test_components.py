"""Components from their runs, against labels spread from pixel to pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.regions.components import Components, find_components

Binary = NDArray[np.uint8]


def drawn(*rows: str) -> Binary:
    return np.array([[c == "#" for c in row] for row in rows], np.uint8)


def components(binary: Binary, values: NDArray[np.float32] | None = None) -> Components:
    found = find_components(binary, np.ones(binary.shape, np.float32) if values is None else values)
    assert found is not None
    return found


def pixel_sets(binary: Binary) -> list[set[tuple[int, int]]]:
    """(x, y) of the pixels of every 8-connected component."""
    left = {(int(x), int(y)) for y, x in np.argwhere(binary)}
    sets = []
    while left:
        one, waiting = set(), [left.pop()]
        while waiting:
            x, y = waiting.pop()
            one.add((x, y))
            near = {(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)} & left
            left -= near
            waiting += near
        sets.append(one)
    return sets


def painted(found: Components, chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> set[tuple[int, int]]:
    around = np.zeros((shape[0] + 2, shape[1] + 3), np.uint8)
    found.paint(around[1:-1, 2:-1], chosen, 7)  # a view whose rows don't touch, as the mask's
    assert set(np.unique(around)) <= {0, 7}
    return {(int(x) - 2, int(y) - 1) for y, x in np.argwhere(around)}


def test_nothing_has_no_components() -> None:
    assert find_components(np.zeros((5, 6), np.uint8), np.zeros((5, 6), np.float32)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (5, 6)])
def test_a_picture_full_of_foreground_is_one_component(shape: tuple[int, int]) -> None:
    found = components(np.ones(shape, np.uint8))
    assert found.area.tolist() == [shape[0] * shape[1]]
    assert (found.x0[0], found.y0[0], found.x1[0], found.y1[0]) == (0, 0, shape[1], shape[0])
    assert found.solidity(np.array([True])).tolist() == [1.0]


def test_a_border_that_passes_a_pixel_twice_counts_it_once() -> None:
    found = components(drawn(".......", ".##.##.", "..###..", "...#...", "...#...", "......."))
    assert found.area.tolist() == [9]


def test_a_run_between_two_holes_belongs_to_the_component_around_them() -> None:
    found = components(drawn("#######", "#.#.#.#", "#######", ".......", "..#...."))
    assert sorted(found.area.tolist()) == [1, 18]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 14), st.integers(1, 14), st.sampled_from([0.05, 0.3, 0.5, 0.7, 0.95]))
def test_components_equal_labels_spread_from_pixel_to_pixel(seed: int, height: int, width: int, share: float) -> None:
    """Few pixels are listed one by one, many read in one pass over the picture: both are met here."""
    rng = np.random.default_rng(seed)
    binary = (rng.random((height, width)) < share).astype(np.uint8)
    values = rng.permutation(binary.size).reshape(binary.shape).astype(np.float32)
    expected = pixel_sets(binary)
    if not expected:
        return
    found = components(binary, values)
    assert len(found) == len(expected)
    level = rng.uniform(0, binary.size * 1.5, binary.shape).astype(np.float32)
    peaks, reaching, solidity = found.peaks(), found.reaching(level), found.solidity(np.ones(len(found), bool))
    told = []
    for number in range(len(found)):
        pixels = painted(found, np.arange(len(found)) == number, binary.shape)
        told.append(pixels)
        scores = {(x, y): float(values[y, x]) for x, y in pixels}
        xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
        box = found.x0[number], found.y0[number], found.x1[number], found.y1[number]
        assert box == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
        assert found.area[number] == len(pixels)
        assert found.score_max[number] == max(scores.values())
        assert found.score_mean[number] == pytest.approx(sum(scores.values()) / len(scores), rel=1e-6)
        assert divmod(int(peaks[number]), width)[::-1] == max(scores, key=lambda at: scores[at])
        assert reaching[number] == any(values[y, x] >= level[y, x] for x, y in pixels)
        assert 0 <= solidity[number] <= 1
    assert sorted(map(sorted, told)) == sorted(map(sorted, expected))
    some = rng.random(len(found)) < 0.5
    assert painted(found, some, binary.shape) == set().union(*(told[i] for i in np.flatnonzero(some)))
