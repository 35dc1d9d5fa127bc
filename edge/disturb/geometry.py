"""What happens to the part's place, to its surroundings and to the part itself.

Every function takes float32 (H, W, C) in shares of white, and a strength in its unit, and returns a new array.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.disturb.light import Shares
from edge.disturb.optics import defocus

_BACKGROUND = (0.02, 0.95)
"""Least and most share of the picture that a background has."""
_COARSE: int = 192


def shift(picture: Shares, px: float, rng: np.random.Generator) -> Shares:
    """The part, or the camera, moves by ``px`` in any direction; what comes into view mirrors the rim."""
    turn = rng.uniform(0, 2 * math.pi)
    return _warped(picture, np.array([[1, 0, px * math.cos(turn)], [0, 1, px * math.sin(turn)]]))


def rotation(picture: Shares, degrees: float, _: np.random.Generator) -> Shares:
    """The part turns around the picture's middle, counter-clockwise as seen."""
    return _turned(picture, degrees, 1.0)


def scale(picture: Shares, percent: float, _: np.random.Generator) -> Shares:
    """The part looks ``percent`` larger, as a shorter distance to the camera makes it."""
    return _turned(picture, 0.0, 1 + percent / 100)


def occlusion(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """A thing of one grey (a hand, a cable, a loose sheet) reaches in from the rim and hides ``percent`` of the picture."""
    height, width = picture.shape[:2]
    side, along = rng.integers(4), rng.uniform(0.2, 0.8)
    x, y = ((along, 0.0), (along, 1.0), (0.0, along), (1.0, along))[side]
    squeeze, tone = rng.uniform(0.6, 1.6), rng.uniform(0.05, 0.9)

    def distances(rows: int, columns: int) -> NDArray[np.float32]:
        across = (np.linspace(0, 1, columns, dtype=np.float32)[None, :] - np.float32(x)) * np.float32(squeeze * width)
        down = (np.linspace(0, 1, rows, dtype=np.float32)[:, None] - np.float32(y)) * np.float32(height)
        return np.asarray(np.hypot(across, down))

    reach = np.quantile(distances(min(height, _COARSE), min(width, _COARSE)), min(1.0, percent / 100))
    hidden = np.clip(np.float32(reach) - distances(height, width) + np.float32(0.5), 0, 1)[:, :, None]
    return np.asarray(picture + (np.float32(tone) - picture) * hidden)


def background(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """What surrounds the part gets brighter by ``percent`` of white, with a pattern of half as much.

    A picture without surroundings (see ``surroundings``) stays as it is.
    """
    around = surroundings(picture)
    if around is None:
        return picture.copy()
    height, width = picture.shape[:2]
    coarse = rng.standard_normal((max(2, height // 16), max(2, width // 16)), np.float32)
    pattern = np.clip(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), -2, 2) / np.float32(4)
    change = np.float32(percent / 100) * (1 + pattern) * around
    return picture + change[:, :, None]


def surroundings(picture: Shares) -> NDArray[np.float32] | None:
    """How much each pixel belongs to an even ground that touches the rim: float32 (H, W), 0 to 1; None if none is found.

    The ground has the median level of the outermost 2 %, within 6 % of white or three times its spread.
    """
    height, width = picture.shape[:2]
    grey = picture.mean(axis=2)
    ring = max(1, min(height, width) // 50)
    rim = np.concatenate([grey[:ring].ravel(), grey[-ring:].ravel(), grey[:, :ring].ravel(), grey[:, -ring:].ravel()])
    level = np.median(rim)
    spread = 1.4826 * np.median(np.abs(rim - level))
    if spread > 0.08:  # the rim shows no even ground
        return None
    alike = (np.abs(cv2.GaussianBlur(grey, (0, 0), 1.0) - level) <= max(0.06, 3 * spread)).astype(np.uint8)
    labels = cv2.connectedComponents(alike, connectivity=4)[1]
    touching = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    member = np.zeros(int(labels.max()) + 1, np.float32)
    member[touching[touching > 0]] = 1
    mask = member[labels]
    if not _BACKGROUND[0] <= float(mask.mean()) <= _BACKGROUND[1]:
        return None
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0), np.float32)


def product(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """Another variant of the part: holes, rings and bars that the taught one lacks, over ``percent`` of the picture."""
    height, width = picture.shape[:2]
    changed = np.zeros((height, width), np.float32)
    across, down = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
    number = 4
    area = percent / 100 * height * width / number
    for _ in range(number):
        x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.15, 0.85) * height
        sign, kind = (1.0 if rng.random() < 0.5 else -1.0), rng.integers(3)
        if kind == 2:  # a bar, four times as long as wide
            turn, half = rng.uniform(0, math.pi), math.sqrt(area) / 4
            along = (across - x) * math.cos(turn) + (down - y) * math.sin(turn)
            over = (down - y) * math.cos(turn) - (across - x) * math.sin(turn)
            depth = np.minimum(4 * half - np.abs(along), half - np.abs(over)) + 0.5
        else:
            hole = 0.0 if kind == 0 else 0.6  # of a ring's radius
            radius = math.sqrt(area / math.pi / (1 - hole**2))
            distance = np.hypot(across - x, down - y)
            depth = np.minimum(radius - distance, distance - hole * radius if hole else radius) + 0.5
        changed += np.float32(sign) * np.clip(depth, 0, 1).astype(np.float32)
    level = np.float32(0.35 * picture.mean())
    return picture + (level * np.clip(changed, -1, 1))[:, :, None]


def _turned(picture: Shares, degrees: float, factor: float) -> Shares:
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, factor)
    smoothed = picture if factor >= 1 / 1.2 else defocus(picture, 0.4 / factor, np.random.default_rng(0))  # no aliasing
    return _warped(smoothed, matrix)


def _warped(picture: Shares, matrix: Any) -> Shares:
    """Cubic interpolation: linear would add a blur, which is another corruption."""
    height, width = picture.shape[:2]
    warped = cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.float32).reshape(picture.shape)
