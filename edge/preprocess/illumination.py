"""A bundle may declare under ``illumination`` how 8-bit pictures are normalised before the model sees them (pure).

The steps run in this order: white balance, homomorphic filter, CLAHE, gamma, contrast stretch. White balance and stretch go
by statistics of the whole picture. Taken from each frame they let a defect change its own surroundings (a red spot on 16 %
of the frame moves a grey-world background from 113, 113, 113 to 90, 129, 129), so by default they are frozen: measured on
good frames when the bundle is made, by ``edge build --frames`` or ``edge fit``, and kept in the bundle. They are kept there
and not in the calibration file because a model is fitted to pictures of one normalisation: the bundle's hash then covers
it, every record names that hash, and thresholds calibrated with other statistics are refused with the rest of their key.

Homomorphic filter and CLAHE have no statistics to freeze: they look at each pixel's neighbourhood in the frame at hand.
Results are cut to whole levels, not rounded, as the usual formulas have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.illumination_spec import ClaheSpec, FrozenSpec, IlluminationSpec, StretchSpec
from edge.preprocess import lookup_tables as levels
from edge.preprocess.homomorphic import Homomorphic
from edge.preprocess.lookup_tables import Histogram, Lut, Plane, look_up


class Illuminator:
    """An illuminator has one declaration ready to run, with tables, filters and buffers. One thread uses it."""

    def __init__(self, spec: IlluminationSpec) -> None:
        self.spec = spec
        frozen = spec.frozen or FrozenSpec(frames=1)
        self._gains = None if frozen.gains is None else [levels.gain_lut(g) for g in frozen.gains]
        self._stretch = None if frozen.levels is None else [levels.stretch_lut(*pair) for pair in frozen.levels]
        self._gamma = None if spec.gamma is None else levels.gamma_lut(spec.gamma)
        self._shape: tuple[int, ...] = ()
        self._picture: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._planes: list[Plane] = []
        self._filter: Homomorphic | None = None
        self._clahe: _Clahe | None = None
        self.grey_first = all(v is None or len(set(v)) == 1 for v in (frozen.gains, frozen.levels))
        """True if a grey picture comes out the same whether it becomes three equal channels before or after."""

    def apply(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the result for ``pixels`` uint8 (H, W) or (H, W, 3), which stay as they are; valid until the next call.

        Nothing of the picture's size is allocated while that size stays.
        """
        if pixels.shape != self._shape:
            self._prepare(pixels.shape)
        source: Sequence[Plane] = cv2.split(pixels, self._planes) if pixels.ndim == 3 else [pixels]  # type: ignore[assignment]
        before, planes = self._balance(source), self._planes
        if self._filter is not None:
            for plane, table, out in zip(source, before or (None,) * len(planes), planes, strict=True):
                self._filter.apply(plane, out, table)
            source, before = planes, None
        if self._clahe is not None:
            self._clahe.apply(_through(source, before, planes), planes)
            source, before = planes, None
        after = self._contrast(source, before)
        result = _through(source, after, planes)
        return np.asarray(cv2.merge(result, self._picture), np.uint8) if pixels.ndim == 3 else result[0]

    def _prepare(self, shape: tuple[int, ...]) -> None:
        height, width = shape[:2]
        count = shape[2] if len(shape) == 3 else 1
        self._shape = shape
        self._planes = [np.empty((height, width), np.uint8) for _ in range(count)]
        self._picture = np.empty(shape if count == 3 else 0, np.uint8)
        wanted, clahe = self.spec.homomorphic, self.spec.clahe
        self._filter = None if wanted is None else Homomorphic(width, height, **wanted.model_dump())
        self._clahe = None if clahe is None else _Clahe(clahe, width, height, count)

    def _balance(self, planes: Sequence[Plane]) -> list[Lut] | None:
        """Return the tables of the white balance, one for each plane; None if there is none."""
        kind = self.spec.white_balance
        if kind == "none" or len(planes) == 1:
            return None
        if self.spec.statistics == "frozen":
            return self._gains
        return [levels.gain_lut(gain) for gain in balance(kind, channel_values(kind, planes))]

    def _contrast(self, planes: Sequence[Plane], before: list[Lut] | None) -> list[Lut] | None:
        """Return the tables of gamma and stretch behind those of ``before``, one for each plane."""
        tables = before
        if self._gamma is not None:
            tables = [self._gamma] * len(planes) if before is None else [self._gamma[table] for table in before]
        if self.spec.contrast_stretch is None:
            return tables
        if self.spec.statistics == "frozen":
            assert self._stretch is not None
            last = self._stretch[: len(planes)]
        else:
            histograms = [levels.histogram(plane) for plane in planes]
            if tables is not None:
                histograms = [levels.moved(h, table) for h, table in zip(histograms, tables, strict=True)]
            last = [levels.stretch_lut(*stretched(self.spec.contrast_stretch, h)) for h in histograms]
        return last if tables is None else [end[table] for end, table in zip(last, tables, strict=True)]


