"""Every corruption of the table is pure, seeded, as strong as it says, and knows every kind of picture."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any, get_args

import cv2
import numpy as np
import pytest

from edge.disturb.corruptions import CORRUPTIONS, GROUPS, Corruption, Group
from edge.disturb.strengths import Strengths, amount

ROWS = list(CORRUPTIONS.values())


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def plate(channels: int = 1, bits: int = 8) -> Any:
    """A bright, textured part on a dark, even ground: uint8, or uint16 with ``bits``."""
    grey = np.full((96, 128), 0.2, np.float32)
    grain = cv2.GaussianBlur(rng(1).standard_normal((96, 128)).astype(np.float32), (0, 0), 1.5)
    ys, xs = np.mgrid[:96, :128]
    on = np.hypot(xs - 64, ys - 48) < 36
    grey[on] = 0.5 + 0.08 * grain[on] / grain.std()
    cv2.rectangle(grey, (52, 40), (76, 56), 0.35, -1)
    picture = np.rint(np.clip(grey, 0, 1) * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return picture if channels == 1 else np.ascontiguousarray(np.dstack([picture] * 3))


def change(row: Corruption, picture: Any, strength: float, seed: int = 7) -> float:
    return float(np.abs(row.apply(picture, strength, rng(seed)).astype(float) - picture).mean())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_change_grows_with_the_strength_and_0_changes_nothing(row: Corruption) -> None:
    picture = plate(channels=3)
    assert np.array_equal(row.apply(picture, 0, rng()), picture)
    changes = [np.mean([change(row, picture, strength, seed) for seed in range(6)]) for strength in row.strengths]
    assert len(changes) == 6
    assert 0 < 2 * changes[0] < changes[-1]  # a stronger JPEG differs from place to place, not always by more
    assert all(weaker < 1.1 * stronger for weaker, stronger in pairwise(changes)), changes


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize(("channels", "bits"), [(1, 8), (3, 8), (1, 12), (3, 16)])
def test_every_kind_of_picture_keeps_its_shape_and_type_and_is_not_written_to(
    row: Corruption, channels: int, bits: int
) -> None:
    picture = plate(channels, bits)
    before = picture.copy()
    made = row.apply(picture, row.strengths.strongest, rng(), bits)
    assert (made.shape, made.dtype) == (picture.shape, picture.dtype)
    assert made.max() <= (1 << bits) - 1
    assert made.flags.c_contiguous
    assert np.array_equal(picture, before)
    assert not np.shares_memory(made, picture)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_12_bits_and_8_bits_show_the_same_change(row: Corruption) -> None:
    strength = row.strengths.steps[2]
    eight = row.apply(plate(bits=8), strength, rng()).astype(float) / 255
    twelve = row.apply(plate(bits=12), strength, rng(), 12).astype(float) / 4095
    assert np.abs(eight - twelve).mean() < 0.004


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_seed_gives_the_same_picture_again(row: Corruption) -> None:
    made = [row.apply(plate(), row.strengths.steps[2], rng(seed)) for seed in (3, 3)]
    assert np.array_equal(*made)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_on_a_line_noise_is_new_at_each_frame_and_the_rest_stays_in_its_place(row: Corruption) -> None:
    picture = plate(channels=3)
    steady = row.steady(row.strengths.steps[2], seed=4)
    assert np.array_equal(steady(picture), steady(picture)) == (not row.each_frame)


def test_the_direction_of_a_two_way_change_is_drawn_by_the_seed() -> None:
    picture = plate()
    means = [CORRUPTIONS["brightness"].steady(18, seed)(picture).mean() > picture.mean() for seed in range(20)]
    assert 4 <= sum(means) <= 16


def test_a_change_differs_from_seed_to_seed_where_it_has_a_place_or_a_direction() -> None:
    for name in ("gradient", "shadow", "motion_blur", "dust", "shift", "occlusion", "background", "product"):
        row = CORRUPTIONS[name]
        assert not np.array_equal(*(row.apply(plate(), row.strengths.steps[3], rng(seed)) for seed in (1, 2))), name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_has_five_rising_strengths_and_a_word(row: Corruption) -> None:
    steps = row.strengths.steps
    assert len(steps) == 5
    assert list(steps) == sorted(set(steps))
    assert steps[0] > 0
    assert row.strengths.beyond > 1
    assert row.group in GROUPS
    assert row.unit in row.words(steps[0])


def test_every_group_has_a_row_and_names_are_unique() -> None:
    assert {row.group for row in ROWS} == set(GROUPS) == set(get_args(Group))
    assert all(name == row.name for name, row in CORRUPTIONS.items())


FLAT = np.full((60, 80), 100, np.uint8)


@pytest.mark.parametrize(
    ("name", "strength", "expected"),
    [("brightness", 18, 118), ("brightness", -20, 80), ("stray_light", 4, 110), ("contrast", 25, 100), ("gamma", 100, 39)],
)
def test_an_even_grey_gets_the_level_that_the_strength_says(name: str, strength: float, expected: int) -> None:
    assert np.unique(CORRUPTIONS[name].apply(FLAT, strength, rng())).tolist() == [expected]


@pytest.mark.parametrize(("name", "strength"), [("gradient", 20), ("shadow", 30), ("vignette", 40), ("dust", 40)])
def test_light_is_lost_where_and_as_much_as_the_strength_says(name: str, strength: float) -> None:
    made = CORRUPTIONS[name].apply(FLAT[:60, :60], strength, rng(2)).astype(float)
    if name == "gradient":
        corners = [made[y, x] for y in (0, -1) for x in (0, -1)]
        assert made.mean() == pytest.approx(100, abs=0.3)
        assert 20 <= max(corners) - min(corners) <= 20 * math.sqrt(2) + 1
        return
    assert made.max() == 100
    assert made.min() == pytest.approx(100 - strength, abs=2.5)


@pytest.mark.parametrize("share", [3.0, 8.0, 15.0])
def test_clipped_brings_as_many_pixels_to_white_as_it_says(share: float) -> None:
    made = CORRUPTIONS["clipped"].apply(plate(), share, rng())
    assert 100 * (made == 255).mean() == pytest.approx(share, abs=1.5)


@pytest.mark.parametrize("share", [4.0, 12.0, 30.0])
@pytest.mark.parametrize("seed", range(4))
def test_occlusion_hides_as_much_as_it_says(share: float, seed: int) -> None:
    shades = np.arange(256, dtype=np.uint8).repeat(12).reshape(48, 64)
    made = CORRUPTIONS["occlusion"].apply(shades, share, rng(seed))
    assert 100 * (made != shades).mean() == pytest.approx(share, abs=1.5)


@pytest.mark.parametrize("seed", range(4))
def test_a_new_product_changes_as_much_as_it_says(seed: int) -> None:
    made = CORRUPTIONS["product"].apply(np.full((256, 256), 100, np.uint8), 4.0, rng(seed))
    assert 2.0 <= 100 * (made != 100).mean() <= 5.0  # bars may reach out of the picture or over each other


@pytest.mark.parametrize(
    ("name", "strength", "deviation"), [("noise", 2.0, 5.1), ("banding", 4.0, 7.2), ("finish", 5, 5.0)]
)
def test_noise_and_texture_have_the_deviation_that_the_strength_says(name: str, strength: float, deviation: float) -> None:
    made = CORRUPTIONS[name].apply(np.full((128, 128), 100, np.uint8), strength, rng())
    assert made.std() == pytest.approx(deviation, rel=0.08)


def dot(size: int = 41) -> Any:
    picture = np.zeros((size, size), np.uint8)
    picture[size // 2, size // 2] = 255
    return picture.astype(np.uint16) * 257


def moments(picture: Any) -> tuple[float, float, float]:
    """Centre and standard deviation (mean of both axes, px) of what is bright."""
    weight = picture.astype(float) / picture.sum()
    ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]]
    x, y = (weight * xs).sum(), (weight * ys).sum()
    return x, y, math.sqrt((weight * ((xs - x) ** 2 + (ys - y) ** 2)).sum())


@pytest.mark.parametrize("sigma", [0.8, 1.2, 2.6])
def test_defocus_spreads_a_point_by_its_px(sigma: float) -> None:
    x, y, spread = moments(CORRUPTIONS["defocus"].apply(dot(), sigma, rng()))
    assert (x, y) == pytest.approx((20, 20), abs=0.01)
    assert spread / math.sqrt(2) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("length", [2.5, 6.0, 9.0])
def test_motion_spreads_a_point_along_its_way(length: float) -> None:
    x, y, spread = moments(CORRUPTIONS["motion_blur"].apply(dot(), length, rng()))
    assert (x, y) == pytest.approx((20, 20), abs=0.05)
    assert math.hypot(spread) == pytest.approx(math.sqrt(length**2 / 12 + 1 / 3), rel=0.12)


def blob(x: float, y: float, size: int = 81) -> Any:
    ys, xs = np.mgrid[:size, :size]
    return np.rint(60000 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 18)).astype(np.uint16)


@pytest.mark.parametrize("px", [3.0, 7.5, 12.0])
def test_a_shift_moves_by_its_px(px: float) -> None:
    x, y, _ = moments(CORRUPTIONS["shift"].apply(blob(40, 40), px, rng(3)))
    assert math.hypot(x - 40, y - 40) == pytest.approx(px, abs=0.08)  # OpenCV rounds coordinates to 1/32 px


@pytest.mark.parametrize(("degrees", "way"), [(1.0, -1), (-2.5, 1)])
def test_a_rotation_turns_by_its_degrees(degrees: float, way: int) -> None:
    _, y, _ = moments(CORRUPTIONS["rotation"].apply(blob(65, 40), degrees, rng()))
    assert y - 40 == pytest.approx(way * 25 * math.sin(math.radians(abs(degrees))), abs=0.05)


@pytest.mark.parametrize("percent", [1.0, -2.8])
def test_a_scale_grows_by_its_percent(percent: float) -> None:
    x, _, _ = moments(CORRUPTIONS["scale"].apply(blob(60, 40), percent, rng()))
    assert x - 40 == pytest.approx(20 * (1 + percent / 100), abs=0.05)


def test_a_background_changes_and_the_part_on_it_does_not() -> None:
    picture = plate()
    changed = CORRUPTIONS["background"].apply(picture, 20, rng()).astype(int) - picture
    ys, xs = np.mgrid[:96, :128]
    distance = np.hypot(xs - 64, ys - 48)
    assert not changed[distance < 32].any()
    assert changed[distance > 40].min() >= 20


def test_a_picture_without_a_ground_keeps_its_background() -> None:
    textured = rng().integers(0, 256, (64, 64), np.uint8)
    assert np.array_equal(CORRUPTIONS["background"].apply(textured, 20, rng()), textured)


def test_a_grey_picture_has_no_colour_to_cast() -> None:
    assert np.array_equal(CORRUPTIONS["colour_cast"].apply(plate(), 20, rng()), plate())
    red, green, blue = (CORRUPTIONS["colour_cast"].apply(np.full((4, 4, 3), 100, np.uint8), 20, rng())).mean(axis=(0, 1))
    assert (red, green, blue) == (110, 100, 90)


@pytest.mark.parametrize(
    ("row", "strength", "words"),
    [
        ("defocus", 1.2, "defocus 1.2 px"),
        ("gradient", 18, "gradient 18 %"),
        ("brightness", 18, "brighter by 18 %"),
        ("brightness", -7.53, "darker by 7.5 %"),
        ("rotation", -0.35, "rotation -0.35 deg"),
        ("motion_blur", 4, "motion blur 4 px"),
        ("jpeg", 60, "jpeg 60 below quality 100"),
    ],
)
def test_a_strength_is_said_in_words_of_the_factory(row: str, strength: float, words: str) -> None:
    assert CORRUPTIONS[row].words(strength) == words


def test_strengths_end_beyond_the_strongest_step() -> None:
    row = Strengths("px", (1, 2, 3, 4, 5))
    assert list(row) == [1, 2, 3, 4, 5, 7.5]
    assert [amount(value, "px") for value in (123.4, 12.0, 1.25, 0.05)] == ["123 px", "12 px", "1.2 px", "0.05 px"]


@pytest.mark.parametrize(
    ("picture", "strength", "text"),
    [
        (FLAT.astype(np.float32), 1.0, "uint8 or uint16"),
        (np.zeros((4, 4, 4), np.uint8), 1.0, "1 or 3 channels, not 4"),
        (np.zeros((0, 4), np.uint8), 1.0, r"not uint8 \(0, 4\)"),
        (FLAT, -1.0, "a number of px from 0, not -1.0"),
        (FLAT, math.nan, "not nan"),
    ],
)
def test_what_a_corruption_does_not_know_is_refused(picture: Any, strength: float, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        CORRUPTIONS["defocus"].apply(picture, strength, rng())
