"""The method ``pixel`` fits the built-in model, mean and deviation of each pixel over good frames, as plain ONNX operators.

It fits a fixed camera over parts that lie alike, and needs no training and no GPU. The map is the distance from the mean in
deviations: ``max over channels of |pixel - mean| / sqrt(variance + floor ** 2)``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import edge
from edge.config.bundle import Bundle
from edge.config.bundle_spec import BundleSpec, DisplaySpec, IlluminationSpec, InputSpec, ResizeSpec
from edge.config.frame_kind import common_kind
from edge.errors import UserError
from edge.frames import Frame, FrameKind, Skip
from edge.models.freeze_illumination import frozen
from edge.models.write import check_target, write_bundle
from edge.preprocess.prepare import Workspace, prepare

OPSET = 17
FLOOR = 2.0
"""Grey levels added (as a variance) to each pixel's deviation. Rounding to whole levels alone deviates by 0.29, a sensor's
noise by about 1; below that, what a few dozen frames show as deviation is chance, and a division by it would cry wolf."""
_DISPLAY = DisplaySpec(threshold=6.0, range=(0.0, 12.0))
"""Threshold for display, in deviations."""


@dataclass(slots=True)
class _Sums:
    """Sums over frames of one shape are kept in float64: exact, for sums of whole numbers stay below 2 ** 53."""

    spec: BundleSpec
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    frames: int = 0
    resized: int = 0
    skipped: list[str] = field(default_factory=list)
    workspace: Workspace = field(default_factory=Workspace)

    def add(self, frame: Frame) -> None:
        image: Any = prepare(frame, self.spec, self.workspace).image
        cv2.accumulate(image, self.total)
        cv2.accumulateSquare(image, self.squares)
        self.frames += 1

    def mean_and_deviation(self, floor: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Both (H, W, C). The variance is averaged over 3x3 neighbours first.

        From n frames a variance is known to sqrt(2 / (n - 1)) of itself, half for n = 9; nine neighbours bring that down up
        to threefold. An edge that shifts by less than a pixel from part to part is then also allowed on its other side.
        """
        mean = self.total / self.frames
        variance = np.maximum(self.squares - self.total * mean, 0) / (self.frames - 1)
        smooth = cv2.blur(variance, (3, 3), borderType=cv2.BORDER_REFLECT_101).reshape(variance.shape)
        return mean.astype(np.float32), np.sqrt(smooth + floor**2).astype(np.float32)


def fit(
    frames: Iterable[Frame | Skip],
    *,
    name: str,
    size: tuple[int, int] | None = None,
    max_side: int = 1024,
    floor: float = FLOOR,
    illumination: IlluminationSpec | None = None,
    source: str = "",
) -> tuple[onnx.ModelProto, BundleSpec]:
    """Fit the model of these good frames and its spec, one frame in memory at a time.

    The first frame sets the channels (grey or colour) and, without ``size`` (width, height), the size of the picture that
    the model sees: its own, or shrunk until the longer side is ``max_side``. Every frame is brought to it as at run time;
    how many had another size stands in the spec's provenance, with the frames that couldn't be read. ``illumination``: the
    model is fitted to what it leaves; statistics that it lacks are measured on the frames first. They must then be iterable
    anew. ``source``: text for the provenance.

    There are no tiles: each pixel has its own place in this model.

    Raises:
        UserError: fewer than two frames could be read.
    """
    light = None if illumination is None else _frozen(illumination, frames, source)
    sums: _Sums | None = None
    skipped: list[str] = []
    first: tuple[int, int] | None = None
    kinds: set[FrameKind] = set()
    for frame in frames:
        if isinstance(frame, Skip):
            skipped.append(frame.frame_ref or f"frame {frame.frame_id_first}")
            continue
        shape = (frame.meta.width, frame.meta.height)
        if sums is None or first is None:
            first = shape
            sums = _empty(frame, name, size or shrunk(shape, max_side), floor, light)
        sums.resized += shape != first
        sums.add(frame)
        kinds.add(FrameKind.of(frame))
    if sums is None or sums.frames < 2:
        raise UserError(
            f"{source or 'the frames'}: too few good frames to fit on",
            received=f"{sums.frames if sums else 0} that can be read"
            + (f", {len(skipped)} that cannot" if skipped else ""),
            expected="at least 2; 20 to 200 make a steady model",
        )
    mean, deviation = sums.mean_and_deviation(floor)
    provenance = {
        "built_with": f"edge {edge.__version__}",
        "built_at": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "model": "mean and deviation of each pixel",
        "formula": "max over channels of |pixel - mean| / sqrt(variance + floor ** 2)",
        "source": source,
        "frames": sums.frames,
        "frames_of_another_size": sums.resized,
        "unreadable": skipped,
        "floor_grey_levels": float(floor),
        "variance_window": 3,
    }
    return _graph(mean, deviation), sums.spec.model_copy(update={"provenance": provenance, "frames": common_kind(kinds)})


