"""A bank stays bounded, covers what went in, and knows which picture vouches for what."""

from __future__ import annotations

import numpy as np

from edge.models.fit.bank import Bank

LINE = np.array([[0.0], [1.0], [1.1], [5.0], [5.2], [9.0]], np.float32)


def as_it_is(vectors: np.ndarray) -> np.ndarray:
    return vectors


def test_thinning_keeps_what_covers_the_rest() -> None:
    bank = Bank(1, 3)
    bank.add(LINE, 0)
    bank.thin(3, as_it_is)
    assert bank.vectors.ravel().tolist() == [0.0, 5.0, 9.0]
    assert len(bank) == 3


def test_a_vector_of_another_picture_that_was_dropped_still_vouches_from_where_it_lay() -> None:
    bank = Bank(1, 3)
    for owner, value in enumerate(LINE):
        bank.add(value[None], owner)
    bank.thin(3, as_it_is)
    assert bank.owners.tolist() == [0, 3, 5]
    np.testing.assert_allclose(bank.reaches, [1.0, 0.2, np.inf], rtol=1e-4)


def test_a_pictures_own_dropped_vectors_vouch_for_nothing() -> None:
    bank = Bank(1, 3)
    bank.add(LINE, 4)
    bank.thin(3, as_it_is)
    assert np.isinf(bank.reaches).all()


def test_who_vouches_is_handed_on_when_the_one_that_knew_is_dropped_in_turn() -> None:
    """1.1 (picture 1) is dropped for 1.0 (picture 0), and 1.0 then for 0.0 of its own picture: 0.1 + 1.0."""
    bank = Bank(1, 2)
    bank.add(np.array([[0.0], [1.0], [9.0]], np.float32), 0)
    bank.add(np.array([[1.1]], np.float32), 1)
    bank.thin(3, as_it_is)
    np.testing.assert_allclose(bank.vectors.ravel(), [0.0, 9.0, 1.1])
    bank.add(np.array([[1.0]], np.float32), 1)
    bank.thin(2, as_it_is)
    assert bank.vectors.ravel().tolist() == [0.0, 9.0]
    np.testing.assert_allclose(bank.reaches, [1.0, np.inf])


def test_distances_are_those_of_the_projection() -> None:
    vectors = np.array([[0, 0], [0, 100], [3, 50]], np.float32)
    bank = Bank(2, 2)
    bank.add(vectors, 0)
    bank.thin(2, lambda v: v[:, :1])
    assert bank.vectors[:, 0].tolist() == [0, 3]


def test_it_is_full_at_eight_times_its_most() -> None:
    bank = Bank(3, 10)
    bank.add(np.zeros((80, 3), np.float32), 0)
    assert not bank.is_full
    bank.add(np.zeros((1, 3), np.float32), 1)
    assert bank.is_full


def test_another_bank_comes_behind_with_its_pictures_numbered_on() -> None:
    a, b = Bank(1, 9), Bank(1, 9)
    a.add(LINE[:2], 0)
    b.add(LINE[2:4], 0)
    b.add(LINE[4:], 1)
    a.merge(b, 7)
    a.settle()
    assert a.owners.tolist() == [0, 0, 7, 7, 8, 8]
    np.testing.assert_array_equal(a.vectors, LINE)
