"""What the meter compares frames with: the reference picture, where the part is, and the places for edges and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_PX: Final = 192
"""Longer side of the shrunken picture on which everything but edges and noise is measured."""
PATCH_PX: Final = 24
"""Side of a square of the frame itself, in which edges or noise are measured."""
DIRECTIONS: Final = 4
"""Edges are measured where they rise across, down, down-right and down-left."""


@dataclass(frozen=True, slots=True)
class Template:
    """``size``: width and height of the line's frames. ``fixed``: parts lie in one pose, up to what a registration undoes;
    otherwise (textures, parts anywhere) frames are compared with the reference as a whole.

    ``picture``: float32 (h, w), the shrunken reference in levels of 0 to 255. ``usual``: float32 (h, w), by how much a
    pixel differs from it after registration. ``counted``, ``on_part``: bool (h, w), what is measured, and where the part
    is. ``texture``: standard deviation of the reference's fine structure.

    ``edges``: int32 (4, n, 2), corners in px of the frame of the patches for each direction, and ``edges_usual`` float64
    (4, n) the logarithm of what they have. ``flats``, ``flats_usual``: (n, 2) and (n,), the same for noise.
    """

    size: tuple[int, int]
    fixed: bool
    picture: NDArray[np.float32]
    usual: NDArray[np.float32]
    counted: NDArray[np.bool_]
    on_part: NDArray[np.bool_]
    texture: float
    edges: NDArray[np.int32]
    edges_usual: NDArray[np.float64]
    flats: NDArray[np.int32]
    flats_usual: NDArray[np.float64]


def work_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the shrunken picture of frames of this size."""
    share = min(1.0, WORK_PX / max(size))
    return max(16, round(size[0] * share)), max(16, round(size[1] * share))


def shrunken(pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> NDArray[np.uint8]:
    """The frame in grey, uint8, at the working size."""
    size = work_size((pixels.shape[1], pixels.shape[0]))
    # by a whole number first: OpenCV does that four times faster, and the mean of means is the mean
    for factor in (8, 4, 2):
        width, height = pixels.shape[1] // factor, pixels.shape[0] // factor
        if width >= size[0] and pixels.shape[:2] == (height * factor, width * factor):
            pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            break
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if small.ndim == 3:
        small = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    if bits > 8:
        small = cv2.convertScaleAbs(small, alpha=255 / (2**bits - 1))
    return np.asarray(small, np.uint8)


def patches(
    pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, corners: NDArray[np.int32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Grey patches float32 (n, PATCH_PX, PATCH_PX) in levels of 0 to 255 at these corners (n, 2), and which of them lie
    inside the frame; the others are zeros.
    """
    height, width = pixels.shape[:2]
    inside = (corners >= 0).all(axis=1) & (corners[:, 0] <= width - PATCH_PX) & (corners[:, 1] <= height - PATCH_PX)
    out = np.zeros((len(corners), PATCH_PX, PATCH_PX), np.float32)
    for number in np.flatnonzero(inside):
        x, y = corners[number]
        part = pixels[y : y + PATCH_PX, x : x + PATCH_PX]
        out[number] = part if part.ndim == 2 else cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY)
    if bits > 8:
        out *= np.float32(255 / (2**bits - 1))
    return out, inside


def edge_heights(patch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the root mean square slope of patches (4, n, side, side), (4, n): of the first n across, and so on."""
    heights = []
    for direction, group in enumerate(patch):
        if direction == 0:
            slope = group[:, :, 2:] - group[:, :, :-2]
        elif direction == 1:
            slope = group[:, 2:] - group[:, :-2]
        elif direction == 2:
            slope = (group[:, 2:, 2:] - group[:, :-2, :-2]) * np.float32(0.5**0.5)
        else:
            slope = (group[:, :-2, 2:] - group[:, 2:, :-2]) * np.float32(0.5**0.5)
        flat = slope.reshape(len(group), -1)
        heights.append(0.5 * np.log(np.einsum("ni,ni->n", flat, flat) / max(1, flat.shape[1]) + 0.01))
    return np.asarray(heights, np.float64)


def noise_heights(patch: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logarithm of the standard deviation of the noise in patches (n, side, side): the spread of Immerkaer's mask ("Fast
    Noise Variance Estimation", CVIU 1996), which planes and straight edges don't move.
    """
    rows = patch[:, :-2] - 2 * patch[:, 1:-1] + patch[:, 2:]
    bent = rows[:, :, :-2] - 2 * rows[:, :, 1:-1] + rows[:, :, 2:]
    size = np.sqrt(np.mean(np.square(bent.reshape(len(bent), -1)), axis=1)) / 6
    return np.asarray(np.log(np.hypot(size, 0.1)), np.float64)
