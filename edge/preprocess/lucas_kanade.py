"""Robust inverse-compositional Lucas-Kanade for a similarity and the light (pure): one step at one size of the picture.

Baker and Matthews, "Lucas-Kanade 20 Years On", IJCV 2004; the weights are Tukey's. The picture at the points of the
reference is explained, in one linear least-squares solution, by what the reference does there under a small motion and a
small change of its light; the motion is then undone, and again.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

_SAMPLING = 2
"""Pictures are shrunk to twice the size at which they are compared, so that the blur spans pixels enough for linear
interpolation between them: at the size itself it was off by up to 0.025 px of the frame, at twice the size by 0.004."""
_BLUR = 2.4
"""Standard deviation of the blur, in px of the shrunk picture."""
_BLUR_COARSE = 1.0
_BLOCKS = 16
_POINTS = 8
"""In each of 16x16 blocks the 8 px with the steepest slopes are compared, spread over the whole picture."""
_PROBES = 2
"""Px of each block that are used to compare two starts."""
_COARSE = 8
"""The first start is found on pictures so many times smaller again."""
_ROUNDS = (12, 12)
"""Most steps on the coarse and on the fine picture."""
_WIDE = (8.0, 2.0)
"""At first differences count that are so many times larger than the weights allow; that halves with each step."""
_STILL_PX = (0.5, 0.02)
"""A step that moves no corner by more, in px of the picture, is the last on the coarse, on the fine picture. Steps shrink
tenfold from one to the next."""
_STRIDE = 0.1
"""Most that one step turns (radians) or scales."""
_TUKEY = 4.685
_NOISE = 0.25
"""Least standard deviation of the difference, in grey levels: identical pictures must not divide by zero."""
_DARK = 0.02
"""A gain below shows nothing of the reference."""
_SEEN = 0.5
"""Less of the reference inside the picture is nothing to judge by."""

Similarity: TypeAlias = tuple[complex, complex]
"""Turn and shift: a place of the reference, complex and from the picture's middle, goes to ``turn * place + shift``."""
STILL: Similarity = (1 + 0j, 0j)
Light: TypeAlias = NDArray[np.float64]
"""Gain, offset, and the slopes across and down."""


class Aligner:
    """A grey reference picture, and how another one lies against it."""

    def __init__(self, reference: NDArray[np.uint8], size: int) -> None:
        """``reference``: uint8 (H, W). ``size``: longer side in px at which it is compared."""
        height, width = reference.shape
        self._reach = math.hypot(width, height) / 2
        fine = _small_size(width, height, _SAMPLING * size)
        coarse = max(8, round(fine[0] / _COARSE)), max(8, round(fine[1] / _COARSE))
        pyramid = _pyramid(reference, fine, coarse)
        self._fine = Level(pyramid[0], (width, height), _POINTS)
        self._probe = Level(pyramid[0], (width, height), _PROBES)
        self._coarse = Level(pyramid[1], (width, height), _POINTS)

    def align(self, picture: NDArray[np.uint8]) -> tuple[Similarity, Light, float]:
        """Where the picture lies, its light, and how well it agrees: the correlation with the reference."""
        fine, coarse = _pyramid(picture, self._fine.size, self._coarse.size)
        start, _ = self._solve(self._coarse, coarse, STILL, _ROUNDS[0], _WIDE[0], _STILL_PX[0])
        # a coarse start may be worse than none: on it small parts of the picture vanish
        if not self._probe.cost(fine, start) < self._probe.cost(fine, STILL):
            start = STILL
        place, light = self._solve(self._fine, fine, start, _ROUNDS[1], _WIDE[1], _STILL_PX[1])
        return place, light, self._fine.agreement(fine, place, light)

    def _solve(
        self, level: Level, small: NDArray[np.float32], place: Similarity, rounds: int, wide: float, still_px: float
    ) -> tuple[Similarity, Light]:
        """``wide``: at first differences count that are so many times larger; that halves with each step."""
        light: Light | None = None
        for _ in range(rounds):
            step, light = level.step(small, place, light, wide)
            if step is None:
                break
            turned = place[0] / step[0]
            place = turned, place[1] - turned * step[1]
            if wide == 1 and abs(step[0] - 1) * self._reach + abs(step[1]) < still_px:
                break
            wide = max(1.0, wide / 2)
        assert light is not None
        return place, light


