"""Parts are generated: a machined plate with holes on a conveyor, and planted defects of known place, size and contrast.

Everything follows from (preset, seed, size, index): frame k is the same bytes whenever and in whatever order it is made.
Two frames that differ in ``defect_rate`` alone differ in the defects alone. 512x512 takes 0.45 ms, ``pinned`` 25.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.sources import SyntheticConfig
from edge.disturb.flaws import Flaw, chip, dent, scratch, stain
from edge.sources.synthetic.plate import STRIPE, Defect, DefectKind, PartBox, Plate, Scene, plate_picture, smeared
from edge.sources.synthetic.posed import PosedScene

Preset: TypeAlias = Literal["easy", "medium", "hard", "pinned"]


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


PRESETS: Final[dict[Preset, _Difficulty | None]] = {
    "easy": _Difficulty(noise=1.5, grain=0.5, jitter_px=0, flicker=0.003, drift=0.0, contrast=(45.0, 80.0), size=1.0),
    "medium": _Difficulty(noise=2.5, grain=1.0, jitter_px=1, flicker=0.01, drift=0.0, contrast=(24.0, 38.0), size=0.8),
    "hard": _Difficulty(noise=3.5, grain=1.5, jitter_px=3, flicker=0.01, drift=0.06, contrast=(10.0, 18.0), size=0.6),
    "pinned": None,
}
"""``pinned`` is a scene of its own kind, in ``posed.py``."""
_DRIFT_FRAMES: Final = 400
"""Number of frames in which the brightness of ``hard`` swings up, down and back."""
_MARGIN: Final = 4
"""Template pixels around the frame, for the jitter."""
_BANK_ROWS: Final = 512


def synthetic_part(config: SyntheticConfig, index: int) -> SyntheticPart:
    """Make frame ``index`` (from 0) of the source that ``config`` describes, with its truth; new arrays at each call."""
    shape = (config.height, config.width)
    pixels, mask = np.empty(shape, np.uint8), np.zeros(shape, np.uint8)
    defects = part_scene(config.preset, config.seed, *shape).render(index, config.defect_rate, pixels, mask)
    return SyntheticPart(pixels, mask, defects)


@lru_cache(maxsize=2)
def part_scene(preset: Preset, seed: int, height: int, width: int) -> Scene:
    """The prepared scene; kept, since preparing takes as long as some 50 frames. Use it in one thread at a time."""
    return make_scene(preset, seed, height, width)


def make_scene(preset: Preset, seed: int, height: int, width: int) -> Scene:
    """A scene of this preset."""
    difficulty = PRESETS[preset]
    number = list(PRESETS).index(preset)
    if difficulty is None:
        return PosedScene(seed, number, height, width)
    return PartScene(difficulty, seed, number, height, width)


class PartScene:
    """A scene has the part's template and a bank of sensor noise, from which frames are put together."""

    def __init__(self, difficulty: _Difficulty, seed: int, number: int, height: int, width: int) -> None:
        """``number``: the preset's place among all, part of every seed."""
        self.difficulty = difficulty
        self._seed = (seed, number)
        self._shape = (height, width)
        rng = np.random.default_rng([*self._seed, height, width])
        self._plate = Plate(height, width)
        self._template = plate_picture(self._plate, rng, _MARGIN)
        self._bank = _noise_bank(rng, min(height, _BANK_ROWS) + STRIPE, width + STRIPE, self.difficulty)
        self._scene = np.empty(self._shape, np.uint8)
        self._stripe = np.empty((STRIPE, width), np.float32)

    def render(
        self, index: int, defect_rate: float, out: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None
    ) -> tuple[Defect, ...]:
        """Draw frame ``index`` into ``out`` uint8 (H, W), and its defects into ``mask`` of the same shape, if given."""
        hard = self.difficulty
        rng = np.random.default_rng([*self._seed, index])
        height, width = self._shape
        dx, dy = rng.integers(-hard.jitter_px, hard.jitter_px, 2, endpoint=True)
        gain = 1.0 + hard.flicker * rng.uniform(-1, 1) + hard.drift * math.sin(2 * math.pi * index / _DRIFT_FRAMES)
        stripes = -(-height // STRIPE)
        rows = rng.integers(0, len(self._bank) - STRIPE, stripes, endpoint=True)
        columns = rng.integers(0, STRIPE, stripes, endpoint=True)
        x, y = _MARGIN - dx, _MARGIN - dy
        np.copyto(self._scene, self._template[y : y + height, x : x + width])
        defective = rng.random() < defect_rate
        defects = self._plant(rng, int(dx), int(dy), mask) if defective else ()
        for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
            part = slice(number * STRIPE, min((number + 1) * STRIPE, height))
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


def _noise_bank(rng: np.random.Generator, rows: int, columns: int, difficulty: _Difficulty) -> NDArray[np.float32]:
    """Make sensor noise, and grain that is drawn out along the rows, differing from part to part.

    Half a grey level is added, so that cutting off the fraction rounds.
    """
    bank = rng.normal(0, difficulty.noise, (rows, columns))
    bank += smeared(rng.normal(0, difficulty.grain * math.sqrt(8), (rows, columns + 8)), 8)
    return (bank + 0.5).astype(np.float32)


def _touch(box: PartBox, other: PartBox) -> bool:
    return box[0] <= other[2] + 1 and other[0] <= box[2] + 1 and box[1] <= other[3] + 1 and other[1] <= box[3] + 1
