"""The meter takes the 19 statistics of a frame, after registration and gain, from a shrunken picture and a few patches.

Shrinking a 3 MP frame and the registration are most of the work. Defocus, motion and noise don't show on a shrunken
picture, so that edges and noise are measured on patches of the frame itself, which move with the part.
"""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.drift.statistics import INDEX, NAMES
from edge.drift.template import PATCH_PX, Template, edge_heights, noise_heights, patches, shrunken
from edge.preprocess.lucas_kanade import STILL, Aligner, Light, Similarity

ALIGN_PX: Final = 128
_CLIP_STEP: Final = 4
"""Every fourth pixel of every fourth row says how many are clipped."""
_CELLS: Final = 12
"""Cells along the longer side, in which the light is compared."""
_TAIL: Final = 0.005
_LEAST: Final = 0.3
"""Grey levels that are added to spreads before their logarithm is taken."""
_SMALLEST_GAIN: Final = 0.02
_LEAST_DISAGREEMENT: Final = 0.01


class Meter:
    """A template made ready. Used by one thread."""

    def __init__(self, template: Template) -> None:
        self.template = template
        height, width = template.picture.shape
        self._aligner = Aligner(np.rint(np.clip(template.picture, 0, 255)).astype(np.uint8), ALIGN_PX)
        self._px = template.size[0] / width, template.size[1] / height
        reach = max(width, height) / 2
        self._across = ((np.arange(width) - (width - 1) / 2) / reach).astype(np.float32)[None, :]
        self._down = ((np.arange(height) - (height - 1) / 2) / reach).astype(np.float32)[:, None]
        share = _CELLS / max(width, height)
        self._cells = max(2, round(width * share)), max(2, round(height * share))
        self._edge_corners = template.edges.reshape(-1, 2)

    def measure(self, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int = 8) -> NDArray[np.float64]:
        """The statistics (19,) of a frame, in the order of ``edge.drift.statistics.STATISTICS``; a new array.

        ``pixels``: uint8, or uint16 aligned to the low bit with ``bits``; (H, W) or (H, W, 3) RGB, of the template's size.
        """
        small = shrunken(pixels, bits)
        place, light, agreement = self.placed(small)
        out = np.zeros(len(NAMES))

        def put(**values: float) -> None:
            for name, value in values.items():
                out[INDEX[name]] = value

        turn, shift = place
        gain, offset, across, down = light.tolist()
        put(log_gain=math.log(max(gain, _SMALLEST_GAIN)), offset=offset, tilt_x=across / gain, tilt_y=down / gain)
        put(shift_x=shift.real * self._px[0], shift_y=shift.imag * self._px[1])
        put(rotation=math.degrees(math.atan2(turn.imag, turn.real)), scale=math.log(abs(turn)))
        put(clipped=clipped_share(pixels, bits), disagreement=math.log(max(1 - agreement, 0) + _LEAST_DISAGREEMENT))
        put(**self._fine(pixels, bits, place, light))
        put(**self._residuals(self.residual(small, place, light)))
        return out

    def noise_sigma(self, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> float:
        """Standard deviation of the frame's noise in its flat places, in levels of 0 to 255."""
        place, light, _ = self.placed(shrunken(pixels, bits))
        patch, inside = patches(pixels, bits, self.moved(self.template.flats, place, light)[0])
        return math.exp(_middle(noise_heights(patch)[inside]))

    def residual(self, small: NDArray[np.uint8], place: Similarity, light: Light) -> NDArray[np.float32]:
        """The shrunken picture in the reference's place and light, less the reference: float32 (h, w) in its levels; NaN
        if it doesn't reach or isn't counted.
        """
        height, width = small.shape
        turn, shift = place
        middle = complex((width - 1) / 2, (height - 1) / 2)
        moved = middle + shift - turn * middle
        matrix = np.array([[turn.real, -turn.imag, moved.real], [turn.imag, turn.real, moved.imag]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        outside = -4096.0
        levels = cv2.warpAffine(
            small.astype(np.float32), matrix, (width, height), flags=flags, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(outside,),
        )  # fmt: skip
        seen = (levels > -1) & self.template.counted
        gain, offset, across, down = light.astype(np.float32)
        levels = (levels - offset) / (gain + across * self._across + down * self._down) - self.template.picture
        levels[~seen] = np.nan
        return np.asarray(levels, np.float32)

    def placed(self, small: NDArray[np.uint8]) -> tuple[Similarity, Light, float]:
        if self.template.fixed:
            place, light, agreement = self._aligner.align(small)
            if light[0] > _SMALLEST_GAIN:
                return place, light, agreement
        return STILL, self._whole_light(small), 0.0

    def _whole_light(self, small: NDArray[np.uint8]) -> Light:
        """The light of a picture without a place: its fine structure for the gain, its middle for the offset, its cells for
        the slopes.
        """
        levels, counted = small.astype(np.float32), self.template.counted
        fine = levels - cv2.blur(levels, (9, 9))
        gain = max(float(fine[counted].std()) / self.template.texture, _SMALLEST_GAIN)
        own = levels - self.template.picture * np.float32(gain)
        offset = float(np.median(own[counted]))
        ratio = levels[counted] - levels[counted].mean()
        u, v = np.broadcast_to(self._across, small.shape)[counted], np.broadcast_to(self._down, small.shape)[counted]
        u, v = u - u.mean(), v - v.mean()
        slope_x, slope_y = float((u * ratio).mean() / (u * u).mean()), float((v * ratio).mean() / (v * v).mean())
        # a tilt of the light tilts levels by their mean, and the gain is of the structure
        share = gain / max(float(levels[counted].mean()), 1.0)
        return np.array([gain, offset, slope_x * share, slope_y * share])

    def _fine(
        self, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int, place: Similarity, light: Light
    ) -> dict[str, float]:
        """Edges and noise, over the light at each patch."""
        template = self.template
        corners, log_light = self.moved(self._edge_corners, place, light)
        patch, inside = patches(pixels, bits, corners)
        shape = template.edges.shape[:2]
        heights = edge_heights(patch.reshape(*shape, PATCH_PX, PATCH_PX)) - log_light.reshape(shape) - template.edges_usual
        x, y, right, left = (_middle(part[kept]) for part, kept in zip(heights, inside.reshape(shape), strict=True))
        corners, log_light = self.moved(template.flats, place, light)
        patch, inside = patches(pixels, bits, corners)
        noise = noise_heights(patch) - log_light - template.flats_usual
        return {"edges_x": x, "edges_y": y, "edges_diagonal": right - left, "noise": _middle(noise[inside])}

    def moved(
        self, corners: NDArray[np.int32], place: Similarity, light: Light
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Where the patches lie in this frame, and the logarithm of the light there."""
        width, height = self.template.size
        turn, shift = place
        middle = np.array([width / 2, height / 2])
        centres = corners + PATCH_PX / 2 - middle
        x, y = centres[:, 0], centres[:, 1]
        moved = np.stack((turn.real * x - turn.imag * y, turn.imag * x + turn.real * y), axis=1)
        moved += np.array([shift.real * self._px[0], shift.imag * self._px[1]])
        reach = max(width, height) / 2
        level = light[0] + (light[2] * x + light[3] * y) / reach
        return (
            np.rint(moved + middle - PATCH_PX / 2).astype(np.int32),
            np.log(np.maximum(level, _SMALLEST_GAIN)),
        )

    def _residuals(self, residual: NDArray[np.float32]) -> dict[str, float]:
        seen = np.isfinite(residual)
        filled, weight = np.where(seen, residual, np.float32(0)), seen.astype(np.float32)
        cells = cv2.resize(filled, self._cells, interpolation=cv2.INTER_AREA)
        covered = cv2.resize(weight, self._cells, interpolation=cv2.INTER_AREA)
        levels = cells[covered > 0.5] / covered[covered > 0.5]
        means = np.where(covered > 0.05, cells / np.maximum(covered, 0.05), 0).astype(np.float32)
        smooth = cv2.resize(means, residual.shape[::-1], interpolation=cv2.INTER_LINEAR)
        fine = np.abs(filled - smooth)
        on, off = seen & self.template.on_part, seen & ~self.template.on_part
        relative = (cv2.blur(filled, (3, 3)) / self.template.usual)[seen]
        count = max(1, int(_TAIL * relative.size))
        tails = np.partition(relative, (count, relative.size - 1 - count)) if relative.size > 2 * count else np.zeros(3)
        return {
            "low_residual": _log(float(levels.std()) if levels.size else 0.0),
            "mid_on_part": _log(float(fine[on].mean()) if on.any() else 0.0),
            "mid_off_part": _log(float(fine[off].mean()) if off.any() else 0.0),
            "bright": _log(max(float(tails[-1 - count]), 0.0)),
            "dark": _log(max(float(-tails[count]), 0.0)),
        }


def clipped_share(pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> float:
    """Share of the pixels at black or white in any channel, of every fourth in both directions."""
    part = pixels[::_CLIP_STEP, ::_CLIP_STEP]
    cut = (part >= 2**bits - 1) | (part == 0)
    return float(np.mean(cut if cut.ndim == 2 else cut.any(axis=2)))


def _log(spread: float) -> float:
    return math.log(spread + _LEAST)


def _middle(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if values.size else 0.0
