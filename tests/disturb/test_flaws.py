"""Pasted defects have the kind, place, size and contrast that was asked for, and change nothing else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from edge.disturb.flaws import KINDS, between_pixels, paste, spot, transplant


def picture(level: int = 100, channels: int = 1) -> Any:
    return np.full((64, 80, channels), level, np.uint8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [4, 8, 12])
def test_every_kind_has_the_size_and_the_contrast(kind: str, size: int) -> None:
    changed = picture()
    footprint = paste(changed, KINDS[kind](np.random.default_rng(3), 40.3, 30.7, size), 0.2)
    assert footprint is not None
    x0, y0, x1, y1 = footprint.box
    longest = 2 * size if kind in ("scratch", "crack") else size
    assert max(x1 - x0, y1 - y0) <= 1.4 * longest + 3
    assert max(x1 - x0, y1 - y0) >= 0.4 * longest
    assert abs((x0 + x1) / 2 - 40.3) < longest / 2 + 1
    inside = footprint.whole(80, 64)
    difference = np.abs(changed[:, :, 0].astype(float) - 100)
    assert difference[inside].mean() == pytest.approx(20, abs=1.5)
    far = np.ones_like(inside)
    far[max(0, y0 - 16) : y1 + 16, max(0, x0 - 16) : x1 + 16] = False
    assert not difference[far].any()


def test_colours_change_by_the_same_share() -> None:
    changed = picture(channels=3)
    changed[:] = (50, 100, 200)
    footprint = paste(changed, spot(np.random.default_rng(0), 40, 30, 6), 0.3)
    assert footprint is not None
    middle = changed[30, 40].astype(float) / (50, 100, 200)
    assert middle == pytest.approx([middle[0]] * 3, abs=0.02)
    assert abs(middle[0] - 1) > 0.25


def test_outside_the_picture_nothing_changes() -> None:
    changed = picture()
    assert paste(changed, spot(np.random.default_rng(0), 500, 500, 6), 0.3) is None
    assert (changed == 100).all()


def test_the_same_generator_gives_the_same_defect() -> None:
    a, b = (KINDS["crack"](np.random.default_rng(5), 30, 30, 10) for _ in range(2))
    assert np.array_equal(a.shape, b.shape)


def test_a_defect_is_transplanted_as_it_was() -> None:
    good = np.full((40, 40), 120, np.uint8)
    bad, mask = good.copy(), np.zeros((40, 40), np.uint8)
    bad[10:14, 20:26] = 60
    mask[10:14, 20:26] = 255
    flaw, contrast = transplant(bad, good, mask, 40, 30)
    assert contrast == 60
    changed = picture(120)
    footprint = paste(changed, flaw, contrast / 120)
    assert footprint is not None
    assert footprint.box == (37, 28, 43, 32)
    assert (changed[28:32, 37:43, 0] == 60).all()
    with pytest.raises(ValueError, match="the mask marks no pixel"):
        transplant(bad, good, np.zeros_like(mask), 40, 30)


def test_a_flaw_between_pixels_is_the_picture_of_it_moved_by_linear_interpolation() -> None:
    plain = np.zeros((40, 40, 1), np.uint8)
    dent = KINDS["dent"](np.random.default_rng(2), 20.0, 20.0, 4.0)
    moved, share = between_pixels(dent, 0.5, 0.25)
    whole = np.zeros(plain.shape[:2], np.float32)
    h, w = dent.shape.shape
    whole[dent.y0 : dent.y0 + h, dent.x0 : dent.x0 + w] = dent.shape
    expected = cv2.warpAffine(whole, np.array([[1, 0, 0.5], [0, 1, 0.25]]), (40, 40), flags=cv2.INTER_LINEAR)
    found = np.zeros_like(whole)
    h, w = moved.shape.shape
    found[moved.y0 : moved.y0 + h, moved.x0 : moved.x0 + w] = moved.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0.5 < share < 0.8, "a dent of 4 px changes from bright to dark within 2 px"
    assert between_pixels(spot(np.random.default_rng(0), 20, 20, 6), 0.5, 0.25)[1] > 0.9
    assert between_pixels(dent, 0.0, 0.0)[1] == pytest.approx(1.0)
