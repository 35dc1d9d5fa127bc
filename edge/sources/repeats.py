"""Noise makes each true picture differ from the one before, so a picture that stands still while frame ids run on is
caught.
"""

from __future__ import annotations

import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SAMPLES: Final = 1024
"""Number of bytes of each frame that are compared first: 20 µs of 5 MB. If all are equal, a checksum of the frame
decides."""


class Repeats:
    """Frames are counted whose bytes are those of the frame before. One thread uses this."""

    def __init__(self, most: int) -> None:
        """Take ``most``, the repeats in a row that are still believed, at least 1."""
        self._most = most
        self._sample: NDArray[np.uint8] | None = None
        self._checksum: tuple[int, int] | None = None
        self._repeats = 0

    def too_many(self, data: NDArray[np.uint8]) -> bool:
        """Return True if this frame, 1-D uint8, is one repeat too many."""
        sample = data[:: max(1, data.size // _SAMPLES)].copy()
        before, self._sample = self._sample, sample
        if before is None or not np.array_equal(before, sample):
            self._checksum, self._repeats = None, 0
            return False
        checksum = zlib.crc32(data.data), data.size
        known, self._checksum = self._checksum, checksum
        # of the first that looks like the one before, that one's checksum is not known
        self._repeats = self._repeats + 1 if known in (None, checksum) else 0
        return self._repeats > self._most
