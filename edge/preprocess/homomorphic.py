"""The homomorphic filter dims slow changes of brightness and lifts fast ones, in the logarithm of a picture (pure).

A frequency of u and v periods per picture width and height is multiplied by
``gamma_low + (gamma_high - gamma_low) * (1 - exp(-c * (u^2 + v^2) / (cutoff * max(W, H) / 2)^2))``; see Gonzalez and Woods,
Digital Image Processing, chapter 4.9.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.preprocess.lookup_tables import CUT, Lut, Plane, bands, look_up

_DARKEST = 1e-6
"""Value that level 0 counts as, for the logarithm."""


class Homomorphic:
    """The filter is made for planes of one size, with its buffers: three float32 pictures. One thread uses it."""

    def __init__(self, width: int, height: int, *, cutoff: float, gamma_low: float, gamma_high: float, c: float) -> None:
        falling = packed(width, height, c / (cutoff * max(width, height) / 2) ** 2)
        self._filter = (gamma_high - (gamma_high - gamma_low) * falling).astype(np.float32)
        self._log, self._spectrum = (np.empty((height, width), np.float32) for _ in range(2))
        self._bands = bands(width, height)
        self._scratch = np.empty((self._bands[0].stop, width), np.float32)

    def apply(self, plane: Plane, out: Plane, before: Lut | None = None) -> None:
        """Filter ``plane``, through the table ``before`` first, into ``out``, which may be the same."""
        levels = np.arange(256) if before is None else before.astype(np.float64)
        look_up(plane, np.log(np.maximum(levels / 255, _DARKEST)).astype(np.float32), self._log)
        # real input: packed spectra, half the work; twice as fast as np.fft.rfft2 in float32
        cv2.dft(self._log, self._spectrum)
        cv2.multiply(self._spectrum, self._filter, self._spectrum)
        cv2.dft(self._spectrum, self._log, cv2.DFT_INVERSE | cv2.DFT_SCALE | cv2.DFT_REAL_OUTPUT)
        for rows in self._bands:
            part = self._log[rows]
            light = self._scratch[: len(part)]
            np.minimum(part, 0, out=light)
            cv2.exp(light, light)
            cv2.convertScaleAbs(light, out[rows], 255.0, CUT)


def packed(width: int, height: int, steepness: float) -> NDArray[np.float64]:
    """Return ``exp(-steepness * (u^2 + v^2))`` where OpenCV keeps frequency (u, v) of a real picture's packed spectrum.

    Columns: 0 is u = 0; then real and imaginary part of u = 1, 2, ... side by side; the last one, of an even width, is
    u = W / 2. Rows are v = 0, 1, ..., -1, but in the columns of u = 0 and W / 2, where real and imaginary parts of v lie
    one below the other in the same way. https://docs.opencv.org/4.x/d2/de8/group__core__array.html (dft)
    """

    def halved(count: int) -> NDArray[np.float64]:
        return (np.arange(count, dtype=np.float64) + 1) // 2

    v = np.arange(height, dtype=np.float64)
    v = np.minimum(v, height - v)
    falling = np.exp(-steepness * (v**2)[:, None]) * np.exp(-steepness * (halved(width) ** 2))[None]
    for column, u in [(0, 0), *([(width - 1, width // 2)] if width % 2 == 0 else [])]:
        falling[:, column] = np.exp(-steepness * (halved(height) ** 2 + u**2))
    return falling