class Level:
    """The reference at one size: the points that are compared and what the picture there does as each unknown grows."""

    def __init__(self, small: NDArray[np.float32], picture: tuple[int, int], points: int) -> None:
        height, width = small.shape
        self.size = (width, height)
        sx, sy = picture[0] / width, picture[1] / height
        gx = cv2.Sobel(small, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
        gy = cv2.Sobel(small, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
        ys, xs = _points(np.hypot(gx, gy), max(4, round(max(width, height) / _BLOCKS)), points)
        self._reach = max(picture) / 2
        u = ((xs + 0.5) * sx - picture[0] / 2).astype(np.float32)
        v = ((ys + 0.5) * sy - picture[1] / 2).astype(np.float32)
        self._places = np.stack((u, v, np.ones_like(u)))
        self._scale = sx, sy
        self._middle = picture[0] / 2 / sx - 0.5, picture[1] / 2 / sy - 0.5
        self._last = np.array([[width - 1.001], [height - 1.001]], np.float32)
        gu, gv = gx[ys, xs] / sx, gy[ys, xs] / sy
        values, r = small[ys, xs], self._reach
        light = (values, np.ones_like(u), values * u / r, values * v / r)
        motion = (gu, gv, (gu * u + gv * v) / r, (gv * u - gu * v) / r)
        self._columns = np.stack((*motion, *light)).astype(np.float32)
        self._weighted = np.empty_like(self._columns)

    def step(
        self, small: NDArray[np.float32], place: Similarity, light: Light | None, wide: float
    ) -> tuple[Similarity | None, Light]:
        """The motion that still lies between picture and reference, None if there is none to see, and the light.

        ``light``: of the step before, from which the weights are taken; None at first.
        """
        sampled, inside = self._sampled(small, place)
        if light is None:
            light = self._solved(sampled, inside, 4)
        full = self._solved(sampled, self._weights(sampled, inside, light, wide), 0)
        light = full[4:]
        if not abs(light[0]) > _DARK:
            return None, light
        tx, ty, grow, turn = (full[:4] / light[0]).tolist()
        turned = complex(grow, turn) / self._reach
        return (1 + turned * min(1.0, _STRIDE / max(abs(turned), 1e-9)), complex(tx, ty)), light

    def cost(self, small: NDArray[np.float32], place: Similarity) -> float:
        """The median difference that this placement leaves, in grey levels; points outside the picture count as large."""
        sampled, inside = self._sampled(small, place)
        light = self._solved(sampled, inside, 4)
        light = self._solved(sampled, self._weights(sampled, inside, light, 1.0), 4)
        difference = np.abs(sampled - light.astype(np.float32) @ self._columns[4:])
        difference[inside == 0] = 255
        return _median(difference)

    def agreement(self, small: NDArray[np.float32], place: Similarity, light: Light) -> float:
        """The correlation with the reference over all points inside, slopes of the light taken away."""
        sampled, inside = self._sampled(small, place)
        count = float(inside.sum())
        if count < _SEEN * len(inside):
            return 0.0
        sampled -= light[2:].astype(np.float32) @ self._columns[6:]
        a, b = (values - np.float32(float(values @ inside) / count) for values in (sampled, self._columns[4]))
        a *= inside
        size = math.sqrt(float(a @ a) * float((b * inside) @ b))
        return float(a @ b) / size if size > 0 else 0.0

    def _sampled(self, small: NDArray[np.float32], place: Similarity) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The picture at the points, moved by ``matrix``; 1 for those inside it, 0 for others.

        By hand: before version 5 OpenCV rounds such coordinates to 1/32 px, which is 0.06 px of the frame in the end.
        """
        turn, shift = place
        sx, sy = self._scale
        moved = np.array(
            [
                [turn.real / sx, -turn.imag / sx, self._middle[0] + shift.real / sx],
                [turn.imag / sy, turn.real / sy, self._middle[1] + shift.imag / sy],
            ],
            np.float32,
        )
        places = moved @ self._places
        clipped = np.maximum(places, 0)
        np.minimum(clipped, self._last, out=clipped)
        same = places == clipped
        inside = np.logical_and(same[0], same[1]).astype(np.float32)
        whole = np.floor(clipped)
        clipped -= whole
        width = self.size[0]
        number = whole[1]  # of the pixel, in floats that hold it exactly: less than 2^24
        number *= width
        number += whole[0]
        corner, flat = number.astype(np.intp), small.reshape(-1)
        upper, lower = flat.take(corner), flat[width:].take(corner)
        for row, start in ((upper, 1), (lower, width + 1)):
            right = flat[start:].take(corner)
            right -= row
            right *= clipped[0]
            row += right
        lower -= upper
        lower *= clipped[1]
        upper += lower
        return upper, inside

    def _solved(self, sampled: NDArray[np.float32], weights: NDArray[np.float32], first: int) -> NDArray[np.float64]:
        """Weighted least squares for the columns from ``first`` on."""
        columns = self._columns[first:]
        weighted = np.multiply(columns, weights, out=self._weighted[first:])
        normal = (weighted @ columns.T).astype(np.float64)
        diagonal = normal.reshape(-1)[:: len(normal) + 1]
        diagonal *= 1 + 1e-6
        diagonal += 1e-6
        _, solution = cv2.solve(normal, (weighted @ sampled[:, None]).astype(np.float64), flags=cv2.DECOMP_CHOLESKY)
        return solution[:, 0]  # type: ignore[return-value]

    def _weights(
        self, sampled: NDArray[np.float32], inside: NDArray[np.float32], light: Light, wide: float
    ) -> NDArray[np.float32]:
        """Tukey's biweight of the differences under this light; 0 outside the picture."""
        share = sampled - light.astype(np.float32) @ self._columns[4:]
        scale = max(_NOISE, 1.4826 * _median(np.abs(share[::4])))
        share *= np.float32(1 / (_TUKEY * scale * wide))
        np.multiply(share, share, out=share)
        np.subtract(1, share, out=share)
        np.maximum(share, 0, out=share)
        np.multiply(share, share, out=share)
        share *= inside
        return share


def _median(values: NDArray[np.float32]) -> float:
    """Return the median like np.median, ten times faster for a thousand values, but the upper of two middle values."""
    middle = len(values) // 2
    return float(np.partition(values, middle)[middle])


def _points(slope: NDArray[np.float32], block: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the steepest pixels of each block; the outermost pixels, which the blur made up, are left out."""
    height, width = slope.shape
    ys: list[NDArray[np.intp]] = []
    xs: list[NDArray[np.intp]] = []
    for top in range(2, height - 2, block):
        for left in range(2, width - 2, block):
            part = slope[top : min(top + block, height - 2), left : min(left + block, width - 2)]
            best = np.argsort(-part, axis=None, kind="stable")[:count]
            ys.append(best // part.shape[1] + top)
            xs.append(best % part.shape[1] + left)
    return np.concatenate(ys), np.concatenate(xs)


def _pyramid(
    picture: Any, fine: tuple[int, int], coarse: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    small = cv2.resize(picture, fine, interpolation=cv2.INTER_AREA)
    smaller = cv2.resize(small, coarse, interpolation=cv2.INTER_AREA)
    return _blurred(small, _BLUR), _blurred(smaller, _BLUR_COARSE)


def _blurred(small: Any, sigma: float) -> NDArray[np.float32]:
    side = 2 * round(2.5 * sigma) + 1
    return np.asarray(cv2.GaussianBlur(small.astype(np.float32), (side, side), sigma, borderType=cv2.BORDER_REFLECT_101))


def _small_size(width: int, height: int, size: int) -> tuple[int, int]:
    share = min(1.0, size / max(width, height))
    return max(16, round(width * share)), max(16, round(height * share))