def fit_to_bundle(
    frames: Iterable[Frame | Skip],
    folder: Path,
    *,
    name: str | None = None,
    size: tuple[int, int] | None = None,
    max_side: int = 1024,
    floor: float = FLOOR,
    illumination: IlluminationSpec | None = None,
    source: str = "",
    force: bool = False,
) -> Bundle:
    """Call ``fit`` and write the bundle; ``name`` defaults to the folder's.

    Raises:
        UserError: as ``fit`` and ``write_bundle`` do.
    """
    check_target(folder, force=force)
    model, spec = fit(
        frames,
        name=name or folder.absolute().name,
        size=size,
        max_side=max_side,
        floor=floor,
        illumination=illumination,
        source=source,
    )
    return write_bundle(folder, model, spec, force=force)


def shrunk(size: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return width and height with the longer side at most ``max_side``."""
    scale = min(1.0, max_side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _channels(frame: Frame) -> Literal[1, 3]:
    return 1 if frame.pixels.ndim == 2 else 3


def _frozen(declared: IlluminationSpec, frames: Iterable[Frame | Skip], source: str) -> IlluminationSpec:
    if iter(frames) is frames:
        raise TypeError("frames are read more than once: a list or the like, no generator")
    first = next((frame for frame in frames if isinstance(frame, Frame)), None)
    channels = 1 if first is None else _channels(first)
    return frozen(declared, channels, frames, f"give frames that can be read in {source or 'the source'}")


def _empty(frame: Frame, name: str, size: tuple[int, int], floor: float, illumination: IlluminationSpec | None) -> _Sums:
    if not floor > 0:
        raise UserError("floor", received=floor, expected="a number of grey levels above 0")
    channels = _channels(frame)
    spec = BundleSpec(
        name=name,
        input=InputSpec(channels=channels, size=size),
        illumination=illumination,
        resize=ResizeSpec(where="host", kernel="area", size=size),
        map_size=size,
        display=_DISPLAY,
    )
    shape = (size[1], size[0], channels)
    return _Sums(spec, np.zeros(shape), np.zeros(shape))


def _graph(mean: NDArray[np.float32], deviation: NDArray[np.float32]) -> onnx.ModelProto:
    """Six operators: 0.18 ms for 512x512 grey, 0.45 ms for 800x800 grey, 1.0 ms for 512x512 colour, on one thread."""
    height, width, channels = mean.shape
    node = helper.make_node
    over_channels = (
        node("Squeeze", ["distance", "channel_axis"], ["map"])
        if channels == 1
        else node("ReduceMax", ["distance"], ["map"], axes=[3], keepdims=0)
    )
    weights = [
        numpy_helper.from_array(mean, "mean"),
        # a product is faster than a quotient
        numpy_helper.from_array(1 / deviation, "inverse_deviation"),
    ]
    if channels == 1:
        weights.append(numpy_helper.from_array(np.array([3], np.int64), "channel_axis"))
    graph = helper.make_graph(
        [
            node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
            node("Sub", ["pixels", "mean"], ["difference"]),
            node("Mul", ["difference", "inverse_deviation"], ["signed"]),
            node("Abs", ["signed"], ["distance"]),
            over_channels,
            node("ReduceMax", ["map"], ["score"], axes=[1, 2], keepdims=0),
        ],
        "mean_and_deviation",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", height, width, channels])],
        [
            helper.make_tensor_value_info("map", TensorProto.FLOAT, ["n", height, width]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"]),
        ],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edge")
