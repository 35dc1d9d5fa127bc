"""Pictures that a build is checked on: generated ones, larger ones that go through the host's resize, given frames."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec
from edge.engines.probe_pictures import generated_pictures
from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.build.tiles import middle_tile
from edge.preprocess.prepare import Workspace, prepare

RANDOM = 4
"""Of the generated pictures these come first, all of one size."""
_MOST_FRAMES = 16
_HALF = 0.501
"""Of a grey level: exact means are rounded to the nearest, halves either way."""
_FLOAT = 5e-7
"""Of full scale: what float32 sums miss besides; 0.03 grey levels of 16 bits."""

Pictures = dict[str, NDArray[Any]]


def generated(spec: BundleSpec, fed: tuple[int, int]) -> Pictures:
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
            if spec.resize.kernel == "area" and spec.illumination is None and spec.tile is None:
                _expect_means(pixels, pictures[f"larger {name}"], _HALF + _FLOAT * 2**bits)
    return pictures


def given(spec: BundleSpec, frames: Iterable[Frame]) -> Pictures:
    """The first 16 frames as the graph takes them, a tile from the middle where there are tiles."""
    workspace = Workspace()
    return {
        f"frame {frame.meta.frame_ref or index}": _prepared(frame, spec, workspace)
        for index, frame in enumerate(islice(frames, _MOST_FRAMES))
    }


def _prepared(frame: Frame, spec: BundleSpec, workspace: Workspace) -> NDArray[Any]:
    image = prepare(frame, spec, workspace).image
    return middle_tile(image, spec.tile) if spec.tile else image.copy()


def _as_frame(pixels: NDArray[Any], bits: int) -> Frame:
    height, width, channels = pixels.shape
    meta = FrameMeta(0, "counted", width, height, "Mono8" if channels == 1 else "RGB8", 0, 0)
    return Frame(meta, pixels[:, :, 0] if channels == 1 else pixels, bits)


def _expect_means(pixels: NDArray[Any], resized: NDArray[Any], allowed: float) -> None:
    down, across = (_shares(pixels.shape[axis], resized.shape[axis]) for axis in (0, 1))
    exact = np.einsum("yh,hwc,xw->yxc", down, pixels.astype(np.float64), across, optimize=True)
    off = float(np.abs(resized - exact).max())
    if off > allowed:
        raise UserError(
            "the resize on the host gives other numbers than the means of what each pixel covers",
            received=f"a difference of {off:.3g} grey levels",
            expected="at most 0.5",
            fix="report it with the versions of NumPy and OpenCV; until then build with --resize graph",
        )


def _shares(side: int, result: int) -> NDArray[np.float64]:
    """(result, side): how much of each pixel goes into each pixel of the result."""
    edges = np.arange(result + 1) * (side / result)
    at = np.arange(side)
    covered = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.asarray(np.clip(covered, 0, None) * (result / side))
