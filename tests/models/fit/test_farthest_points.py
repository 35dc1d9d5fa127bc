"""The fast choice is the plain greedy rule's choice."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.models.fit.farthest_points import farthest_points, nearest_of


def plainly(vectors: NDArray[np.float32], count: int) -> list[int]:
    """The rule as it is written in books, in float64."""
    exact = vectors.astype(np.float64)
    chosen = [int(((exact - exact.mean(axis=0)) ** 2).sum(axis=1).argmax())]
    nearest = ((exact - exact[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((exact - exact[chosen[-1]]) ** 2).sum(axis=1))
    return chosen


@pytest.mark.parametrize(("number", "width", "count"), [(30, 2, 30), (900, 3, 40), (3000, 16, 700)])
def test_it_chooses_what_the_plain_rule_chooses_in_its_order(number: int, width: int, count: int) -> None:
    vectors = np.random.default_rng(number).normal(size=(number, width)).astype(np.float32)
    assert farthest_points(vectors, count).tolist() == plainly(vectors, count)


def test_clusters_of_any_density_each_get_a_point() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 8)) * 10
    vectors = np.concatenate([c + rng.normal(size=(5 * 3**k % 997 + 1, 8)) * 0.01 for k, c in enumerate(centres)])
    chosen = vectors[farthest_points(vectors.astype(np.float32), 20)]
    assert {int(((centres - v) ** 2).sum(axis=1).argmin()) for v in chosen} == set(range(20))


def test_equal_vectors_are_chosen_once() -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(7, 5)) * 100, 40, axis=0).astype(np.float32)
    chosen = farthest_points(vectors, 50)
    assert len(chosen) == 7
    assert len(np.unique(vectors[chosen], axis=0)) == 7


@pytest.mark.parametrize("count", [0, 1, 5])
def test_of_no_vectors_none_are_chosen(count: int) -> None:
    assert farthest_points(np.zeros((0, 4), np.float32), count).size == 0


def test_all_alike_give_one() -> None:
    assert farthest_points(np.full((9, 4), 3, np.float32), 5).size == 1


def test_each_vectors_nearest_centre_and_its_distance() -> None:
    rng = np.random.default_rng(1)
    vectors, centres = (rng.normal(size=(n, 6)).astype(np.float32) for n in (500, 40))
    distances = np.linalg.norm(vectors[:, None] - centres, axis=2)
    where, distance = nearest_of(vectors, centres)
    np.testing.assert_array_equal(where, distances.argmin(axis=1))
    np.testing.assert_allclose(distance, distances.min(axis=1), rtol=1e-4)
