"""A mask is painted by keys: every key does one thing to pixels that can be counted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edge.cli._frame_in_terminal import END, KeysOf
from edge.cli._mask_brush import MaskBrush, painted

DISC_1, DISC_2 = 5, 13
"""Pixels of a disc of radius 1 and of radius 2."""


def pressed(brush: MaskBrush, *keys: str) -> MaskBrush:
    assert all(brush.press(key) for key in keys)
    return brush


def test_the_brush_paints_where_it_is_and_no_farther_than_the_frame() -> None:
    brush = pressed(MaskBrush(40, 30), " ")
    assert brush.mask.sum() == DISC_1
    assert brush.mask[15, 20]
    brush = pressed(MaskBrush(40, 30), *"hhhk", "+", " ")
    assert np.argwhere(brush.mask).mean(axis=0).tolist() == [14, 17]
    assert brush.mask.sum() == DISC_2
    corner = pressed(MaskBrush(40, 30), *"H" * 20, *"K" * 20, " ")
    assert corner.at == (0, 0)
    assert corner.mask.sum() == 3


def test_arrows_are_the_letters_and_capitals_move_by_the_brushs_width() -> None:
    arrows = pressed(MaskBrush(40, 30), "\x1b[A", "\x1b[D", "\x1b[D")
    assert arrows.at == pressed(MaskBrush(40, 30), *"khh").at == (18, 14)
    assert pressed(MaskBrush(40, 30), "L", "J").at == (23, 18)


def test_a_brush_of_one_pixel_erases_one_and_undo_brings_it_back() -> None:
    brush = pressed(MaskBrush(40, 30), " ", *"---", "x")
    assert brush.radius == 0
    assert brush.mask.sum() == DISC_1 - 1
    assert pressed(brush, "u").mask.sum() == DISC_1
    assert pressed(brush, "u", "u").mask.sum() == 0


def test_an_outline_is_filled() -> None:
    brush = MaskBrush(40, 30)
    ring = [*"lllljjjjhhhhhhhhkkkkkkkklllllllljjjj"]
    pressed(brush, "-", *(key for step in ring for key in (step, " ")))
    outline = int(brush.mask.sum())
    assert outline < 60
    assert pressed(brush, "o").mask[11:20, 16:25].all()
    assert brush.mask.sum() > outline + 40


def test_zoom_shows_what_is_around_the_brush_with_mask_and_rim() -> None:
    pixels = np.full((64, 128), 100, np.uint8)
    brush = pressed(MaskBrush(128, 64), " ")
    whole = brush.view(pixels)
    assert whole.shape == (64, 128, 3)
    assert whole[0, 0].tolist() == [100, 100, 100]
    assert whole[32, 64].tolist() == [165, 65, 65]  # half red: it is in the mask
    assert whole[32, 65].tolist() == [40, 220, 90]
    near = pressed(brush, "z", "z", "z", "z").view(pixels)
    assert near.shape == (16, 32, 3)
    assert near[8, 16].tolist() == [165, 65, 65]
    assert pressed(brush, *"ZZZZZZ").view(pixels).shape == (64, 128, 3)


@pytest.mark.parametrize(
    ("keys", "expected"), [(" \n", DISC_1), (" q", None), ("\n", None), (" \x04", None), ("?x \r", DISC_1)]
)
def test_return_keeps_what_was_painted_and_anything_else_leaves_it(keys: str, expected: int | None) -> None:
    told: list[str] = []
    given = iter(keys)
    mask = painted(np.zeros((30, 40), np.uint8), lambda: next(given), lambda _brush, said: told.append(said))
    assert (None if mask is None else int(mask.sum())) == expected
    assert ("'?' is no key here" in " ".join(told)) == keys.startswith("?")


def test_a_terminals_arrow_is_one_key_and_its_end_is_ctrl_d() -> None:
    data = io.BytesIO("g\x1b[A\x1bOBä\x1b".encode())

    def take() -> bytes:
        return data.read(5)

    def read_all() -> Iterator[str]:
        keys: Any = KeysOf(take)
        while (key := keys.read()) != END:
            yield key

    assert list(read_all()) == ["g", "\x1b[A", "\x1b", "O", "B", "ä", "\x1b"]
