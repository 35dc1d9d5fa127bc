"""Two sets are called different where they are, and two halves of one set are not."""

import numpy as np
import pytest

from edge.shift.told_apart import Separability, effects, separability

pytest.importorskip("sklearn", reason="the extra 'report' is not installed")


def parts(prefix, count, each=1):
    return [f"{prefix}{i // each}" for i in range(count)]


def test_two_halves_of_one_set_are_not_different():
    different = 0
    for seed in range(10):
        values = np.random.default_rng(seed).normal(size=(60, 40)) * np.linspace(3, 0.1, 40)
        different += separability(values[:30], values[30:], (parts("a", 30), parts("b", 30))).is_different
    assert different == 0


def test_parts_of_its_own_make_no_set_different():
    """Ten frames of each of eight parts: frames alone would tell the halves apart by which parts they show."""
    different = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        values = np.repeat(rng.normal(size=(16, 12)), 10, axis=0) + 0.1 * rng.normal(size=(160, 12))
        different += separability(values[:80], values[80:], (parts("a", 80, 10), parts("b", 80, 10))).is_different
    assert different == 0


def test_a_set_that_moved_is_told_apart_with_its_interval():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(40, 20)), rng.normal(size=(40, 20))
    b[:, 3] += 4.0
    told = separability(a, b, (parts("a", 40), parts("b", 40)))
    assert told.is_different
    assert told.interval[0] > 0.85
    assert told.auroc > 0.93
    assert told.p == 1 / 1000
    assert told.mahalanobis > 1.05


@pytest.mark.parametrize(
    ("auroc", "interval", "p", "different", "unsure"),
    [
        (0.83, (0.73, 0.91), 0.035, False, True),  # magnetic tiles under two lights, 60 and 32 frames
        (0.83, (0.73, 0.91), 0.001, True, False),
        (0.66, (0.55, 0.77), 0.035, False, False),
    ],
)
def test_a_difference_that_one_of_the_tests_sees_alone_is_neither_claimed_nor_hidden(auroc, interval, p, different, unsure):
    told = Separability(auroc, interval, 0.01, p, 1.2)
    assert (told.is_different, told.is_unsure) == (different, unsure)


def test_the_same_parts_under_another_light_are_told_apart():
    rng = np.random.default_rng(1)
    of_parts = rng.normal(size=(30, 10))
    a, b = of_parts + 0.1 * rng.normal(size=(30, 10)), of_parts + 0.1 * rng.normal(size=(30, 10))
    assert not separability(a, b, (parts("p", 30), parts("p", 30))).is_different
    b[:, 0] += 3.0
    assert separability(a, b, (parts("p", 30), parts("p", 30))).is_different


def test_a_statistic_that_moved_comes_first_with_its_size():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(50, 3)), rng.normal(size=(50, 3))
    b[:, 1] += 3.0
    rows = effects(
        [("light", "ln"), ("edges", "ln"), ("noise", "")], np.full(3, 0.1), a, b, (parts("a", 50), parts("b", 50))
    )
    assert [row.is_changed for row in rows] == [True, False, False]
    assert rows[0].name == "edges"
    assert rows[0].z == pytest.approx(3.0, abs=0.8)
    assert rows[0].delta > 0.9


def test_a_statistic_that_never_varies_is_not_changed():
    same = np.ones((20, 1))
    (row,) = effects([("clipped", "share")], np.array([0.01]), same, same, (parts("a", 20), parts("b", 20)))
    assert (row.z, row.delta, row.p) == (0.0, 0.0, 1.0)
