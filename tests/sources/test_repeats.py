"""A frozen picture is seen whatever its frame ids say, and a moving one on a still ground never is one."""

from __future__ import annotations

import numpy as np
import pytest

from edge.sources.repeats import Repeats

NOISE = np.random.default_rng(0).integers(0, 255, (8, 50_000), np.uint8)


@pytest.mark.parametrize("most", [1, 3])
def test_frames_that_repeat_the_one_before_more_often_than_allowed_are_told(most: int) -> None:
    repeats = Repeats(most)
    assert [repeats.too_many(NOISE[0].copy()) for _ in range(most + 4)] == [False] * (most + 1) + [True] * 3
    assert not repeats.too_many(NOISE[1])


def test_noise_and_pictures_that_take_turns_are_no_repeats() -> None:
    repeats = Repeats(1)
    assert not any(repeats.too_many(NOISE[index % 2]) for index in range(8))


def test_a_small_thing_that_moves_where_no_sample_lies_is_no_repeat() -> None:
    repeats = Repeats(1)
    for index in range(6):
        still = np.zeros(100_000, np.uint8)
        still[1 + index] = 255  # samples lie at multiples of 97
        assert not repeats.too_many(still)


def test_a_frame_of_another_size_is_no_repeat() -> None:
    repeats = Repeats(1)
    assert not any(repeats.too_many(np.zeros(size, np.uint8)) for size in (500, 501, 502, 503))
