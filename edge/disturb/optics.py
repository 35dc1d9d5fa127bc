"""What lens, sensor and transport do to a picture.

Every function takes float32 (H, W, C) in shares of white, and a strength in its unit, and returns a new array.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np

from edge.disturb.light import Shares

_BAND_PX = 6
_DUST_PX = (3.0, 12.0)


def defocus(picture: Shares, sigma_px: float, _: np.random.Generator) -> Shares:
    """The lens is out of focus: a Gaussian blur of this standard deviation."""
    return _with_channels(cv2.GaussianBlur(picture, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101), picture)


def motion_blur(picture: Shares, length_px: float, rng: np.random.Generator) -> Shares:
    """The part moves by ``length_px`` during the exposure, in a straight line of any direction."""
    turn = rng.uniform(0, math.pi)
    reach = math.ceil(length_px / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = max(2, math.ceil(8 * length_px))
    for at in (np.arange(steps) + 0.5) / steps - 0.5:
        x, y = reach + at * length_px * math.cos(turn), reach + at * length_px * math.sin(turn)
        left, top = int(x), int(y)
        fx, fy = x - left, y - top
        kernel[top, left] += (1 - fx) * (1 - fy)
        kernel[top, left + 1] += fx * (1 - fy)
        kernel[top + 1, left] += (1 - fx) * fy
        kernel[top + 1, left + 1] += fx * fy
    return _with_channels(cv2.filter2D(picture, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101), picture)


def noise(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """The sensor adds Gaussian noise whose standard deviation is ``percent`` of white (1 % is 2.55 of 255)."""
    return picture + rng.standard_normal(picture.shape, np.float32) * np.float32(percent / 100)


def banding(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """Rows are brighter and darker in turn, by ``percent`` of white, as mains light and a rolling shutter make them."""
    rows = np.arange(picture.shape[0], dtype=np.float32)[:, None, None]
    wave = np.sin(rows * np.float32(2 * math.pi / (2 * _BAND_PX)) + np.float32(rng.uniform(0, 2 * math.pi)))
    return np.asarray(picture + np.float32(percent / 100) * wave)


def jpeg(picture: Shares, below_best: float, _: np.random.Generator) -> Shares:
    """The camera or a recorder compresses with the quality 100 - ``below_best``: blocks of 8 px."""
    levels = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    colour = levels.shape[2] == 3
    quality = int(np.clip(round(100 - below_best), 1, 100))
    stored = cv2.imencode(".jpg", levels[:, :, ::-1] if colour else levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = cv2.imdecode(stored, cv2.IMREAD_COLOR if colour else cv2.IMREAD_GRAYSCALE)
    assert read is not None, "OpenCV reads what it wrote"
    back = np.ascontiguousarray(read[:, :, ::-1]) if colour else read[:, :, None]
    return np.asarray(picture + (back.astype(np.float32) - levels) / np.float32(255), np.float32)


def dust(picture: Shares, percent: float, rng: np.random.Generator) -> Shares:
    """Eight soft specks on the sensor's glass or the lens take ``percent`` of the light that falls on them."""
    height, width = picture.shape[:2]
    shade = np.zeros((height, width), np.float32)
    for _ in range(8):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(*_DUST_PX)
        x0, x1 = max(0, math.floor(x - 3 * radius)), min(width, math.ceil(x + 3 * radius) + 1)
        y0, y1 = max(0, math.floor(y - 3 * radius)), min(height, math.ceil(y + 3 * radius) + 1)
        across = (np.arange(x0, x1, dtype=np.float32)[None, :] - np.float32(x)) / np.float32(radius)
        down = (np.arange(y0, y1, dtype=np.float32)[:, None] - np.float32(y)) / np.float32(radius)
        place = shade[y0:y1, x0:x1]
        np.maximum(place, np.exp(-(across**2 + down**2)), out=place)
    return picture * (1 - np.float32(percent / 100) * shade)[:, :, None]


def _with_channels(made: Any, picture: Shares) -> Shares:
    """OpenCV drops the axis of a single channel."""
    return np.asarray(made, np.float32).reshape(picture.shape)
