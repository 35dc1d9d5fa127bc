"""Parts are generated: a machined plate with holes on a conveyor, and planted defects of known place, size and contrast.

Everything follows from (preset, seed, size, index): frame k is the same bytes whenever and in whatever order it is made.
Two frames that differ in ``defect_rate`` alone differ in the defects alone. 512x512 takes 0.45 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.sources import SyntheticConfig
from edge.sources.synthetic.flaws import Flaw, chip, dent, scratch, stain

PartBox: TypeAlias = tuple[int, int, int, int]
DefectKind: TypeAlias = Literal["scratch", "stain", "dent", "chip"]
Preset: TypeAlias = Literal["easy", "medium", "hard"]


@dataclass(frozen=True, slots=True)
class Defect:
    """A planted defect has ``bbox_xyxy``, the tight box of its pixels in the mask, x1 and y1 exclusive.

    ``contrast`` is in grey levels: how much its pixels differ from the good part, on average, before noise and brightness.
    """

    kind: DefectKind
    bbox_xyxy: PartBox
    contrast: float


@dataclass(frozen=True, slots=True)
class SyntheticPart:
    """A part is one frame and its truth. ``pixels`` uint8 (H, W); ``mask`` uint8 (H, W), 255 on defects."""

    pixels: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    defects: tuple[Defect, ...]


@dataclass(frozen=True, slots=True)
class _Difficulty:
    """Difficulty is given in grey levels, px, and shares of brightness; ``size`` scales the defects."""

    noise: float
    grain: float
    jitter_px: int
    flicker: float
    drift: float
    contrast: tuple[float, float]
    size: float


PRESETS: Final[dict[Preset, _Difficulty]] = {
    "easy": _Difficulty(noise=1.5, grain=0.5, jitter_px=0, flicker=0.003, drift=0.0, contrast=(45.0, 80.0), size=1.0),
    "medium": _Difficulty(noise=2.5, grain=1.0, jitter_px=1, flicker=0.01, drift=0.0, contrast=(24.0, 38.0), size=0.8),
    "hard": _Difficulty(noise=3.5, grain=1.5, jitter_px=3, flicker=0.01, drift=0.06, contrast=(10.0, 18.0), size=0.6),
}
_DRIFT_FRAMES: Final = 400
"""Number of frames in which the brightness of ``hard`` swings up, down and back."""
_MARGIN: Final = 4
"""Number of template pixels around the frame, for the jitter."""
_STRIPE: Final = 64
"""Number of rows worked on at a time, so that a stripe's floats stay in the cache."""
_BANK_ROWS: Final = 512


def synthetic_part(config: SyntheticConfig, index: int) -> SyntheticPart:
    """Make frame ``index`` (from 0) of the source that ``config`` describes, with its truth; new arrays at each call."""
    shape = (config.height, config.width)
    pixels, mask = np.empty(shape, np.uint8), np.zeros(shape, np.uint8)
    defects = part_scene(config.preset, config.seed, *shape).render(index, config.defect_rate, pixels, mask)
    return SyntheticPart(pixels, mask, defects)


@lru_cache(maxsize=2)
def part_scene(preset: Preset, seed: int, height: int, width: int) -> PartScene:
    """Return the prepared scene, which is kept because preparing takes as long as some 50 frames. Use it in one thread at a
    time.
    """
    return PartScene(preset, seed, height, width)


