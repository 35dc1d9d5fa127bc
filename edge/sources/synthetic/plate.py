"""The part that every preset shows: a machined plate with holes on a conveyor, and what is known of a defect on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

PartBox: TypeAlias = tuple[int, int, int, int]
DefectKind: TypeAlias = Literal["scratch", "stain", "dent", "chip", "spot", "smear"]
STRIPE: Final = 64
"""Rows worked on at a time, so that a stripe's floats stay in the cache."""


@dataclass(frozen=True, slots=True)
class Defect:
    """A planted defect. ``bbox_xyxy``: tight, x1 and y1 exclusive, of its pixels in the mask.

    ``contrast``: grey levels by which its pixels differ from the good part, on average, before noise and brightness.
    """

    kind: DefectKind
    bbox_xyxy: PartBox
    contrast: float


class Scene(Protocol):
    """A part, of which frames are made."""

    def render(
        self, index: int, defect_rate: float, out: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None
    ) -> tuple[Defect, ...]:
        """Draw frame ``index`` into ``out`` uint8 (H, W), and its defects into ``mask`` of the same shape, if given."""


class Plate:
    """Where the part is: distances in px to its rims, positive on its surface."""

    def __init__(self, height: int, width: int) -> None:
        unit = min(height, width)
        self.size = (height, width)
        self.centre = ((width - 1) / 2, (height - 1) / 2)
        self.half = (0.42 * width, 0.42 * height)
        self.corner = 0.06 * unit
        cx, cy = self.centre
        self.holes = [(cx, cy, 0.12 * unit)] + [
            (cx + sx * 0.32 * width, cy + sy * 0.32 * height, 0.035 * unit) for sx in (-1, 1) for sy in (-1, 1)
        ]
        step = max(1, unit // 128)
        ys, xs = np.mgrid[0:height:step, 0:width:step]
        self._places = np.stack((xs.ravel(), ys.ravel()), axis=1)
        self._depth = self.surface(xs, ys).ravel()

    def outline(self, xs: Any, ys: Any) -> Any:
        """Signed distance to the outer rim, positive inside. https://iquilezles.org/articles/distfunctions2d/"""
        qx = np.abs(xs - self.centre[0]) - self.half[0] + self.corner
        qy = np.abs(ys - self.centre[1]) - self.half[1] + self.corner
        outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
        return self.corner - outside - np.minimum(np.maximum(qx, qy), 0)

    def bores(self, xs: Any, ys: Any) -> Any:
        """Distance to the nearest hole's rim, negative in a hole."""
        nearest = np.float32(np.inf)
        for x, y, radius in self.holes:
            nearest = np.minimum(nearest, np.hypot(xs - x, ys - y) - radius)
        return nearest

    def surface(self, xs: Any, ys: Any) -> Any:
        return np.minimum(self.outline(xs, ys), self.bores(xs, ys))

    def on_the_surface(self, rng: np.random.Generator, clear_px: float) -> tuple[float, float]:
        """A place at least ``clear_px`` from every rim, or as far as there is."""
        good = np.flatnonzero(self._depth >= min(clear_px, float(self._depth.max())))
        x, y = self._places[good[rng.integers(len(good))]]
        return float(x), float(y)

    def on_the_rim(self, rng: np.random.Generator) -> tuple[float, float]:
        """A place on one of the straight outer rims."""
        along = rng.uniform(-0.7, 0.7)
        side = int(rng.integers(4))
        sign = 1 if side % 2 else -1
        if side < 2:
            return self.centre[0] + along * self.half[0], self.centre[1] + sign * self.half[1]
        return self.centre[0] + sign * self.half[0], self.centre[1] + along * self.half[1]


def plate_picture(plate: Plate, rng: np.random.Generator, margin: int) -> NDArray[np.uint8]:
    """The good part as it lies on the belt, uint8, ``margin`` wider on each side than the frame."""
    height, width = plate.size
    out = np.empty((height + 2 * margin, width + 2 * margin), np.uint8)
    unit = min(height, width)
    xs = np.arange(-margin, width + margin, dtype=np.float32)[None, :]
    light_x = 1.06 - 0.12 * xs / width
    for top in range(0, len(out), STRIPE):
        rows = min(STRIPE, len(out) - top)
        ys = np.arange(top - margin, top - margin + rows, dtype=np.float32)[:, None]
        outline, bores = plate.outline(xs, ys), plate.bores(xs, ys)
        belt = 50.0 + 3.0 * np.sin(ys * (40.0 / unit)) + rng.normal(0, 1.5, (rows, out.shape[1]))
        belt -= 14.0 * np.exp(-np.square(np.minimum(outline, 0) / (0.02 * unit)))  # the plate's shadow
        brushed = smeared(rng.normal(0, 14.0, (rows, out.shape[1] + 12)), 12)
        mill = 4.0 * np.sin(np.hypot(xs - plate.centre[0], ys - plate.centre[1]) * 0.35)
        metal = 150.0 + brushed + mill
        bevel = max(1.5, 0.008 * unit)
        metal += 34.0 * np.clip(1.5 - np.abs(np.minimum(outline, bores) - bevel) / bevel, 0, 1)
        covered = np.clip(outline + 0.5, 0, 1) * np.clip(bores + 0.5, 0, 1)
        scene = (belt + (metal - belt) * covered) * light_x * (1.04 - 0.08 * ys / height)
        out[top : top + rows] = np.rint(np.clip(scene, 0, 235)).astype(np.uint8)
    return out


def smeared(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Mean over ``length`` + 1 neighbours along the rows; the result is ``length`` narrower."""
    sums = np.cumsum(values, axis=1)
    sums[:, length + 1 :] -= sums[:, : -length - 1].copy()
    return sums[:, length:] / (length + 1)
