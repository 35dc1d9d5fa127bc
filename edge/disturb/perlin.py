"""Perlin noise: smooth, shapeless fields of a chosen grain, whose parts above a level are shapeless regions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def perlin(rng: np.random.Generator, size: tuple[int, int], grain: float) -> NDArray[np.float32]:
    """Return gradient noise, float32 (H, W), with a mean near 0 and values within about 0.7 of it.

    ``size``: width and height. ``grain``: px from one gradient to the next, at least 2. Perlin, "Improving noise", 2002.
    """
    width, height = size
    xs, ys = ((np.arange(side, dtype=np.float32) + 0.5) / np.float32(max(2.0, grain)) for side in (width, height))
    turn = rng.uniform(0, 2 * math.pi, (int(ys[-1]) + 2, int(xs[-1]) + 2)).astype(np.float32)
    gx, gy = np.cos(turn), np.sin(turn)
    x0, y0 = xs.astype(np.intp), ys.astype(np.intp)
    fx, fy = xs - x0, ys - y0
    weight_x, weight_y = _fade(fx)[None, :], _fade(fy)[:, None]

    def corner(down: int, right: int) -> NDArray[np.float32]:
        at = np.ix_(y0 + down, x0 + right)
        return np.asarray(gx[at] * (fx - right)[None, :] + gy[at] * (fy - down)[:, None])

    above = corner(0, 0) * (1 - weight_x) + corner(0, 1) * weight_x
    below = corner(1, 0) * (1 - weight_x) + corner(1, 1) * weight_x
    return np.asarray(above * (1 - weight_y) + below * weight_y, np.float32)


def _fade(share: NDArray[np.float32]) -> NDArray[np.float32]:
    """0 at 0, 1 at 1, with slope and bend 0 at both."""
    return share**3 * (share * (share * 6 - 15) + 10)
