"""What light and exposure do to a picture.

Every function takes float32 (H, W, C) in shares of white, 0 to 1, and a strength in its unit, and returns a new array that
may reach beyond 0 and 1: the camera's clipping comes last, in ``corruptions.py``.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Shares: TypeAlias = NDArray[np.float32]
"""Pixels in shares of white: float32 (H, W, C)."""


def brightness(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The light, or the exposure, changes by ``percent``."""
    return picture * np.float32(max(0.0, 1 + percent / 100))


def offset(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """Stray light or a black level adds ``percent`` of white to every pixel."""
    return picture + np.float32(percent / 100)


def gradient(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The light falls off to one side: its ends along the longer side differ by ``percent`` of the middle's level."""
    return picture * (1 + np.float32(percent / 100) / 2 * _slope(picture, rng.uniform(0, 2 * math.pi)))


def shadow(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """A soft-edged shadow of a quarter to a half of the picture takes ``percent`` of the light."""
    turn, edge = rng.uniform(0, 2 * math.pi), rng.uniform(0.0, 0.5)
    softness = 0.15
    reach = np.clip((_slope(picture, turn) - np.float32(edge)) / np.float32(softness), -0.5, 0.5) + np.float32(0.5)
    return np.asarray(picture * (1 - np.float32(percent / 100) * reach))


def contrast(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """Levels move away from the picture's mean by ``percent``, or towards it: haze, a dirty lens."""
    mean = np.float32(picture.mean())
    return np.asarray(mean + (picture - mean) * np.float32(max(0.0, 1 + percent / 100)))


def gamma(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The exponent of the camera's curve grows by ``percent`` (darker middle tones), or is divided by as much."""
    exponent = 1 + abs(percent) / 100
    return np.power(np.clip(picture, 0, 1), np.float32(exponent if percent >= 0 else 1 / exponent))


def clipped(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The exposure rises until ``percent`` of the pixels reach white."""
    brightest = picture.max(axis=2)
    level = float(np.quantile(brightest, max(0.0, 1 - percent / 100), method="lower"))
    return picture * np.float32(max(1.0, 1 / max(level, 1e-6)))


def colour_cast(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The light gets warmer: red gains half of ``percent``, blue loses as much. A grey picture stays as it is."""
    if picture.shape[2] != 3:
        return picture.copy()
    half = percent / 200
    return picture * np.array([1 + half, 1, 1 - half], np.float32)


def vignette(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The corners lose ``percent`` of their light, falling with the square of the distance from the middle."""
    height, width = picture.shape[:2]
    across, down = _axes(width), _axes(height)
    return picture * (1 - np.float32(percent / 200) * (across**2 + down.T**2))[:, :, None]


def flicker(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The brightness of each frame varies with a standard deviation of ``percent``."""
    return picture * np.float32(max(0.05, 1 + rng.normal(0, percent / 100)))


def surface_finish(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """Another surface: a texture of about 4 px whose standard deviation is ``percent`` of the level."""
    grain = cv2.GaussianBlur(rng.standard_normal(picture.shape[:2], np.float32), (0, 0), 2.0)
    return picture * (1 + np.float32(percent / 100) / np.float32(grain.std()) * grain)[:, :, None]


def _slope(picture: Shares, turn: float) -> Shares:
    """-1 to 1 along the direction ``turn``, (H, W, 1); 0 in the middle."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    across = _axes(width) * np.float32(math.cos(turn) * width / longer)
    down = _axes(height) * np.float32(math.sin(turn) * height / longer)
    return np.asarray((across + down.T)[:, :, None], np.float32)


def _axes(size: int) -> NDArray[np.float32]:
    """-1 to 1 along a side: float32 (1, size)."""
    return np.linspace(-1, 1, size, dtype=np.float32)[None, :]
