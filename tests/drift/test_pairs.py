"""Two causes at once: found where two are needed, of one group too, and not where they are two words for one thing."""

from __future__ import annotations

import numpy as np
import pytest

from edge.drift.pairs import PairSearch
from edge.drift.signatures import Library, Signatures
from edge.drift.statistics import INDEX, NAMES

SIZES = np.geomspace(5, 50, 30).astype(np.float32)


def library(**of: tuple[str, ...]) -> Signatures:
    """Causes whose statistics (a minus in front: downwards) grow by 0.4 deviations with each unit of size."""
    rows, cause, size = [], [], []
    for number, statistics in enumerate(of.values()):
        for strength in SIZES:
            row = np.zeros(len(NAMES))
            for name in statistics:
                row[INDEX[name.lstrip("-")]] = (-0.4 if name.startswith("-") else 0.4) * strength
            rows.append(row)
            cause.append(number)
            size.append(strength)
    return Signatures(tuple(of), np.array(rows, np.float32), np.array(cause, np.int16), np.array(size, np.float32))


def change(**values: float) -> np.ndarray:
    """A change of these statistics alone."""
    row = np.zeros(len(NAMES))
    for name, value in values.items():
        row[INDEX[name]] = value
    return row


def test_two_causes_of_one_group_are_both_named_the_larger_first_each_with_its_own_size() -> None:
    lights = library(brightness=("log_gain", "edges_x"), gradient=("tilt_x", "low_residual"))
    found = Library(lights, 0.1).name(change(log_gain=4, edges_x=4, tilt_x=12, low_residual=12))
    assert [one.cause for one in found] == ["gradient", "brightness"]
    assert [one.size for one in found] == [pytest.approx(30, rel=0.1), pytest.approx(10, rel=0.1)]
    assert {one.group for one in found} == {"lighting"}


def test_two_words_for_one_thing_are_no_two_causes() -> None:
    lights = library(brightness=("log_gain", "edges_x", "dark"), gamma=("log_gain", "edges_x", "-bright"))
    rows, band = lights.rows.astype(float), np.full(lights.rows.shape, 0.3)
    alike = PairSearch(rows, band, lights.cause, np.array(["lighting"] * len(rows), object))
    assert alike.nearest(change(log_gain=9, edges_x=9)) is not None  # cosine 0.67: two independent parts
    same = library(brightness=("log_gain", "edges_x", "dark"), gamma=("log_gain", "edges_x"))
    alike = PairSearch(same.rows.astype(float), band, same.cause, np.array(["lighting"] * len(rows), object))
    assert alike.nearest(change(log_gain=9, edges_x=9)) is None


def test_differences_cover_each_other_and_the_rest_adds_up() -> None:
    both = library(noise=("noise", "mid_on_part"), shift=("shift_x", "mid_on_part"))
    rows = both.rows.astype(float)
    search = PairSearch(rows, np.full(rows.shape, 0.3), both.cause, np.array(["a"] * 30 + ["b"] * 30, object))
    a, b = 10, 45
    wanted = rows[a] + rows[b]
    wanted[INDEX["mid_on_part"]] = max(rows[a][INDEX["mid_on_part"]], rows[b][INDEX["mid_on_part"]])
    found = search.nearest(wanted)
    assert found is not None
    assert set(found.rows) == {a, b}
    assert found.distance == pytest.approx(0, abs=1e-5)
