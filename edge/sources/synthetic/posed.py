"""The ``pinned`` preset: the same plate in a new place and light at each frame, as parts come on a real line.

Shift by fractions of a px (standard deviation 2 px), turn (0.3 degrees), brightness (8 % up or down), a light that falls
off to one side by up to 10 %, noise of 3 grey levels, and five kinds of defects of 4 to 12 px at 8 to 15 % contrast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edge.disturb.flaws import KINDS, Flaw
from edge.sources.synthetic.plate import Defect, DefectKind, PartBox, Plate, plate_picture

MARGIN: Final = 24
"""Px around the frame that shift and turn may bring into it."""
PINNED_KINDS: Final[tuple[DefectKind, ...]] = ("spot", "stain", "scratch", "smear", "dent")
_SHIFT_PX, _TURN_DEG, _GAIN, _GRADIENT, _NOISE = 2.0, 0.3, 0.08, 0.10, 3.0
_SIZE_PX, _CONTRAST = (4.0, 12.0), (0.08, 0.15)
_CLEAR_PX: Final = 14.0
_MOST_PX, _MOST_DEG = 8.0, 1.2
"""Rarer ones are cut to four standard deviations: no frame is beyond what a registration is made for."""


class PosedScene:
    """The part's template, from which frames are warped. Used by one thread at a time."""

    def __init__(self, seed: int, number: int, height: int, width: int) -> None:
        """``number``: the preset's place among all, part of every seed."""
        self._seed = (seed, number)
        self._shape = (height, width)
        self._plate = Plate(height, width)
        template = plate_picture(self._plate, np.random.default_rng([seed, number, height, width]), MARGIN)
        self._template = template.astype(np.float32)
        reach = max(height, width) / 2
        self._across = ((np.arange(width) - (width - 1) / 2) / reach).astype(np.float32)[None, :]
        self._down = ((np.arange(height) - (height - 1) / 2) / reach).astype(np.float32)[:, None]

    def render(
        self, index: int, defect_rate: float, out: NDArray[np.uint8], mask: NDArray[np.uint8] | None = None
    ) -> tuple[Defect, ...]:
        """Draw frame ``index`` into ``out`` uint8 (H, W), and its defects into ``mask`` of the same shape, if given."""
        rng = np.random.default_rng([*self._seed, index])
        matrix, light = self.matrix(index, rng), self._light(rng)
        noise = rng.normal(0, _NOISE, self._shape).astype(np.float32)
        scene = self._template
        flaws: list[tuple[DefectKind, Flaw]] = []
        if rng.random() < defect_rate:
            scene = scene.copy()
            for _ in range(1 + int(rng.random() < 0.25)):
                planted = self._plant(rng, scene, [flaw for _, flaw in flaws])
                flaws += [planted] if planted is not None else []
        good = self._warped(self._template, matrix)
        picture = self._warped(scene, matrix)
        defects = tuple(
            defect for kind, flaw in flaws if (defect := self._seen(kind, flaw, matrix, picture - good, mask)) is not None
        )
        picture *= light
        picture += noise
        np.copyto(out, np.rint(np.clip(picture, 0, 255)), casting="unsafe")
        return defects

    def matrix(self, index: int, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Where frame ``index`` shows the part: float64 (2, 3), from the plate's coordinates to the frame's."""
        rng = rng or np.random.default_rng([*self._seed, index])
        dx, dy = np.clip(rng.normal(0, _SHIFT_PX, 2), -_MOST_PX, _MOST_PX)
        turn = math.radians(float(np.clip(rng.normal(0, _TURN_DEG), -_MOST_DEG, _MOST_DEG)))
        cx, cy = (self._shape[1] - 1) / 2, (self._shape[0] - 1) / 2
        c, s = math.cos(turn), math.sin(turn)
        return np.array([[c, -s, cx + dx - c * cx + s * cy], [s, c, cy + dy - s * cx - c * cy]])

    def _light(self, rng: np.random.Generator) -> NDArray[np.float32]:
        gain, fall = 1 + rng.uniform(-_GAIN, _GAIN), rng.uniform(0, _GRADIENT)
        turn = rng.uniform(0, 2 * math.pi)
        slope = self._across * np.float32(math.cos(turn)) + self._down * np.float32(math.sin(turn))
        return np.asarray(gain * (1 + fall / 2 * slope), np.float32)

    def _warped(self, scene: Any, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """Interpolation by hand: before version 5 OpenCV rounds coordinates to 1/32 px, and a truth must be exact."""
        height, width = self._shape
        inverse = np.linalg.inv(np.vstack((matrix, [0, 0, 1])))
        xs, ys = np.arange(width)[None, :], np.arange(height)[:, None]
        x = inverse[0, 0] * xs + inverse[0, 1] * ys + inverse[0, 2] + MARGIN
        y = inverse[1, 0] * xs + inverse[1, 1] * ys + inverse[1, 2] + MARGIN
        x, y = np.clip(x, 0, scene.shape[1] - 1.001), np.clip(y, 0, scene.shape[0] - 1.001)
        left, top = x.astype(np.int32), y.astype(np.int32)
        fx, fy = (x - left).astype(np.float32), (y - top).astype(np.float32)
        flat, stride = scene.reshape(-1), scene.shape[1]
        corner = top * stride + left
        upper = flat[corner] * (1 - fx) + flat[corner + 1] * fx
        lower = flat[corner + stride] * (1 - fx) + flat[corner + stride + 1] * fx
        return np.asarray(upper * (1 - fy) + lower * fy, np.float32)

    def _plant(
        self, rng: np.random.Generator, scene: NDArray[np.float32], taken: Sequence[Flaw]
    ) -> tuple[DefectKind, Flaw] | None:
        """One defect, drawn into the template; None if it would touch another."""
        kind = PINNED_KINDS[rng.integers(len(PINNED_KINDS))]
        x, y = self._plate.on_the_surface(rng, _CLEAR_PX)
        size, contrast = rng.uniform(*_SIZE_PX), rng.uniform(*_CONTRAST)
        flaw = KINDS[kind](rng, x + MARGIN, y + MARGIN, size / 2 if kind == "scratch" else size)
        if any(_near(flaw, other) for other in taken):
            return None
        clipped = flaw.within(scene.shape[1], scene.shape[0])
        assert clipped is not None, "the plate's surface lies inside the template"
        x0, y0, shape, footprint = clipped
        place = slice(y0, y0 + shape.shape[0]), slice(x0, x0 + shape.shape[1])
        level = scene[place][footprint].mean()
        scene[place] += shape * np.float32(contrast * level / np.abs(shape[footprint]).mean())
        return kind, flaw

    def _seen(
        self,
        kind: DefectKind,
        flaw: Flaw,
        matrix: NDArray[np.float64],
        difference: NDArray[np.float32],
        mask: NDArray[np.uint8] | None,
    ) -> Defect | None:
        """The defect as the frame shows it; None if it lies outside."""
        footprint: Any = np.zeros_like(self._template)
        clipped = flaw.within(footprint.shape[1], footprint.shape[0])
        assert clipped is not None, "it was drawn there"
        x0, y0, _, part = clipped
        footprint[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
        here = self._warped(footprint, matrix) >= 0.5
        if not here.any():
            return None
        if mask is not None:
            mask[here] = 255
        ys, xs = np.nonzero(here)
        box: PartBox = (int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
        return Defect(kind, box, float(np.abs(difference[here]).mean()))


def _near(flaw: Flaw, other: Flaw) -> bool:
    """Whether less than 4 px lie between the patches."""
    return all(
        a < b + size_b + 4 and b < a + size_a + 4
        for a, size_a, b, size_b in (
            (flaw.x0, flaw.shape.shape[1], other.x0, other.shape.shape[1]),
            (flaw.y0, flaw.shape.shape[0], other.y0, other.shape.shape[0]),
        )
    )
