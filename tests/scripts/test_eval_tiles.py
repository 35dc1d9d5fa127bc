"""The evaluation on real parts splits by part, and says what a split that doesn't would gain."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import eval_tiles  # noqa: E402


def tiles(parts: int = 10, lightings: int = 3) -> list[eval_tiles.Tile]:
    """Good pictures of every part under some lightings; every other part also has defects."""
    pixels = np.zeros((8, 8, 1), np.uint8)
    good = [eval_tiles.Tile("good", part, pixels) for part in range(parts) for _ in range(lightings)]
    bad = [eval_tiles.Tile("crack", part, pixels) for part in range(0, parts, 2) for _ in range(lightings)]
    return good + bad


def write(folder: Path, parts: int = 6) -> Path:
    """Noisy stripes as good parts, a bright spot as the defect, each picture of a size of its own."""
    rng = np.random.default_rng(0)
    lines = ["file,kind,part,lighting"]
    for number in range(4 * parts):
        part, kind = number % parts, "good" if number < 3 * parts else "spot"
        width, height = 64 + 8 * part, 80
        picture = 110 + 25 * np.sin(np.arange(width) / 2 + part) + rng.normal(0, 4, (height, width))
        name = f"{number:02}.png"
        if kind == "spot":
            picture[30:42, 30:42] = 250
            mask = np.zeros((height, width), np.uint8)
            mask[30:42, 30:42] = 255
            (folder / "ground_truth" / "spot").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / "ground_truth" / "spot" / f"{number:02}_mask.png"), mask)
        cv2.imwrite(str(folder / name), np.clip(picture, 0, 255).astype(np.uint8))
        lines.append(f"{name},{kind},{part},0")
    (folder / "parts.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("seed", range(5))
def test_no_part_stands_on_both_sides_and_none_is_lost_but_defects_of_fitted_parts(seed: int) -> None:
    all_tiles = tiles()
    split = eval_tiles.by_part(all_tiles, seed)
    fitted_parts = {all_tiles[k].part for k in split.fitted}
    assert eval_tiles.parts_on_both_sides(all_tiles, split) == set()
    assert len(fitted_parts) == 6
    assert {all_tiles[k].kind for k in split.fitted} == {"good"}
    assert len(split.fitted) == 18
    left_out = set(range(len(all_tiles))) - set(split.fitted) - set(split.tested)
    assert all(all_tiles[k].kind == "crack" and all_tiles[k].part in fitted_parts for k in left_out)


def test_the_random_split_is_as_large_has_the_same_defects_and_leaks() -> None:
    all_tiles = tiles()
    split = eval_tiles.by_part(all_tiles, 0)
    random = eval_tiles.at_random(all_tiles, split, 0)
    assert len(random.fitted) == len(split.fitted)
    assert len(random.tested) == len(split.tested)
    assert eval_tiles.defects(all_tiles, random) == eval_tiles.defects(all_tiles, split)
    assert eval_tiles.parts_on_both_sides(all_tiles, random)
    assert not set(random.fitted) & set(random.tested)


def test_auroc_is_the_share_of_pairs_in_order() -> None:
    assert eval_tiles.auroc([3.0, 2.0], [1.0, 0.5]) == 1.0
    assert eval_tiles.auroc([3.0, 1.0, 0.0], [2.0, 1.0]) == (2 + 0.5 + 0) / 6
    assert eval_tiles.auroc([1.0], [1.0, 1.0]) == 0.5


def test_it_prints_its_check_and_both_splits_by_kind(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "eval_tiles.py"), str(write(tmp_path)), "--backbone", "gabor"]
    done = subprocess.run([*command, "--vectors", "100"], capture_output=True, text=True, check=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[0] == "24 pictures of 6 parts; the map's maximum is a picture's score"
    assert lines[1].startswith(
        "split 0: 12 good pictures fitted, 6 good and 2 defective tested, parts on both sides: 0; at "
    )
    assert lines[5] == "gabor: image AUROC, mean (lowest to highest) of 3 splits"
    assert lines[7].startswith("all        1.000 (1.000 to 1.000)   1.000 (1.000 to 1.000)   +0.000")
    assert lines[8].startswith("spot       1.000")


def test_pixel_figures_are_those_of_the_values_themselves() -> None:
    counts = eval_tiles.PixelCounts(0.0, 4.0)
    counts.add(np.array([[0.5, 1.5], [2.5, 3.5]], np.float32), np.array([[False, True], [False, True]]))
    assert counts.figures() == {"pixel_auroc": 0.75, "pixel_ap": pytest.approx((1 + 2 / 3) / 2)}


@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is not installed: scripts/test --all installs it")
def test_a_training_prints_memory_what_was_learned_and_both_by_kind(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "eval_tiles.py"), str(write(tmp_path)), "--method", "train"]
    command += ["--backbone", "gabor", "--vectors", "100", "--splits", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500)
    lines = done.stdout.splitlines()
    head = next(index for index, line in enumerate(lines) if line.startswith("split 0, by part:"))
    assert lines[head + 1].split() == ["kind", "memory", "learned", "fused"]
    rows = {line.split()[0]: [float(value) for value in line.split()[1:]] for line in lines[head + 2 : head + 4]}
    assert rows["all"] == rows["spot"]
    assert rows["spot"][0] == 1.0
    assert float(lines[head + 4].removeprefix("pixels: AUROC ").split(",")[0]) > 0.8


def test_a_folder_without_its_table_is_refused_in_words(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "eval_tiles.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert done.stderr == (
        f"{tmp_path}: no parts.csv\n  expected: the folder of the magnetic tiles, with parts.csv in it\n"
    )
