"""The meter takes the 19 statistics of a frame, after registration and gain, from a shrunken picture and a few patches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.drift.template import Template


class Meter:
    """A template made ready. Used by one thread."""

    def __init__(self, template: Template) -> None:
        self.template = template

    def measure(self, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int = 8) -> NDArray[np.float64]:
        """The statistics (19,) of a frame, in the order of ``edge.drift.statistics.STATISTICS``; a new array.

        ``pixels``: uint8, or uint16 aligned to the low bit with ``bits``; (H, W) or (H, W, 3) RGB, of the template's size.
        """
        raise NotImplementedError