class PartScene:
    """A scene has the part's template and a bank of sensor noise, from which frames are put together."""

    def __init__(self, preset: Preset, seed: int, height: int, width: int) -> None:
        self.difficulty = PRESETS[preset]
        self._seed = (seed, list(PRESETS).index(preset))
        self._shape = (height, width)
        rng = np.random.default_rng([*self._seed, height, width])
        self._plate = _Plate(height, width)
        self._template = _template(self._plate, rng)
        self._bank = _noise_bank(rng, min(height, _BANK_ROWS) + _STRIPE, width + _STRIPE, self.difficulty)
        self._scene = np.empty(self._shape, np.uint8)
        self._stripe = np.empty((_STRIPE, width), np.float32)

    def render(
        self, index: int, defect_rate: float, out: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None
    ) -> tuple[Defect, ...]:
        """Draw frame ``index`` into ``out`` uint8 (H, W), and its defects into ``mask`` of the same shape, if given."""
        hard = self.difficulty
        rng = np.random.default_rng([*self._seed, index])
        height, width = self._shape
        dx, dy = rng.integers(-hard.jitter_px, hard.jitter_px, 2, endpoint=True)
        gain = 1.0 + hard.flicker * rng.uniform(-1, 1) + hard.drift * math.sin(2 * math.pi * index / _DRIFT_FRAMES)
        stripes = -(-height // _STRIPE)
        rows = rng.integers(0, len(self._bank) - _STRIPE, stripes, endpoint=True)
        columns = rng.integers(0, _STRIPE, stripes, endpoint=True)
        x, y = _MARGIN - dx, _MARGIN - dy
        np.copyto(self._scene, self._template[y : y + height, x : x + width])
        defective = rng.random() < defect_rate
        defects = self._plant(rng, int(dx), int(dy), mask) if defective else ()
        for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
            part = slice(number * _STRIPE, min((number + 1) * _STRIPE, height))
            lines = part.stop - part.start
            floats = self._stripe[:lines]
            np.multiply(self._scene[part], np.float32(gain), out=floats, dtype=np.float32)
            floats += self._bank[row : row + lines, column : column + width]
            np.maximum(floats, 0.0, out=floats)
            np.minimum(floats, 255.0, out=floats)
            np.copyto(out[part], floats, casting="unsafe")
        return defects

    def _plant(self, rng: np.random.Generator, dx: int, dy: int, mask: NDArray[np.uint8] | None) -> tuple[Defect, ...]:
        """Draw one or two defects that don't touch into the scene."""
        planted: list[Defect] = []
        for _ in range(1 + int(rng.random() < 0.25)):
            for _attempt in range(8):
                kind, flaw = self._flaw(rng, dx, dy)
                defect = self._draw(kind, flaw, rng, [d.bbox_xyxy for d in planted], mask)
                if defect is not None:
                    planted.append(defect)
                    break
        return tuple(planted)

    def _flaw(self, rng: np.random.Generator, dx: int, dy: int) -> tuple[DefectKind, Flaw]:
        kind: DefectKind = ("scratch", "stain", "dent", "chip")[rng.integers(4)]
        unit = self.difficulty.size * min(self._shape)
        if kind == "chip":
            radius = max(2.0, unit * rng.uniform(0.025, 0.045))
            cx, cy = self._plate.on_the_rim(rng)
            return kind, chip(cx + dx, cy + dy, radius, self._plate.surface, dx, dy)
        if kind == "scratch":
            length = max(4.0, unit * rng.uniform(0.08, 0.16))
            cx, cy = self._plate.on_the_surface(rng, length / 2 + 2)
            return kind, scratch(rng, cx + dx, cy + dy, length, max(0.9, unit * 0.003))
        radius = max(2.0, unit * rng.uniform(0.018, 0.04))
        cx, cy = self._plate.on_the_surface(rng, 1.4 * radius + 2)
        return kind, (stain if kind == "stain" else dent)(rng, cx + dx, cy + dy, radius)

    def _draw(
        self, kind: DefectKind, flaw: Flaw, rng: np.random.Generator, taken: list[PartBox], mask: NDArray[np.uint8] | None
    ) -> Defect | None:
        """Change the scene; return None, with nothing changed, if the defect touches another or lies outside the frame."""
        height, width = self._shape
        contrast = rng.uniform(*self.difficulty.contrast)
        clipped = flaw.within(width, height)
        if clipped is None:
            return None
        x0, y0, shape, footprint = clipped
        ys, xs = np.nonzero(footprint)
        box = (x0 + int(xs.min()), y0 + int(ys.min()), x0 + int(xs.max()) + 1, y0 + int(ys.max()) + 1)
        if any(_touch(box, other) for other in taken):
            return None
        place = (slice(y0, y0 + shape.shape[0]), slice(x0, x0 + shape.shape[1]))
        before = self._scene[place].astype(np.float32)
        after = np.rint(np.clip(before + shape * (contrast / np.abs(shape[footprint]).mean()), 0, 255))
        self._scene[place] = after.astype(np.uint8)
        if mask is not None:
            mask[place][footprint] = 255
        return Defect(kind, box, float(np.abs(after - before)[footprint].mean()))


class _Plate:
    """The plate says where the part is: distances in px to its rims, positive on its surface."""

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
        """Return the signed distance to the outer rim, positive inside. https://iquilezles.org/articles/distfunctions2d/"""
        qx = np.abs(xs - self.centre[0]) - self.half[0] + self.corner
        qy = np.abs(ys - self.centre[1]) - self.half[1] + self.corner
        outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
        return self.corner - outside - np.minimum(np.maximum(qx, qy), 0)

    def bores(self, xs: Any, ys: Any) -> Any:
        """Return the distance to the nearest hole's rim, negative in a hole."""
        nearest = np.float32(np.inf)
        for x, y, radius in self.holes:
            nearest = np.minimum(nearest, np.hypot(xs - x, ys - y) - radius)
        return nearest

    def surface(self, xs: Any, ys: Any) -> Any:
        return np.minimum(self.outline(xs, ys), self.bores(xs, ys))

    def on_the_surface(self, rng: np.random.Generator, clear_px: float) -> tuple[float, float]:
        """Return a place at least ``clear_px`` from every rim, or as far as there is."""
        good = np.flatnonzero(self._depth >= min(clear_px, float(self._depth.max())))
        x, y = self._places[good[rng.integers(len(good))]]
        return float(x), float(y)

    def on_the_rim(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return a place on one of the straight outer rims."""
        along = rng.uniform(-0.7, 0.7)
        side = int(rng.integers(4))
        sign = 1 if side % 2 else -1
        if side < 2:
            return self.centre[0] + along * self.half[0], self.centre[1] + sign * self.half[1]
        return self.centre[0] + sign * self.half[0], self.centre[1] + along * self.half[1]


def _template(plate: _Plate, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the good part as it lies on the belt, uint8, ``_MARGIN`` wider on each side than the frame."""
    height, width = plate.size
    out = np.empty((height + 2 * _MARGIN, width + 2 * _MARGIN), np.uint8)
    unit = min(height, width)
    xs = np.arange(-_MARGIN, width + _MARGIN, dtype=np.float32)[None, :]
    light_x = 1.06 - 0.12 * xs / width
    for top in range(0, len(out), _STRIPE):
        rows = min(_STRIPE, len(out) - top)
        ys = np.arange(top - _MARGIN, top - _MARGIN + rows, dtype=np.float32)[:, None]
        outline, bores = plate.outline(xs, ys), plate.bores(xs, ys)
        belt = 50.0 + 3.0 * np.sin(ys * (40.0 / unit)) + rng.normal(0, 1.5, (rows, out.shape[1]))
        belt -= 14.0 * np.exp(-np.square(np.minimum(outline, 0) / (0.02 * unit)))  # the plate's shadow
        brushed = _smear(rng.normal(0, 14.0, (rows, out.shape[1] + 12)), 12)
        mill = 4.0 * np.sin(np.hypot(xs - plate.centre[0], ys - plate.centre[1]) * 0.35)
        metal = 150.0 + brushed + mill
        bevel = max(1.5, 0.008 * unit)
        metal += 34.0 * np.clip(1.5 - np.abs(np.minimum(outline, bores) - bevel) / bevel, 0, 1)
        covered = np.clip(outline + 0.5, 0, 1) * np.clip(bores + 0.5, 0, 1)
        scene = (belt + (metal - belt) * covered) * light_x * (1.04 - 0.08 * ys / height)
        out[top : top + rows] = np.rint(np.clip(scene, 0, 235)).astype(np.uint8)
    return out


def _noise_bank(rng: np.random.Generator, rows: int, columns: int, difficulty: _Difficulty) -> NDArray[np.float32]:
    """Make sensor noise, and grain that is drawn out along the rows, differing from part to part.

    Half a grey level is added, so that cutting off the fraction rounds.
    """
    bank = rng.normal(0, difficulty.noise, (rows, columns))
    bank += _smear(rng.normal(0, difficulty.grain * math.sqrt(8), (rows, columns + 8)), 8)
    return (bank + 0.5).astype(np.float32)


def _smear(values: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Return the mean over ``length`` + 1 neighbours along the rows; the result is ``length`` narrower."""
    sums = np.cumsum(values, axis=1)
    sums[:, length + 1 :] -= sums[:, : -length - 1].copy()
    return sums[:, length:] / (length + 1)


def _touch(box: PartBox, other: PartBox) -> bool:
    return box[0] <= other[2] + 1 and other[0] <= box[2] + 1 and box[1] <= other[3] + 1 and other[1] <= box[3] + 1
