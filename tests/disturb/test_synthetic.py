"""Synthetic defects are seen where their masks say, nowhere else, and come out alike for one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edge.disturb.synthetic import LEAST_CHANGE, SYNTHETIC, chosen, draw, transplanted
from edge.errors import UserError


def surface(seed: int, size: tuple[int, int] = (120, 160), channels: int = 1) -> Any:
    """Grinding marks: stripes with noise."""
    rng = np.random.default_rng(seed)
    stripes = 120 + 25 * np.sin(np.arange(size[1]) / 3 + rng.uniform(0, 6))[None, :, None]
    return np.clip(stripes + rng.normal(0, 5, (*size, channels)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", SYNTHETIC)
def test_every_kind_changes_the_picture_where_its_mask_says(name: str, channels: int) -> None:
    picture, donor = surface(0, channels=channels), surface(1, (90, 140), channels)
    before, made = picture.copy(), 0
    for seed in range(12):
        found = draw(np.random.default_rng(seed), picture, donor, (SYNTHETIC[name],))
        if found is None:
            continue
        made += 1
        changed, mask, kind = found
        assert kind == name
        assert (changed.shape, changed.dtype, changed.flags.c_contiguous) == (picture.shape, np.uint8, True)
        difference = np.abs(changed.astype(int) - picture).max(axis=2)
        assert (difference[mask] >= LEAST_CHANGE).all()
        assert 12 <= mask.sum() < 0.6 * mask.size
        far = np.ones_like(mask)
        ys, xs = np.nonzero(mask)
        far[max(0, ys.min() - 30) : ys.max() + 30, max(0, xs.min() - 30) : xs.max() + 30] = False
        if name not in ("uneven_light", "uneven_finish", "perlin"):  # these fade out, change grain, or lie in pieces
            assert difference[far].max(initial=0) == 0
    assert made >= 10
    assert np.array_equal(picture, before), "the good picture stays as it is"


def test_one_seed_gives_one_defect_and_another_seed_another() -> None:
    kinds = chosen()
    first, again, other = (draw(np.random.default_rng(seed), surface(0), surface(1), kinds) for seed in (4, 4, 5))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_where_nothing_can_be_seen_nothing_comes_back() -> None:
    white = np.full((60, 60, 1), 255, np.uint8)
    donor = white.copy()
    assert draw(np.random.default_rng(0), white, donor, (SYNTHETIC["poisson"],)) is None


def test_kinds_are_switched_off_by_name() -> None:
    assert [row.name for row in chosen(("perlin", "poisson"))] == [n for n in SYNTHETIC if n not in ("perlin", "poisson")]


def test_a_kind_that_is_not_there_is_said_with_those_that_are() -> None:
    with pytest.raises(UserError) as caught:
        chosen(("scrach",))
    assert str(caught.value) == (
        "there is no such kind of synthetic defect\n"
        "  received: scrach\n"
        "  expected: cut_paste, perlin, poisson, scratch, crack, blob, chip, smear, uneven_light, uneven_finish\n"
        "  fix: did you mean scratch?"
    )


def test_without_any_kind_there_is_nothing_to_learn() -> None:
    with pytest.raises(UserError, match="no kind of synthetic defect is left"):
        chosen(tuple(SYNTHETIC))


def test_a_labelled_defect_keeps_its_shape_and_contrast_on_another_frame() -> None:
    bad, mask = np.full((80, 100, 1), 150, np.uint8), np.zeros((80, 100), np.bool_)
    mask[30:40, 50:70] = True
    bad[mask] = 90
    good = np.full((60, 90, 1), 100, np.uint8)
    made = transplanted(np.random.default_rng(0), good, bad, mask)
    assert made is not None
    changed, where = made
    assert where.sum() == 200
    ys, xs = np.nonzero(where)
    assert (np.ptp(ys) + 1, np.ptp(xs) + 1) == (10, 20)
    assert np.unique(changed[where]).tolist() == [60], "40 % darker than its surface, there as here"
    assert np.unique(changed[~where]).tolist() == [100]


def test_a_defect_larger_than_the_frame_is_not_transplanted() -> None:
    bad, mask = np.full((80, 100, 1), 150, np.uint8), np.ones((80, 100), np.bool_)
    assert transplanted(np.random.default_rng(0), np.zeros((40, 40, 1), np.uint8), bad, mask) is None
    assert transplanted(np.random.default_rng(0), bad, bad, np.zeros_like(mask)) is None
