"""Small sets of pictures in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.frames import Frame, FrameMeta
from edge.models.sets.frame_set import SetFrame
from edge.models.sets.manifest import LabelLine
from edge.storage.pictures import write_png

AT = "2026-01-02T03:04:05Z"


def picture(seed: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    """Noise that belongs to this seed alone, uint8 (H, W)."""
    return np.random.default_rng(seed).integers(0, 200, size).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, pixels)
    return path


def mvtec(
    root: Path, train: int = 4, good: int = 3, kinds: tuple[tuple[str, int], ...] = (("crack", 2), ("stain", 1))
) -> Path:
    """A folder in MVTec AD's layout; every defective picture has a mask of 3x4 px."""
    for index in range(train):
        save(root / "train" / "good" / f"{index:03d}.png", picture(index))
    for index in range(good):
        save(root / "test" / "good" / f"{index:03d}.png", picture(100 + index))
    for number, (kind, count) in enumerate(kinds):
        for index in range(count):
            pixels = picture(1000 * (number + 1) + index)
            mask = np.zeros_like(pixels)
            mask[5:8, 10:14] = 255
            pixels[5:8, 10:14] = 255
            save(root / "test" / kind / f"{index:03d}.png", pixels)
            save(root / "ground_truth" / kind / f"{index:03d}_mask.png", mask)
    return root


def vote(file: str, label: str = "good", by: str = "anna", **more) -> LabelLine:
    return LabelLine.model_validate({"file": file, "label": label, "by": by, "at": AT, **more}, strict=False)


def frame(file: str, label: str | None = "good", part: str | None = None, side: str | None = None, **tags: str) -> SetFrame:
    """A frame without a picture. ``label``: good, a kind of defect, or None."""
    if label is None:
        votes = ()
    elif label == "good":
        votes = (vote(file),)
    else:
        votes = (vote(file, "defect", defects=(label,)),)
    return SetFrame(file, part=part or file, tags=dict(tags), votes=votes, side=side)


def as_frame(pixels: np.ndarray) -> Frame:
    """A frame of 8 bits with these pixels."""
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8" if pixels.ndim == 2 else "RGB8", 0, 0), pixels, 8)
