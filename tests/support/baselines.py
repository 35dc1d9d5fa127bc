"""Frames of a line as arrays, and a drift baseline that takes a second to make."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.drift.baseline import Baseline, BaselineKey
from edge.drift.fit_template import fit_template
from edge.drift.floors import FLOORS
from edge.drift.ladder import PlaceLimits
from edge.drift.learn import learn, plan_signatures
from edge.drift.meter import Meter
from edge.drift.reference import make_reference
from edge.drift.statistics import NAMES
from edge.sources.synthetic.parts import make_scene

SIZE = 96


def part_frames(count: int, first: int = 0, *, size: int = SIZE, seed: int = 3) -> list[NDArray[np.uint8]]:
    """Good frames of the ``pinned`` preset."""
    scene, frames = make_scene("pinned", seed, size, size), []
    for number in range(count):
        frames.append(np.empty((size, size), np.uint8))
        scene.render(first + number, 0.0, frames[-1])
    return frames


def write_frames(folder: Path, frames: list[NDArray[np.uint8]]) -> Path:
    """A folder of pictures, ``00000.png`` first."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{number:05d}.png"), frame)
    return folder


def still(frames: int, seed: int = 0) -> NDArray[np.float64]:
    """Statistics of frames that vary by ten floors, without memory."""
    return np.random.default_rng(seed).standard_normal((frames, len(NAMES))) * 10 * FLOORS


def small_baseline(rows: int = 210, frames: int = 260) -> tuple[Baseline, Meter, list[NDArray[np.uint8]]]:
    """A baseline of small frames with few signatures, its meter, and the frames."""
    pictures = part_frames(frames)
    meter = Meter(fit_template(pictures[::11], 8))
    series = np.array([meter.measure(picture) for picture in pictures])
    signatures = learn(meter, pictures[::40], 8, make_reference([series]).sigma, plan_signatures(rows))
    key = BaselineKey("a" * 64, "tile-40", (SIZE, SIZE), "b" * 64)
    return (
        Baseline(key, meter.template, PlaceLimits(0.05 * SIZE), (series.astype(np.float32),), signatures),
        meter,
        pictures,
    )
