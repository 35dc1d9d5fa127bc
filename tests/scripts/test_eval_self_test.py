"""What a self-test promises is held to real defects by their masks: size, contrast and what is seen of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import eval_self_test  # noqa: E402
import eval_tiles  # noqa: E402

CELLS = {("spot", 12, 0.1): 0.2, ("spot", 12, 0.4): 0.8, ("spot", 48, 0.1): 0.5, ("spot", 48, 0.4): 1.0}


class Halved(eval_self_test.Model):
    """A model whose map is the picture's own levels, one px for two."""

    def scored(self, picture: Any) -> Any:
        return picture[::2, ::2, 0].astype(np.float32)


MODEL = Halved(session=None, cells=CELLS, threshold=150.0)  # type: ignore[arg-type]


def test_what_is_promised_is_what_the_nearest_cell_says() -> None:
    assert MODEL.promised("spot", 10.0, 0.12) == 0.2
    assert MODEL.promised("spot", 100.0, 0.3) == 1.0
    assert MODEL.promised("spot", 23.0, 0.0) == 0.2  # of two sizes the one that is fewer doublings away


def test_contrast_is_a_share_of_the_bright_level_and_another_defect_beside_it_is_no_ring() -> None:
    picture = np.full((60, 60, 1), 200, np.uint8)
    own, other = np.zeros((60, 60), bool), np.zeros((60, 60), bool)
    own[20:30, 20:30] = other[20:30, 31:36] = True
    picture[own], picture[other] = 150, 20
    assert eval_self_test.contrast_of(picture, own, own | other) == pytest.approx(0.25)
    assert eval_self_test.contrast_of(picture, np.ones((60, 60), bool), np.ones((60, 60), bool)) == 0.0


def test_each_part_of_a_mask_is_a_defect_and_seen_where_the_map_is_over_the_threshold(tmp_path: Path) -> None:
    picture, mask = np.full((80, 100, 1), 100, np.uint8), np.zeros((80, 100), np.uint8)
    mask[10:22, 10:22] = mask[50:62, 60:72] = 255
    mask[5, 90] = 255  # a speck
    picture[10:22, 10:22], picture[50:62, 60:72] = 160, 140
    folder = tmp_path / "ground_truth" / "blowhole"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "a_mask.png"), mask)
    tiles = [eval_tiles.Tile("good", 0, picture), eval_tiles.Tile("blowhole", 1, picture)]
    split = eval_tiles.Split(fitted=[0], tested=[1])
    names = [Path("good/x.png"), Path("blowhole/a.png")]
    found = list(eval_self_test.real_defects(MODEL, tiles, names, split, tmp_path, MODEL.threshold))
    assert [(row["kind"], row["seen"], row["promised"]) for row in found] == [
        ("blowhole", True, 0.8),
        ("blowhole", False, 0.8),
    ]
    assert [round(row["contrast"], 2) for row in found] == [0.6, 0.4]
    assert [round(row["size_px"], 1) for row in found] == [13.5, 13.5]
