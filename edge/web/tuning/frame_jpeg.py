"""A frame becomes a JPEG for the browser. Little is imported here, because a worker starts with it."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from edge.storage.pictures import encode_jpeg


def jpeg_of(pixels: Any, bits: int, most: int) -> bytes:
    """Return pixels, (H, W) or (H, W, 3), of so many bits as JPEG, the longer side at most ``most`` px."""
    if bits > 8:
        pixels = (pixels >> (bits - 8)).astype(np.uint8)
    height, width = pixels.shape[:2]
    zoom = most / max(height, width)
    if zoom < 1:
        pixels = cv2.resize(
            pixels, (max(round(width * zoom), 1), max(round(height * zoom), 1)), interpolation=cv2.INTER_AREA
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    return encode_jpeg(np.ascontiguousarray(pixels))
