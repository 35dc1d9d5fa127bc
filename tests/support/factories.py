"""A fitted line of the ``pinned`` preset in small, and sets of the same line after something changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.config.bundle import Bundle
from edge.frames import Frame
from edge.models.fit.fit import FitRun, fit_to_bundle
from edge.models.fit.protocol import MethodOptions
from edge.models.sets.frame_set import FrameSet
from edge.models.sets.open import open_set
from edge.sources.synthetic.parts import part_scene
from edge.storage.frames_on_disk import read_frames
from support.sets import save

HEIGHT, WIDTH = 192, 224
"""Large enough that six defects are pasted into one copy of a frame."""


def parts(folder: Path, count: int, start: int, change: Callable[[Any], Any] | None = None, rate: float = 0.0) -> Path:
    """``count`` frames from number ``start`` on as PNG files; with ``rate`` 1 only such with a defect."""
    scene = part_scene("pinned", 0, HEIGHT, WIDTH)
    pixels, made, index = np.empty((HEIGHT, WIDTH), np.uint8), 0, start
    while made < count:
        defects = scene.render(index, rate, pixels)
        index += 1
        if rate and not defects:
            continue
        save(folder / f"{start + made:05d}.png", pixels.copy() if change is None else change(pixels.copy()))
        made += 1
    return folder


def lab_bundle(root: Path, method: str = "residual", *, frames: int = 20, test: bool = True, **options: Any) -> Bundle:
    """A model of good frames of the unchanged line."""
    good = list(read_frames(parts(root / "fit", frames, 0)))
    return fit_to_bundle(
        good,
        root / "v1",
        method=method,
        pose="fixed",
        options=MethodOptions(**options),
        run=FitRun(test=test),
        source="lab",
    )


def factory_set(root: Path, change: Callable[[Any], Any] | None = None, *, count: int = 16, bad: int = 0) -> FrameSet:
    """Good frames of the changed line, ``bad`` of those to adapt by with a defect; a third to adapt by."""
    parts(root, count - bad, 5000, change)
    if bad:
        parts(root, bad, 7000, change, rate=1.0)
    source = open_set(root)
    adapt = {f.file for f in source.frames[: count // 3 - bad]} | {f.file for f in source.frames[count - bad :]}
    return source.with_frames(
        replace(frame, side="adapt" if frame.file in adapt else "calibrate") for frame in source.frames
    )


def frames_in(folder: Path) -> list[Frame]:
    return [frame for frame in read_frames(folder) if isinstance(frame, Frame)]
