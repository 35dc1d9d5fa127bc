"""Frames become vectors: by the model's own embedding, by lite0 where it is installed, or else by their statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.frames import AnomalyMap, Frame
from edge.models.backbone.lite0 import is_installed
from edge.models.fit.feature_net import open_features
from edge.preprocess.pixel_formats import to_depth

_SIDE: Final = 256
"""Longer side, in px, of the picture that lite0 sees: 16 ms a frame on one core."""

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Embedder:
    """Gives (d,) of a frame. ``name``: whose vectors they are, for people."""

    name: str
    of: Callable[[Frame], Vector]


def lite0_embedder() -> Embedder | None:
    """The mean of lite0's features over the frame; None if the extra ``backbone`` isn't installed."""
    if not is_installed():
        return None
    net = open_features(Path("lite0"), (), 3, None)

    def embed(frame: Frame) -> Vector:
        pixels: Any = to_depth(frame, 8).pixels
        height, width = pixels.shape[:2]
        share = min(1.0, _SIDE / max(height, width))
        size = (max(32, round(width * share)), max(32, round(height * share)))
        small: Any = pixels if size == (width, height) else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        rgb = small if small.ndim == 3 else cv2.cvtColor(small, cv2.COLOR_GRAY2RGB)
        return np.asarray(net.features(np.ascontiguousarray(rgb)).mean(axis=(0, 1)), np.float32)

    return Embedder("lite0 (ImageNet)", embed)


def embedding_of(amap: object) -> Vector | None:
    """The model's own embedding of a frame, (d,); None if its graph gives none."""
    if isinstance(amap, AnomalyMap) and amap.embedding is not None:
        return np.array(amap.embedding, np.float32).ravel()
    return None
