"""Planted defects have these shapes: how much darker or brighter each pixel gets, before it is scaled to a contrast."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Flaw:
    """A flaw is a patch whose corner lies at (x0, y0) of the frame, perhaps outside it.

    ``shape`` is float32 (h, w), signed, in any scale. ``footprint`` is bool (h, w), the pixels that count as the defect.
    """

    x0: int
    y0: int
    shape: NDArray[np.float32]
    footprint: NDArray[np.bool_]

    def within(self, width: int, height: int) -> tuple[int, int, NDArray[np.float32], NDArray[np.bool_]] | None:
        """Return corner, shape and footprint of the part inside a frame; None if no defective pixel is."""
        h, w = self.shape.shape
        x0, y0, x1, y1 = max(self.x0, 0), max(self.y0, 0), min(self.x0 + w, width), min(self.y0 + h, height)
        if x1 <= x0 or y1 <= y0:
            return None
        part = (slice(y0 - self.y0, y1 - self.y0), slice(x0 - self.x0, x1 - self.x0))
        return (x0, y0, self.shape[part], self.footprint[part]) if self.footprint[part].any() else None


def stain(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """Draw a dark blob with a soft, uneven rim; its footprint is where at least half of its darkness is reached."""
    x0, y0, xs, ys = _patch(cx, cy, 1.7 * radius + 1)
    angle = np.arctan2(ys - cy, xs - cx)
    first, second = rng.uniform(0, 2 * math.pi, 2)
    reach = radius * (1 + 0.22 * np.sin(2 * angle + first) + 0.12 * np.sin(3 * angle + second))
    depth = _smooth(1.5 - np.hypot(xs - cx, ys - cy) / reach)
    return Flaw(x0, y0, -depth.astype(np.float32), depth >= 0.5)


def dent(rng: np.random.Generator, cx: float, cy: float, radius: float) -> Flaw:
    """Draw a hollow that one side of the light falls into: a bright and a dark half; its footprint is the disc."""
    x0, y0, xs, ys = _patch(cx, cy, radius + 1)
    turn = rng.uniform(0, 2 * math.pi)
    distance = np.hypot(xs - cx, ys - cy) / radius
    slope = ((xs - cx) * math.cos(turn) + (ys - cy) * math.sin(turn)) / radius
    shape = slope * np.clip(1 - distance**4, 0, 1)
    return Flaw(x0, y0, shape.astype(np.float32), distance <= 1)


def scratch(rng: np.random.Generator, cx: float, cy: float, length: float, half_width: float) -> Flaw:
    """Draw a thin, slightly bent line, bright or dark; its footprint is ``half_width`` to both sides."""
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
    """Draw material broken off a rim: dark where a disc lies on the part, whose ``surface`` moved by dx, dy."""
    x0, y0, xs, ys = _patch(cx, cy, radius + 2)
    on_part = surface(xs - dx, ys - dy)
    depth = np.clip(radius + 0.5 - np.hypot(xs - cx, ys - cy), 0, 1) * np.clip(on_part + 0.5, 0, 1)
    return Flaw(x0, y0, -depth.astype(np.float32), depth >= 0.5)


def _patch(cx: float, cy: float, reach: float) -> tuple[int, int, NDArray[np.float64], NDArray[np.float64]]:
    x0, y0 = math.floor(cx - reach), math.floor(cy - reach)
    xs = np.arange(x0, math.ceil(cx + reach) + 1, dtype=np.float64)[None, :]
    ys = np.arange(y0, math.ceil(cy + reach) + 1, dtype=np.float64)[:, None]
    return x0, y0, xs, ys


def _smooth(value: Any) -> Any:
    """Return 0 below 0, 1 above 1, and a curve between that is level at both ends."""
    value = np.clip(value, 0, 1)
    return value * value * (3 - 2 * value)