def channel_values(kind: str, planes: Sequence[Plane]) -> tuple[float, ...]:
    """Return what the white balance goes by: each channel's mean, or its maximum."""
    if kind == "gray_world":
        return tuple(cv2.mean(plane)[0] for plane in planes)
    return tuple(cv2.minMaxLoc(plane)[1] for plane in planes)


def balance(kind: str, values: Sequence[float]) -> tuple[float, ...]:
    """Return the gains of the white balance for its channel values."""
    return levels.gray_world(values) if kind == "gray_world" else levels.max_rgb(values)


def stretched(spec: StretchSpec, histogram: Histogram) -> tuple[float, float]:
    """Return the levels that become black and white."""
    return levels.percentile(histogram, spec.lower), levels.percentile(histogram, spec.upper)


def _through(source: Sequence[Plane], tables: Sequence[Lut] | None, out: Sequence[Plane]) -> Sequence[Plane]:
    """Look ``source`` up in the table; without a table it is returned itself."""
    if tables is None:
        return source
    for plane, table, target in zip(source, tables, out, strict=True):
        look_up(plane, table, target)
    return out


class _Clahe:
    """CLAHE is made for planes of one size. Three are equalised by their mean, and every channel of a pixel is scaled
    alike.
    """

    def __init__(self, spec: ClaheSpec, width: int, height: int, count: int) -> None:
        self._clahe = cv2.createCLAHE(spec.clip_limit, spec.grid)
        if count == 1:
            return
        self._mean, self._equal = (np.empty((height, width), np.uint8) for _ in range(2))
        self._bands = levels.bands(width, height)
        rows = self._bands[0].stop
        self._sum, self._third = (np.empty((rows, width), np.uint16) for _ in range(2))
        self._ratio, self._scaled = (np.empty((rows, width), np.float32) for _ in range(2))

    def apply(self, source: Sequence[Plane], out: Sequence[Plane]) -> None:
        """Equalise ``source`` into ``out``, which may be ``source``."""
        if len(source) == 1:
            self._clahe.apply(source[0], out[0])
            return
        for rows in self._bands:
            third = self._third[: rows.stop - rows.start]
            np.floor_divide(self._summed(source, rows), 3, out=third)
            np.copyto(self._mean[rows], third, casting="unsafe")
        self._clahe.apply(self._mean, self._equal)
        for rows in self._bands:
            total = self._summed(source, rows)
            ratio, scaled = self._ratio[: len(total)], self._scaled[: len(total)]
            np.maximum(total, 3, out=total)  # black stays black, as a mean below 1 would have it
            cv2.divide(self._equal[rows], total, ratio, 3.0, cv2.CV_32F)
            for plane, target in zip(source, out, strict=True):
                cv2.multiply(plane[rows], ratio, scaled, 1.0, cv2.CV_32F)
                cv2.convertScaleAbs(scaled, target[rows], 1.0, levels.CUT)

    def _summed(self, planes: Sequence[Plane], rows: slice) -> NDArray[np.uint16]:
        total = self._sum[: rows.stop - rows.start]
        cv2.add(planes[0][rows], planes[1][rows], total, None, cv2.CV_16U)
        cv2.add(total, planes[2][rows], total, None, cv2.CV_16U)
        return total
