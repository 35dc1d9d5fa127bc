"""A watch whose statistics are read off tiny frames, and frames of a line before, in and after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.drift.floors import FLOORS
from edge.drift.ladder import PlaceLimits
from edge.drift.monitor import DriftMonitor
from edge.drift.reference import make_reference
from edge.drift.signatures import Library, Signatures
from edge.drift.statistics import INDEX, NAMES
from edge.frames import Frame
from edge.line.drift_watch import DriftWatch
from support.records import META

SIDE = 32
BLOCK = 10
USUAL = 100


def picture(k: int, *, level: float = USUAL, clipped: bool = False) -> NDArray[np.uint8]:
    """Frame ``k``: its noise depends on ``k`` alone; ``clipped`` cuts a quarter of it off at white."""
    rng = np.random.default_rng(k)
    pixels = (level + rng.normal(0, 2, (SIDE, SIDE)) + rng.normal(0, 0.5)).clip(0, 200).astype(np.uint8)
    if clipped:
        pixels[: SIDE // 2, : SIDE // 2] = 255
    return pixels


def statistics(frame: Frame) -> NDArray[np.float64]:
    """The light and the share that is cut off; all else is noise of the frame's own."""
    rng = np.random.default_rng(int(frame.pixels[-1].sum()))
    values: NDArray[np.float64] = rng.standard_normal(len(NAMES)) * FLOORS
    values[INDEX["log_gain"]] = np.log(frame.pixels[SIDE // 2 :].mean() / USUAL)
    values[INDEX["clipped"]] = np.mean(frame.pixels == 255)
    return values


def framed(pixels: NDArray[np.uint8]) -> Frame:
    """A frame of these pixels without a history."""
    return Frame(META, pixels)


def watch(key: str = "a", measure: Any = statistics, **changes: Any) -> DriftWatch:
    """A watch of blocks of ten that measures every second frame, and knows brightness alone."""
    usual = np.array([statistics(framed(picture(1000 + k))) for k in range(200)])
    gains = np.geomspace(5, 200, 40).astype(np.float32)
    rows = np.zeros((len(gains), len(NAMES)), np.float32)
    rows[:, INDEX["log_gain"]] = gains
    library = Library(Signatures(("brightness",), rows, np.zeros(len(gains), np.int16), gains), 1.0)
    settings = {"every": 2, "persist": 2, **changes}
    monitor = DriftMonitor(make_reference([usual], block=BLOCK), library, PlaceLimits(16.0), **settings)
    return DriftWatch(monitor, measure, key)


def spells(*lengths: tuple[int, dict[str, Any]]) -> Sequence[NDArray[np.uint8]]:
    """Pictures of one spell after the other: how many, and what ``picture`` gets."""
    found: list[NDArray[np.uint8]] = []
    for count, kind in lengths:
        found += [picture(len(found) + k, **kind) for k in range(count)]
    return found
