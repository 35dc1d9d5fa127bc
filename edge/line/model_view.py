"""The picture that the model takes is shown to people who tune: what depth, colour, illumination, resize, registration and
tiles made of the frame.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines.registration import ready_workspace
from edge.engines.to_map import whole_picture
from edge.frames import Frame
from edge.preprocess.pixel_formats import to_depth
from edge.preprocess.prepare import FrameSizeMismatch
from edge.preprocess.register import PartOutOfPlace
from edge.report.explain import ModelView


class ModelViews:
    """Model views are made of one bundle's frames, with the live code and buffers of their own. One thread uses them."""

    def __init__(self, bundle: Bundle) -> None:
        """Read the reference picture if there is one. Raises UserError as ``ready_workspace``."""
        self._bundle = bundle
        self._workspace = ready_workspace(bundle)

    def of(self, frame: Frame) -> ModelView | None:
        """Return what the model takes of the frame; None if that is the frame itself, whole, or where it takes none.

        Tiles are those of the picture: one that reaches beyond it is filled up before it is cut.
        """
        spec = self._bundle.spec
        try:
            _, image, registered = whole_picture(frame, self._bundle, self._workspace)
        except (FrameSizeMismatch, PartOutOfPlace):
            return None
        height, width = image.shape[:2]
        shown = _as_rgb(image, spec.input.bits)
        if spec.tile is None and _is_frame(shown, frame):
            return None
        tiles: tuple[tuple[int, int, int, int], ...] = ()
        if spec.tile is not None:
            tiling = self._workspace.tiling(spec.tile, (width, height), spec.tile_scale)
            tiles = tuple((x, y, *spec.tile.size) for x, y in tiling.positions)
        steps = [f"{width}x{height}"]
        steps += ["illumination"] if spec.illumination is not None else []
        steps += ["brought to the reference"] if registered is not None else []
        steps += [f"{len(tiles)} tiles"] if tiles else []
        return ModelView(shown, "as the model sees it: " + ", ".join(steps), tiles)


def _as_rgb(image: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Return an own copy, (H, W, 3) uint8."""
    pixels = image if bits == 8 else np.right_shift(image, bits - 8).astype(np.uint8)
    grey = pixels.shape[2] == 1
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB) if grey else pixels.copy(), np.uint8)


def _is_frame(shown: NDArray[np.uint8], frame: Frame) -> bool:
    pixels = to_depth(frame, 8).pixels
    if shown.shape[:2] != pixels.shape[:2]:
        return False
    return np.array_equal(shown, pixels if pixels.ndim == 3 else np.broadcast_to(pixels[..., None], shown.shape))
