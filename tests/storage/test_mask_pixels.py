"""What was drawn is told from what a camera took by its values; in doubt it was taken, and is judged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.storage.frames_on_disk import count_frames, open_reel
from edge.storage.mask_pixels import is_drawn, is_drawn_picture

RNG = np.random.default_rng(0)


def mask(values: tuple[int, ...]) -> np.ndarray:
    found = np.zeros((64, 64), np.uint8)
    for number, value in enumerate(values):
        found[10 * number : 10 * number + 8, 10:30] = value
    return found


@pytest.mark.parametrize(
    ("picture", "drawn"),
    [
        (mask(()), True),
        (mask((255,)), True),
        (mask((1,)), True),
        (mask((40, 80, 255)), True),
        (np.dstack([mask((255,)), mask(()), mask(())]), True),
        (RNG.integers(0, 12, (64, 64), np.uint8), False),  # a dark frame: all values of its noise
        (RNG.integers(0, 256, (64, 64), np.uint8), False),
        (np.full((64, 64), 250, np.uint8) + RNG.integers(0, 5, (64, 64), np.uint8), False),
        (mask((1, 2, 3)), False),  # kinds of defect without gaps: it may be a dark frame
    ],
)
def test_few_values_with_gaps_are_a_mask(picture: np.ndarray, drawn: bool) -> None:
    if picture.min() > 200:
        picture[:8] = RNG.integers(86, 94, (8, 64))  # a bright part on a darker ground
    assert is_drawn_picture(picture) == drawn


def test_a_mask_that_was_saved_as_jpeg_is_one(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.jpg"), mask((255,)))
    assert is_drawn(tmp_path / "a.jpg")
    assert not is_drawn(tmp_path / "none.png")
    (tmp_path / "b.png").write_bytes(b"no picture")
    assert not is_drawn(tmp_path / "b.png")


def test_views_of_one_part_are_all_judged_and_masks_of_them_are_not(tmp_path: Path) -> None:
    for folder in ("cap", "label"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "0001.png"), RNG.integers(0, 256, (32, 32), np.uint8))
    assert count_frames(tmp_path) == 2
    (tmp_path / "labels").mkdir()
    cv2.imwrite(str(tmp_path / "labels" / "0001.png"), mask((255,)))
    reel = open_reel(tmp_path, 10.0)
    assert (reel.total, reel.masks) == (2, "1 picture: labels (1)")
