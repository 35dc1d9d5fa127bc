"""The mask of a fail's regions is kept small until its overlay is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.frames import Judged
from edge.report.marks import MaskOnFrame


@dataclass(frozen=True, slots=True)
class PackedMask:
    """A mask (h, w) is kept at one bit a pixel, with how it lies over the frame: a copy of 8 KB for 256 x 256."""

    bits: NDArray[np.uint8]
    shape: tuple[int, int]
    map_to_image: tuple[float, float, float, float]

    @classmethod
    def of(cls, judged: Judged) -> PackedMask:
        height, width = judged.found.mask.shape
        return cls(np.packbits(judged.found.mask), (height, width), judged.amap.map_to_image)

    def unpacked(self) -> MaskOnFrame:
        """Return the mask, 1 on the pixels of regions."""
        height, width = self.shape
        return MaskOnFrame(np.unpackbits(self.bits, count=height * width).reshape(self.shape), self.map_to_image)
