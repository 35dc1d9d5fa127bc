"""A picture that a notebook shows by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.storage.pictures import encode_png


class ShownPicture(np.ndarray[Any, np.dtype[np.uint8]]):
    """A picture is an array, (H, W, 3) RGB uint8, that notebooks show as a picture instead of as numbers."""

    @classmethod
    def of(cls, picture: NDArray[np.uint8]) -> ShownPicture:
        """Make one from an array, which it shares."""
        return picture.view(cls)

    def _repr_png_(self) -> bytes | None:
        """Return the picture as a notebook asks for it; None for a part of it that is no picture any more."""
        if self.dtype != np.uint8 or self.size == 0 or not (self.ndim == 2 or (self.ndim == 3 and self.shape[2] == 3)):
            return None
        return encode_png(np.ascontiguousarray(self))
