"""Method ``residual``: how far each place of a registered frame lies from the mean of good ones, at three scales.

``map = max over scales and channels of |blurred - mean| / deviation / q``. The scales are the picture, its half and its
quarter (averages of 2x2), each averaged twice over 3x3. ``deviation`` is each pixel's own, its variance averaged half and
half with that of the 5x5 around it, and a floor added. ``q`` is what 99.99 % of good pixels stay below at that scale, by
leave-one-out: it makes the scales comparable, and 1 the edge of what good parts show.

A frame's shift, turn, scale and light are taken away before, by the bundle's registration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import UserError
from edge.models.fit.protocol import FittedModel, GraphPicture, MapValues, MethodOptions, Scorer
from edge.models.fit.residual_graph import AROUND, EDGE, MIDDLE, SCALES, SLOW, STEEP, Weights, residual_graph
from edge.models.fit.sums import PlaneSums, in_steps, left_out

_LEAST_FLAT_PX = 64
_WINDOW = 5
QUANTILE = 0.9999
_LEAST_Q = 3.0
"""``q`` of normally distributed differences would be 3.9; a lower one comes of too few pixels to tell."""
_FLOOR_SHARES = (0.35, 0.2, 0.125)
"""The floor at each scale, as a share of ``MethodOptions.floor``: a blur leaves that much less of independent noise."""
_MOST_USUAL = 0.7
"""In units of ``q``; of normally distributed differences 99 % lie below 0.66."""
DISPLAY_THRESHOLD = 1.0


class ResidualStatistics:
    """Sums of the blurred pictures at each scale."""

    def __init__(self, shape: tuple[int, int, int], options: MethodOptions) -> None:
        self._shape = shape
        self._options = options
        self._padded = _padded(shape)
        height, width = self._padded
        self._sums = [PlaneSums((height // s, width // s, shape[2])) for s in SCALES]
        self._q: tuple[float, ...] | None = None
        self._usual: tuple[float, ...] = ()

    @property
    def frames(self) -> int:
        return self._sums[0].count

    def add(self, picture: GraphPicture) -> None:
        self._q = None
        for sums, plane in zip(self._sums, self._planes(picture), strict=True):
            sums.add(in_steps(plane))

    def merge(self, other: Any) -> None:
        self._q = None
        for sums, more in zip(self._sums, other._sums, strict=True):  # noqa: SLF001  (of its own kind)
            sums.merge(more)

    def model(self, good: Sequence[GraphPicture] = ()) -> FittedModel:
        self._q, self._usual = self._quantiles(good)
        weights = [
            _weights(*sums.mean_and_variance(), self._options.floor * share, q, usual)
            for sums, share, q, usual in zip(self._sums, _FLOOR_SHARES, self._q, self._usual, strict=True)
        ]
        return FittedModel(
            graph=residual_graph(self._shape, self._padded, weights, flat_field=self._options.flat_field),
            display_threshold=DISPLAY_THRESHOLD,
            map_size=(self._shape[1], self._shape[0]),
            provenance={
                "model": "residual of the registered frame at three scales",
                "formula": "max over scales and channels of |blurred - mean| / deviation / q",
                "scales_px": list(SCALES),
                "q": [round(q, 4) for q in self._q],
                "floor_grey_levels": float(self._options.floor),
                "flat_field": self._options.flat_field,
            },
        )

    def scorer(self, without: GraphPicture | None = None) -> Scorer:
        q = self._q
        if q is None:
            raise RuntimeError("model() comes first: it measures the scales")
        parts: list[Weights] = []
        planes = None if without is None else self._planes(without)
        for index, (sums, share) in enumerate(zip(self._sums, _FLOOR_SHARES, strict=True)):
            mean, variance = sums.mean_and_variance()
            if planes is not None:
                mean, variance = left_out(mean, variance, planes[index], sums.count)
            parts.append(_weights(mean, variance, self._options.floor * share, q[index], self._usual[index]))

        def score(picture: GraphPicture) -> MapValues:
            return self._map(picture, parts)

        return score

    def arrays(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {"frames": np.array(self.frames)}
        for scale, sums in zip(SCALES, self._sums, strict=True):
            found |= sums.arrays(f"scale_{scale}")
        return found

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> ResidualStatistics:
        for scale, sums in zip(SCALES, self._sums, strict=True):
            total, squares = arrays[f"scale_{scale}_total"], arrays[f"scale_{scale}_squares"]
            if total.shape != sums.total.shape:
                raise ValueError("statistics of another size")
            sums.count, sums.total, sums.squares = int(arrays["frames"]), total.copy(), squares.copy()
        return self

    def _planes(self, picture: GraphPicture) -> list[NDArray[np.float32]]:
        return _planes(picture, self._padded, flat_field=self._options.flat_field)

    def _quantiles(self, good: Sequence[GraphPicture]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """``q`` of each scale over the good pictures, each of them left out of what it is compared with, and in units of
        it what 99 % of their pixels stay below.
        """
        values: list[list[NDArray[np.float32]]] = [[] for _ in SCALES]
        means = [sums.mean_and_variance() for sums in self._sums]
        for picture in good:
            for index, plane in enumerate(self._planes(picture)):
                mean, variance = left_out(*means[index], plane, self.frames)
                deviation = _deviation(variance, self._options.floor * _FLOOR_SHARES[index])
                values[index].append(_highest(np.abs(plane - mean) / deviation))
        if not good:
            return (4.0,) * len(SCALES), (_MOST_USUAL,) * len(SCALES)
        found, usual = [], []
        for sums, highest in zip(self._sums, values, strict=True):
            merged = np.sort(np.concatenate(highest))[::-1]
            rank = round((1 - QUANTILE) * sums.total.size * len(good))
            found.append(max(_LEAST_Q, float(merged[min(rank, len(merged) - 1)])))
            least = float(np.median([values.min() for values in highest]))
            usual.append(min(_MOST_USUAL, least / found[-1]))
        return tuple(found), tuple(usual)

    def _map(self, picture: GraphPicture, parts: Sequence[Weights]) -> MapValues:
        planes = zip(self._planes(picture), parts, strict=True)
        maps = _gated([((np.abs(plane - mean) * inverse).max(axis=2), usual) for plane, (mean, inverse, usual) in planes])
        highest = maps[-1]
        for values in reversed(maps[:-1]):
            highest = np.maximum(values, highest.repeat(2, axis=0).repeat(2, axis=1))
        return highest[: self._shape[0], : self._shape[1]]


class Residual:
    """The method as ``edge fit`` sees it."""

    def empty(self, shape: tuple[int, int, int], options: MethodOptions) -> ResidualStatistics:
        if not options.floor > 0:
            raise UserError("--floor", received=options.floor, expected="a number of grey levels above 0")
        if options.flat_field and min(shape[:2]) < _LEAST_FLAT_PX:
            raise UserError(
                "--flat-field: the picture is too small to have slow changes",
                received=f"{shape[1]}x{shape[0]}",
                expected=f"at least {_LEAST_FLAT_PX} px on both sides",
            )
        return ResidualStatistics(shape, options)

    def restore(
        self, arrays: Mapping[str, NDArray[Any]], shape: tuple[int, int, int], options: MethodOptions
    ) -> ResidualStatistics:
        return self.empty(shape, options).restored(arrays)


METHOD = Residual()


def _padded(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns filled up to a multiple of the coarsest scale."""
    last = SCALES[-1]
    return -(-shape[0] // last) * last, -(-shape[1] // last) * last


def _planes(picture: GraphPicture, padded: tuple[int, int], *, flat_field: bool) -> list[NDArray[np.float32]]:
    """The blurred picture at each scale, (H, W, C) float32."""
    height, width, channels = picture.shape
    plane: Any = picture.astype(np.float32)
    if padded != (height, width):
        plane = cv2.copyMakeBorder(plane, 0, padded[0] - height, 0, padded[1] - width, cv2.BORDER_REPLICATE)
    found = []
    for scale in SCALES:
        if scale > 1:
            plane = cv2.resize(plane, (plane.shape[1] // 2, plane.shape[0] // 2), interpolation=cv2.INTER_AREA)
        blurred = plane
        for _ in range(2):
            blurred = cv2.blur(blurred, (3, 3), borderType=cv2.BORDER_REFLECT_101)
        found.append(np.asarray(blurred, np.float32).reshape(*plane.shape[:2], channels))
    if not flat_field:
        return found
    slow: Any = found[-1]
    for _ in range(2):
        slow = cv2.blur(slow, (SLOW, SLOW), borderType=cv2.BORDER_REFLECT_101)
    evened = []
    for plane in found:
        size = plane.shape[1], plane.shape[0]
        # one plane may be the other's: nothing is written into them
        large = slow if slow.shape[:2] == plane.shape[:2] else cv2.resize(slow, size, interpolation=cv2.INTER_LINEAR)
        evened.append(np.asarray(plane - large.reshape(plane.shape) + np.float32(MIDDLE), np.float32))
    return evened


def _gated(maps: Sequence[tuple[MapValues, float]]) -> list[MapValues]:
    """The scales' maps, finest first, each without what lies beyond a defect's edge, as the graph gates them.

    ``maps``: each with the value that 99 % of good pixels stay below.
    """
    found: list[MapValues] = []
    peaks: Any = None
    for values, usual in maps:
        if peaks is None:
            peaks = values
        else:
            finer = np.maximum(
                np.maximum(peaks[::2, ::2], peaks[1::2, ::2]), np.maximum(peaks[::2, 1::2], peaks[1::2, 1::2])
            )
            peaks = np.maximum(finer, values)
        around = cv2.dilate(peaks, np.ones((AROUND, AROUND), np.uint8))
        inside = np.maximum(values - np.float32(EDGE) * around, 0)
        found.append(np.minimum(values, np.float32(STEEP) * inside + np.float32(usual)))
    return found


def _weights(mean: NDArray[np.float32], variance: NDArray[np.float32], floor: float, q: float, usual: float) -> Weights:
    return mean, np.asarray(1 / (_deviation(variance, floor) * np.float32(q)), np.float32), usual


def _deviation(variance: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    around = cv2.blur(variance, (_WINDOW, _WINDOW), borderType=cv2.BORDER_REFLECT_101).reshape(variance.shape)
    return np.asarray(np.sqrt((variance + around) / 2 + np.float32(floor**2)), np.float32)


def _highest(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest hundredth: where the quantile lies, even were all of it in one picture of a hundred."""
    flat = values.reshape(-1)
    count = max(1, len(flat) // 100)
    return np.partition(flat, len(flat) - count)[len(flat) - count :]
