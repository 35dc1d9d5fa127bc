"""What `tent` does for a head is counted on parts that had no part in it, at a threshold that stays."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.trainings import bundle_with_head, surface

pytest.importorskip("torch", reason="PyTorch is not installed: scripts/test --all installs it")

sys.path[:0] = [str(Path(__file__).parents[2] / "scripts")]

import eval_tent  # noqa: E402
from eval_tiles import GOOD, Tile, by_part  # noqa: E402


def test_no_part_adapts_freezes_the_threshold_or_is_tested_twice() -> None:
    pixels = np.zeros((8, 8, 1), np.uint8)
    kinds = (GOOD,) * 4
    tiles = [Tile(kind, part, pixels) for part in range(60) for kind in (*kinds, *(["crack"] if part % 2 else []))]
    for seed in range(3):
        split = by_part(tiles, seed)
        shares = eval_tent.shares_of(tiles, split, seed)
        parts = [{tiles[k].part for k in of} for of in (split.fitted, shares.adapted, shares.threshold, shares.tested)]
        assert sum(map(len, parts)) == len(set().union(*parts))
        assert len(shares.adapted) == eval_tent.ADAPTED
        assert {tiles[k].kind for k in (*shares.adapted, *shares.threshold)} == {GOOD}
        assert "crack" in {tiles[k].kind for k in shares.tested}


def test_all_rows_are_judged_by_one_threshold_and_the_memory_stays(tmp_path: Path) -> None:
    tiles = [Tile(GOOD if k < 18 else "blot", k, surface(700 + k)[:, :, None]) for k in range(24)]
    for tile in tiles[18:]:
        tile.pixels[30:54, 40:64] //= 3
    shares = eval_tent.Shares(list(range(6)), list(range(6, 12)), list(range(12, 24)))
    rows = eval_tent.tent_figures(bundle_with_head(tmp_path), tiles, shares, lambda picture: picture // 2)
    assert list(rows) == ["unchanged", "changed", "statistics", "statistics and entropy"]
    assert rows["unchanged"]["memory"]["recall"] == rows["unchanged"]["memory"]["auroc"] == 1.0
    assert rows["changed"]["memory"]["false_rejects"] == 1.0
    assert rows["statistics"]["memory"] == rows["statistics and entropy"]["memory"] == rows["changed"]["memory"]
    assert rows["statistics"]["head"] != rows["changed"]["head"]
