"""A decoded frame becomes the picture that the graph takes: depth, channels, illumination, resize. NumPy in, NumPy out.

Everything happens on integer pixels; scale and normalisation are folded into the graph. The resize comes before any
conversion to float: four times less memory traffic, and one definition of the numbers for every engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.config.bundle_spec import BundleSpec, TileSpec
from edge.config.illumination_spec import IlluminationSpec
from edge.frames import Frame
from edge.preprocess.area_resize import area_resize
from edge.preprocess.fit_to_size import FrameFit, fit_of
from edge.preprocess.illumination import Illuminator
from edge.preprocess.register import Registrar
from edge.preprocess.tiling import Tiling

KERNELS = {
    "area": cv2.INTER_AREA,
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}
"""OpenCV's constant for each kernel that a bundle can name."""


class FrameSizeMismatch(Exception):  # noqa: N818  (says what it is)
    """The frame has another size than the bundle takes, and the bundle resizes nothing; or is of another kind.

    ``reason``: of its record.
    """

    def __init__(self, text: str, reason: str = "frame_size") -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared ``image`` is C-contiguous (H, W, C), uint8, or uint16 if the bundle takes more than 8 bits.

    It is whole if it is still to be cut into tiles. It may be a view of the frame's pixels or of the workspace: valid until
    either is used for the next frame.

    ``map_to_image`` is (sx, sy, ox, oy); a map edge at x lies in the *frame* at ``x * sx + ox``.
    """

    image: NDArray[np.uint8] | NDArray[np.uint16]
    map_to_image: tuple[float, float, float, float]


@dataclass(slots=True)
class Workspace:
    """A workspace keeps pictures on the way from frame to frame: none is allocated while size and format stay. One per
    thread.
    """

    registrar: Registrar | None = None
    """The registrar of the one bundle that the workspace serves; None if that declares no registration."""
    _arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    _illuminator: Illuminator | None = None
    _tiling: Tiling | None = None

    def array(self, step: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return the buffer of one step, with whatever it held before."""
        array = self._arrays.get(step)
        if array is None or array.shape != shape or array.dtype != dtype:
            array = self._arrays[step] = np.empty(shape, dtype)
        return array

    def illuminator(self, spec: IlluminationSpec) -> Illuminator:
        """Return the illuminator for this declaration, with its buffers."""
        if self._illuminator is None or self._illuminator.spec != spec:
            self._illuminator = Illuminator(spec)
        return self._illuminator

    def tiling(self, spec: TileSpec, picture: tuple[int, int], scale: tuple[int, int]) -> Tiling:
        """Return the tiling for pictures of this width and height, with its buffers."""
        tiling = self._tiling
        if tiling is None or (tiling.spec, tiling.picture, tiling.scale) != (spec, picture, scale):
            tiling = self._tiling = Tiling(spec, picture, scale)
        return tiling


def prepare(frame: Frame, spec: BundleSpec, workspace: Workspace | None = None) -> Prepared:
    """Do what the bundle asks for, in this order: depth, colour to grey, illumination, resize, grey to colour.

    A frame that is already right is passed through without a copy.

    Raises:
        FrameSizeMismatch: the frame differs from a size that the bundle fixes, and it resizes and tiles nothing; or from
            the one that the engine was built for.
    """
    work = workspace if workspace is not None else Workspace()
    height, width = frame.pixels.shape[:2]
    taken = spec.input.size
    # where the graph resizes, only an engine that was built for one size has a size here
    if spec.resize.where != "host" and spec.tile is None and taken not in ("any", (width, height)):
        raise FrameSizeMismatch(
            f"the frame is {width}x{height}, the bundle takes {taken[0]}x{taken[1]} and resizes nothing"
            if spec.resize.where == "none"
            else f"the frame is {width}x{height}, the engine was built for {taken[0]}x{taken[1]}: model.frame_size"
        )
    pixels = _to_bits(frame.pixels, frame.bits, spec.input.bits, work)
    if pixels.ndim == 3 and spec.input.channels == 1:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY, dst=work.array("grey", (height, width), pixels.dtype))
    if spec.illumination is not None:
        illuminator = work.illuminator(spec.illumination)
        pixels = illuminator.apply(
            pixels if illuminator.grey_first else _to_channels(pixels, spec.input.channels, "colour_first", work)
        )
    size = spec.resize.size
    if spec.resize.where == "host" and size is not None and size != (width, height):
        fit = fit_of(spec.resize, width, height)
        if fit.inner != (width, height):
            resized = work.array("resized", (fit.inner[1], fit.inner[0], *pixels.shape[2:]), pixels.dtype)
            if spec.resize.kernel == "area":
                pixels = area_resize(pixels, resized, work.array)
            else:
                pixels = cv2.resize(pixels, fit.inner, dst=resized, interpolation=KERNELS[spec.resize.kernel])
        if fit.inner != size:
            pixels = _placed(pixels, spec, fit, work)
    pixels = _to_channels(pixels, spec.input.channels, "colour", work)
    image = pixels if pixels.ndim == 3 else pixels[:, :, None]
    return Prepared(image, to_frame(spec, width, height))


def _placed(pixels: NDArray[Any], spec: BundleSpec, fit: FrameFit, work: Workspace) -> NDArray[Any]:
    """Put the resized frame between the bars of a letterbox, or cut the picture out of its middle."""
    width, height = spec.resize.size or fit.inner
    out = work.array("placed", (height, width, *pixels.shape[2:]), pixels.dtype)
    left, top = max(fit.left, 0), max(fit.top, 0)
    x, y = max(-fit.left, 0), max(-fit.top, 0)
    across, down = min(fit.inner[0] - x, width - left), min(fit.inner[1] - y, height - top)
    if across < width or down < height:
        out[...] = round(spec.resize.pad / 255 * (2**spec.input.bits - 1))
    np.copyto(out[top : top + down, left : left + across], pixels[y : y + down, x : x + across])
    return out


def _to_channels(pixels: NDArray[Any], channels: int, step: str, work: Workspace) -> NDArray[Any]:
    """Make three equal channels of grey, if the bundle takes colour."""
    if pixels.ndim == 3 or channels == 1:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB, dst=work.array(step, (*pixels.shape, 3), pixels.dtype))


def _to_bits(pixels: NDArray[Any], bits: int, wanted: int, work: Workspace) -> NDArray[Any]:
    """Return the same pixels with ``wanted`` bits by an exact shift: right by dropping low bits, left by zeros.

    The result is uint8 for 8 bits, uint16 for more; it is ``pixels`` itself if nothing is to do.
    """
    dtype = np.dtype(np.uint8 if wanted == 8 else np.uint16)
    if bits == wanted and pixels.dtype == dtype:
        return pixels
    out = work.array("bits", pixels.shape, dtype)
    # one pass; the cast to uint8 loses nothing, for the values fit after the shift
    if bits >= wanted:
        np.right_shift(pixels, np.uint8(bits - wanted), out=out, casting="unsafe")
    else:
        np.left_shift(pixels, np.uint8(wanted - bits), out=out, dtype=dtype, casting="unsafe")
    return out


def to_frame(spec: BundleSpec, width: int, height: int) -> tuple[float, float, float, float]:
    """Return ``map_to_image`` for a frame of this size: the bundle's own, times what the resize, host or graph, took
    away.
    """
    return fit_of(spec.resize, width, height).to_frame(spec.map_to_image, width, height)
