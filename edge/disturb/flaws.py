"""The shapes of defects: how much darker or brighter each pixel gets, before it is scaled to a contrast, and how they are
pasted into a picture of a good part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Flaw:
    """A patch whose corner lies at (x0, y0) of the frame, perhaps outside it.

    ``shape``: float32 (h, w), signed, in any scale. ``footprint``: bool (h, w), the pixels that count as the defect.
    """

    x0: int
    y0: int
    shape: NDArray[np.float32]
    footprint: NDArray[np.bool_]

    def within(self, width: int, height: int) -> tuple[int, int, NDArray[np.float32], NDArray[np.bool_]] | None:
        """Corner, shape and footprint of the part inside a frame; None if no defective pixel is."""
        h, w = self.shape.shape
        x0, y0, x1, y1 = max(self.x0, 0), max(self.y0, 0), min(self.x0 + w, width), min(self.y0 + h, height)
        if x1 <= x0 or y1 <= y0:
            return None
        part = (slice(y0 - self.y0, y1 - self.y0), slice(x0 - self.x0, x1 - self.x0))
        return (x0, y0, self.shape[part], self.footprint[part]) if self.footprint[part].any() else None


def stain(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """A dark blob with a soft, uneven rim; its footprint is where at least half of its darkness is reached."""
    x0, y0, xs, ys = _patch(cx, cy, 1.7 * radius + 1)
    angle = np.arctan2(ys - cy, xs - cx)
    first, second = rng.uniform(0, 2 * math.pi, 2)
    reach = radius * (1 + 0.22 * np.sin(2 * angle + first) + 0.12 * np.sin(3 * angle + second))
    depth = _smooth(1.5 - np.hypot(xs - cx, ys - cy) / reach)
    return Flaw(x0, y0, -depth.astype(np.float32), depth >= 0.5)


def dent(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """A hollow that one side of the light falls into: a bright and a dark half; its footprint is the disc."""
    x0, y0, xs, ys = _patch(cx, cy, radius + 1)
    turn = rng.uniform(0, 2 * math.pi)
    distance = np.hypot(xs - cx, ys - cy) / radius
    slope = ((xs - cx) * math.cos(turn) + (ys - cy) * math.sin(turn)) / radius
    shape = slope * np.clip(1 - distance**4, 0, 1)
    return Flaw(x0, y0, shape.astype(np.float32), distance <= 1)


def scratch(rng: np.random.Generator, cx: float, cy: float, length: float, half_width: float) -> Flaw:
    """A thin, slightly bent line, bright or dark; its footprint is ``half_width`` to both sides."""
    turn, bend = rng.uniform(0, math.pi), rng.uniform(-0.15, 0.15) * length
    sign = 1.0 if rng.random() < 0.5 else -1.0
    x0, y0, xs, ys = _patch(cx, cy, length / 2 + abs(bend) + 3 * half_width + 1)
    along = (xs - cx) * math.cos(turn) + (ys - cy) * math.sin(turn)
    across = (ys - cy) * math.cos(turn) - (xs - cx) * math.sin(turn)
    run = np.clip(along / (length / 2), -1, 1)
    distance = np.hypot(along - run * (length / 2), across - bend * (1 - run**2))
    shape = sign * np.exp(-0.7 * np.square(distance / half_width))
    return Flaw(x0, y0, shape.astype(np.float32), distance <= half_width)


def chip(cx: float, cy: float, radius: float, surface: Callable[[Any, Any], Any], dx: int, dy: int) -> Flaw:
    """Material broken off a rim: dark where a disc lies on the part, whose ``surface`` moved by dx, dy."""
    x0, y0, xs, ys = _patch(cx, cy, radius + 2)
    on_part = surface(xs - dx, ys - dy)
    depth = np.clip(radius + 0.5 - np.hypot(xs - cx, ys - cy), 0, 1) * np.clip(on_part + 0.5, 0, 1)
    return Flaw(x0, y0, -depth.astype(np.float32), depth >= 0.5)


def spot(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """A disc with a sharp rim, bright or dark: a pore, a splash; its footprint is the disc."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    x0, y0, xs, ys = _patch(cx, cy, radius + 1)
    depth = np.clip(radius + 0.5 - np.hypot(xs - cx, ys - cy), 0, 1)
    return Flaw(x0, y0, (sign * depth).astype(np.float32), depth >= 0.5)


