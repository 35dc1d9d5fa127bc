"""A fitted bundle and a set that it can be judged on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.sources.synthetic.parts import part_scene
from edge.storage.frames_on_disk import read_frames
from support.fits import pixel_bundle
from support.sets import save

SIDE = 96


def parts_folder(root: Path, *, good: int, bad: int, seed: int = 0, preset: str = "easy") -> Path:
    """Generated parts in MVTec AD's layout, without a train folder; kinds as planted."""
    scene = part_scene(preset, seed, SIDE, SIDE)
    pixels, mask = np.empty((SIDE, SIDE), np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for index in range(good):
        scene.render(1000 + index, 0.0, pixels)
        save(root / "test" / "good" / f"part{index:03d}_day{1 + index % 2}.png", pixels)
    index = made = 0
    while made < bad:
        mask[:] = 0
        defects = scene.render(index, 1.0, pixels, mask)
        index += 1
        if defects:
            name, kind = f"part{500 + made:03d}_day{1 + made % 2}", defects[0].kind
            save(root / "test" / kind / f"{name}.png", pixels)
            save(root / "ground_truth" / kind / f"{name}_mask.png", mask)
            made += 1
    return root


def fitted(root: Path, *, seed: int = 0, preset: str = "easy", frames: int = 30) -> Path:
    """The built-in model of good parts that stand in no set."""
    scene = part_scene(preset, seed, SIDE, SIDE)
    pixels = np.empty((SIDE, SIDE), np.uint8)
    for index in range(frames):
        scene.render(5000 + index, 0.0, pixels)
        save(root / "good" / f"{index:03d}.png", pixels)
    pixel_bundle(list(read_frames(root / "good")), root / "bundle", source="good parts")
    return root / "bundle"
