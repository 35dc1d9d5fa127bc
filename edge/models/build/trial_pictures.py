"""A build is checked on these pictures: generated ones, larger ones that go through the host's resize, given frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec
from edge.config.frame_kind import FrameKindSpec, common_kind
from edge.engines.probe_pictures import generated_pictures
from edge.errors import UserError
from edge.frames import Frame, FrameKind, FrameMeta
from edge.models.build.tiles import middle_tile
from edge.preprocess.prepare import Workspace, prepare

RANDOM = 4
"""Names of the generated pictures that come first, all of one size."""
_MOST_FRAMES = 16
_HALF = 0.501
"""Half a grey level: exact means are rounded to the nearest, halves either way."""
_FLOAT = 5e-7
"""Share of full scale that float32 sums miss besides; 0.03 grey levels of 16 bits."""
_SLIVER = 1.001e-3
"""Share of a source pixel: OpenCV's bound of 1e-3, which it compares in floating point."""

NamedPictures = dict[str, NDArray[Any]]


def generated(spec: BundleSpec, fed: tuple[int, int]) -> NamedPictures:
    """By name, (H, W, C) as the graph takes them: four of size ``fed`` (w, h), two larger ones resized on the host.

    Where the graph resizes, all four are of an odd size that it has work with.

    Raises:
        UserError: the resize on the host gives other numbers than exact means over areas. A defect of this program.
    """
    larger = (fed[0] * 3 // 2 + 1, fed[1] * 2 + 3)
    channels, bits = spec.input.channels, spec.input.bits
    if spec.resize.where == "graph":
        return generated_pictures(larger, channels, bits)
    pictures = generated_pictures(fed, channels, bits)
    if spec.resize.where == "host":
        size = spec.resize.size or fed
        larger = (size[0] * 3 // 2 + 1, size[1] * 2 + 3)
        for name, pixels in islice(generated_pictures(larger, channels, bits).items(), 2):
            pictures[f"larger {name}"] = _prepared(_as_frame(pixels, bits), spec, Workspace())
            if _is_plain(spec):
                _check_means(pixels, pictures[f"larger {name}"], bits)
    return pictures


def _is_plain(spec: BundleSpec) -> bool:
    """Whether the prepared picture is the mean of what its pixels cover, and nothing besides."""
    resize = spec.resize
    return resize.kernel == "area" and resize.fit == "stretch" and spec.illumination is None and spec.tile is None


def given(spec: BundleSpec, frames: Iterable[Frame]) -> NamedPictures:
    """Return the first 16 frames as the graph takes them, a tile from the middle if there are tiles."""
    workspace = Workspace()
    return {
        f"frame {frame.meta.frame_ref or index}": _prepared(frame, spec, workspace)
        for index, frame in enumerate(islice(frames, _MOST_FRAMES))
    }


def kind_of(frames: Iterable[Frame]) -> FrameKindSpec | None:
    """What the first 16 frames have in common; None if there are none."""
    kinds = [FrameKind.of(frame) for frame in islice(frames, _MOST_FRAMES)]
    return common_kind(kinds) if kinds else None


def _prepared(frame: Frame, spec: BundleSpec, workspace: Workspace) -> NDArray[Any]:
    image = prepare(frame, spec, workspace).image
    return middle_tile(image, spec.tile) if spec.tile else image.copy()


def _as_frame(pixels: NDArray[Any], bits: int) -> Frame:
    height, width, channels = pixels.shape
    meta = FrameMeta(
        frame_id=0,
        frame_id_source="counted",
        width=width,
        height=height,
        pixel_format="Mono8" if channels == 1 else "RGB8",
        received_ns=0,
        received_mono_ns=0,
    )
    return Frame(meta, pixels[:, :, 0] if channels == 1 else pixels, bits)


def _check_means(pixels: NDArray[Any], resized: NDArray[Any], bits: int) -> None:
    """Raises UserError where a value departs from the exact mean by more than rounding and OpenCV's shortcut explain."""
    (down, left_down), (across, left_across) = (_borders(pixels.shape[axis], resized.shape[axis]) for axis in (0, 1))
    exact = _means(_means(pixels, down, 0), across, 1)
    left_out = left_down[:, None, None] + left_across[None, :, None]
    allowed = _HALF + (_FLOAT + left_out) * 2**bits
    off = np.abs(resized - exact)
    if (off > allowed).any():
        worst = np.unravel_index(np.argmax(off - allowed), off.shape)
        raise UserError(
            "the resize on the host gives other numbers than the means of what each pixel covers",
            received=f"a difference of {off[worst]:.3g} grey levels",
            expected=f"at most {allowed[worst[:2]][0]:.3g}",
            fix="report it with the versions of NumPy and OpenCV; until then build with --kernel linear",
        )


_Borders: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Where pixels of the result begin and end, in px of the source: whole ones, and the rest."""


def _borders(side: int, result: int) -> tuple[_Borders, NDArray[np.float64]]:
    """Borders along one axis, and for each pixel of the result the share of it that OpenCV leaves out.

    INTER_AREA passes over a pixel of which a result covers less than 1e-3 (``computeResizeAreaTab``), so a mean may lack
    up to 1e-3 of full scale at each end.
    """
    whole, rest = np.divmod(np.arange(result + 1, dtype=np.int64) * side, result)
    first, last = 1 - rest[:-1] / result, rest[1:] / result
    slivers = np.where(first < _SLIVER, first, 0) + np.where(last < _SLIVER, last, 0)
    return (whole, rest / result), slivers * (result / side)


def _means(values: NDArray[Any], borders: _Borders, axis: int) -> NDArray[np.float64]:
    """Means between neighbouring borders along ``axis``; in float64, in which sums of whole numbers are exact."""
    source = np.moveaxis(values, axis, 0)
    whole, rest = borders
    shape = (-1, *[1] * (source.ndim - 1))
    parts = source[whole[:-1]] * rest[:-1].reshape(shape)
    totals = np.add.reduceat(source, whole[:-1], axis=0, dtype=np.float64) - parts
    totals[:-1] += parts[1:]
    return np.moveaxis(totals * ((len(whole) - 1) / len(source)), 0, axis)