def smear(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """A soft streak, twice as long as wide, bright or dark; its footprint is where half of its height is reached."""
    turn, sign = rng.uniform(0, math.pi), 1.0 if rng.random() < 0.5 else -1.0
    x0, y0, xs, ys = _patch(cx, cy, 2 * radius + 1)
    along = ((xs - cx) * math.cos(turn) + (ys - cy) * math.sin(turn)) / radius
    across = ((ys - cy) * math.cos(turn) - (xs - cx) * math.sin(turn)) / (radius / 2)
    height = np.exp(-math.log(2) * (along**2 + across**2))
    return Flaw(x0, y0, (sign * height).astype(np.float32), height >= 0.5)


def crack(rng: np.random.Generator, cx: float, cy: float, length: float, half_width: float) -> Flaw:
    """A dark line that changes its direction at every few px; its footprint is ``half_width`` to both sides."""
    pieces = max(2, round(length / 4))
    turns = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, 0.5, pieces))
    steps = np.stack((np.cos(turns), np.sin(turns)), axis=1) * (length / pieces)
    corners = np.vstack(([0, 0], np.cumsum(steps, axis=0)))
    corners += (cx, cy) - (corners.min(axis=0) + corners.max(axis=0)) / 2
    x0, y0, xs, ys = _patch(cx, cy, length / 2 + 3 * half_width + 2)
    distance = np.full(np.broadcast_shapes(xs.shape, ys.shape), np.inf)
    for (ax, ay), (bx, by) in pairwise(corners):
        run = np.clip(((xs - ax) * (bx - ax) + (ys - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
        distance = np.minimum(distance, np.hypot(xs - ax - run * (bx - ax), ys - ay - run * (by - ay)))
    return Flaw(x0, y0, -np.exp(-0.7 * np.square(distance / half_width)).astype(np.float32), distance <= half_width)


def uneven(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """A wide patch without edges, bright or dark, as of a finish that came out uneven; its footprint is its half height."""
    sign = 1.0 if rng.random() < 0.5 else -1.0
    x0, y0, xs, ys = _patch(cx, cy, 2 * radius + 1)
    height = np.exp(-math.log(2) * np.square(np.hypot(xs - cx, ys - cy) / radius))
    return Flaw(x0, y0, (sign * height).astype(np.float32), height >= 0.5)


def transplant(
    bad: NDArray[np.uint8], good: NDArray[np.uint8], mask: NDArray[np.uint8], cx: float, cy: float
) -> tuple[Flaw, float]:
    """A labelled defect as a flaw around (cx, cy), and its contrast in grey levels: what differs in ``bad`` from ``good``.

    All three (H, W), of the same place; ``mask`` is above 0 on the defect.

    Raises:
        ValueError: the mask is empty.
    """
    ys, xs = np.nonzero(mask)
    if not len(ys):
        raise ValueError("the mask marks no pixel")
    part = slice(int(ys.min()), int(ys.max()) + 1), slice(int(xs.min()), int(xs.max()) + 1)
    footprint = mask[part] > 0
    shape = np.where(footprint, bad[part].astype(np.float32) - good[part], 0).astype(np.float32)
    height, width = footprint.shape
    flaw = Flaw(round(cx - width / 2), round(cy - height / 2), shape, footprint)
    return flaw, float(np.abs(shape[footprint]).mean())


def between_pixels(flaw: Flaw, right: float, down: float) -> tuple[Flaw, float]:
    """The flaw as linear interpolation shows it, moved by 0 to 1 px to the right and down, and its contrast as a share of
    what it was: a registration interpolates every frame, and takes a part of what is only a px or two wide.
    """
    height, width = flaw.shape.shape
    shape = np.zeros((height + 1, width + 1), flaw.shape.dtype)  # np.pad took most of this function's time
    shape[:-1, :-1] = flaw.shape
    shape[:, 1:] = (1 - right) * shape[:, 1:] + right * shape[:, :-1]
    shape[:, 0] *= 1 - right
    shape[1:] = (1 - down) * shape[1:] + down * shape[:-1]
    shape[0] *= 1 - down
    footprint = np.zeros(shape.shape, np.bool_)
    footprint[:-1, :-1] = flaw.footprint
    before = np.abs(flaw.shape[flaw.footprint]).mean()
    return Flaw(flaw.x0, flaw.y0, shape, footprint), float(np.abs(shape[footprint]).mean() / before)


FlawMaker: TypeAlias = Callable[[np.random.Generator, float, float, float], Flaw]
KINDS: Final[dict[str, FlawMaker]] = {
    "spot": lambda rng, x, y, size: spot(rng, x, y, size / 2),
    "stain": lambda rng, x, y, size: stain(rng, x, y, size / 2),
    "scratch": lambda rng, x, y, size: scratch(rng, x, y, 2 * size, max(0.9, size / 12)),
    "crack": lambda rng, x, y, size: crack(rng, x, y, 2 * size, max(0.9, size / 12)),
    "smear": lambda rng, x, y, size: smear(rng, x, y, size / 2),
    "dent": lambda rng, x, y, size: dent(rng, x, y, size / 2),
}
"""Makers of the kinds by their names: ``(rng, cx, cy, size_px)``. The size is a blob's width; lines are twice as long."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """The pixels of a pasted defect: ``mask``, bool (h, w), whose corner lies at (x0, y0) of the picture."""

    x0: int
    y0: int
    mask: NDArray[np.bool_]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """x0, y0, x1, y1; tight, x1 and y1 exclusive."""
        ys, xs = np.nonzero(self.mask)
        x0, y0 = self.x0, self.y0
        return x0 + int(xs.min()), y0 + int(ys.min()), x0 + int(xs.max()) + 1, y0 + int(ys.max()) + 1

    def whole(self, width: int, height: int) -> NDArray[np.bool_]:
        """The mask of a picture of this size."""
        out = np.zeros((height, width), np.bool_)
        out[self.y0 : self.y0 + self.mask.shape[0], self.x0 : self.x0 + self.mask.shape[1]] = self.mask
        return out


def paste(picture: NDArray[np.uint8], flaw: Flaw, contrast: float, level: Any = None) -> Footprint | None:
    """Draw the flaw into ``picture``, uint8 (H, W, C), in place; all channels change by the same share.

    ``contrast``: by which share of ``level`` (one for each channel; None: the level that is there) the footprint's pixels
    change, on average. Returns None, and changes nothing, if the footprint lies outside the picture.
    """
    height, width = picture.shape[:2]
    clipped = flaw.within(width, height)
    if clipped is None:
        return None
    x0, y0, shape, footprint = clipped
    place = slice(y0, y0 + shape.shape[0]), slice(x0, x0 + shape.shape[1])
    before = picture[place].astype(np.float32)
    level = before[footprint].mean(axis=0) if level is None else level
    step = shape[:, :, None] * (contrast * level / np.abs(shape[footprint]).mean())
    picture[place] = np.rint(np.clip(before + step, 0, 255)).astype(np.uint8)
    return Footprint(x0, y0, footprint)


def _patch(cx: float, cy: float, reach: float) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
    x0, y0 = math.floor(cx - reach), math.floor(cy - reach)
    xs = np.arange(x0, math.ceil(cx + reach) + 1, dtype=np.float64)[None, :]
    ys = np.arange(y0, math.ceil(cy + reach) + 1, dtype=np.float64)[:, None]
    return x0, y0, xs, ys


def _smooth(value: Any) -> Any:
    """0 below 0, 1 above 1, and level at both ends."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)
