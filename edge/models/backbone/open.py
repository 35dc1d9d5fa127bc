"""A backbone is opened here: a network whose features a model is made of, by its name or from anybody's ONNX file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from edge.config.bundle import sha256_of
from edge.errors import UserError
from edge.models import graphs
from edge.models.backbone import gabor, lite0
from edge.models.backbone.layers import Layer, find_layers
from edge.models.build.foreign import ModelInput, read_input
from edge.models.build.options import BuildOptions
from edge.models.build.wrap import InputTransform, fed_by_frames, input_transform_of

NAMES = ("lite0", "gabor")
"""Backbones that are known by a name: EfficientNet-Lite0 with ImageNet weights, and filters without weights."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of RGB values 0 to 1, as networks from torchvision and timm take them if nobody says otherwise."""


@dataclass(frozen=True, slots=True)
class PixelScaling:
    """A foreign network takes ``(pixel * scale - mean) / std``; this says so if its file can't.

    All None: a file that takes uint8 takes it as it is, and one that takes float32 takes RGB values 0 to 1, less ImageNet's
    mean, over its deviation.
    """

    scale: float | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    order: Literal["rgb", "bgr"] = "rgb"


@dataclass(frozen=True, slots=True)
class Backbone:
    """A backbone is a network in the form of a bundle: its input is ``frame`` uint8 (n, H, W, C).

    ``what`` is the name or the file that it came from. ``size`` is width and height if it takes no other, otherwise None.
    ``provenance`` says where the weights come from.
    """

    what: str
    model: onnx.ModelProto
    layers: tuple[Layer, ...]
    size: tuple[int, int] | None
    provenance: dict[str, str]


def open_backbone(what: Path, channels: Literal[1, 3] | None = None, pixels: PixelScaling | None = None) -> Backbone:
    """Return the backbone ``what``: one of ``NAMES``, or an ONNX file, for pictures of ``channels``.

    ``channels`` None: those that the network was trained on. A network of colour takes grey pictures, three times over.

    Raises:
        UserError: no such name and no such file; the weights aren't installed or are others; the file is no ONNX model of
            one picture, takes grey pictures where the given ones are of colour, or has no layer of features.
    """
    if str(what) in NAMES:
        if pixels not in (None, PixelScaling()):
            raise UserError(f"{what}: what it takes is known", received="scale, mean, std or bgr", fix="leave them out")
        if str(what) == "gabor":
            model = gabor.gabor(channels or 3)
        else:
            model = lite0.lite0(lite0.weights_path(), grey=channels == 1)
        named = {"name": str(what)} | _provenance(model, None)
        return Backbone(str(what), model, find_layers(model, str(what)), None, named)
    if not what.exists():
        raise UserError(f"--backbone: there is no file {what}", expected=f"an ONNX file, or one of: {', '.join(NAMES)}")
    model = graphs.load_model(what)
    fed, taken = _fed(model, what, channels, pixels or PixelScaling())
    shape = graphs.dims(graphs.inputs(fed)[0])
    size = (shape[2], shape[1]) if shape[1] is not None and shape[2] is not None else None
    return Backbone(str(what), fed, find_layers(fed, str(what)), size, _provenance(model, what) | taken)


def default_backbone() -> Path:
    """Return the backbone to use where nobody names one: ``lite0`` where its weights are installed, else ``gabor``."""
    return Path("lite0" if lite0.is_installed() else "gabor")


def with_any_size(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that takes pictures of any size and number, or ``model`` itself where its nodes don't allow that.

    Exporters fix the size although convolutions don't mind; what minds is behind the layers, and was cut off.
    """
    shape = graphs.dims(graphs.inputs(model)[0])
    if shape[:3] == [None, None, None]:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.input[:], copy.graph.value_info[:]
    copy.graph.input.append(graphs.value("frame", onnx.TensorProto.UINT8, ["n", "H", "W", shape[3] or 3]))
    height, width = ((side or 192) + 64 for side in shape[1:3])
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, shape[3] or 3), np.uint8)
    try:
        session = graphs.session(copy, "the network")
        both, second = graphs.run_graph(session, frames), graphs.run_graph(session, frames[1:])
    except Exception:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
        return model
    same = all(np.allclose(both[name][1:], values, rtol=1e-4, atol=1e-4) for name, values in second.items())
    return copy if same else model


def _fed(
    model: onnx.ModelProto, path: Path, channels: Literal[1, 3] | None, pixels: PixelScaling
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Return the network with ``frame`` for its input, and in words what happens to the pixels on their way into it."""
    taken = read_input(model, path, None, channels)
    if taken.batch not in (None, 1):
        raise UserError(
            f"{path}: the network takes {taken.batch} pictures at a time",
            expected="one, or any number",
            fix="export it with a batch of 1 or a dynamic one",
        )
    if channels == 3 and taken.channels == 1:
        raise UserError(
            f"{path}: the network takes grey pictures, and these are of colour",
            fix="make the backbone without --grey",
        )
    if taken.name == "frame" and taken.dtype == "uint8" and taken.layout == "nhwc" and channels in (None, taken.channels):
        return model, {}
    transform = _transform(taken, path, channels, pixels)
    numbers = (transform.scale, transform.mean, transform.std)
    if taken.dtype == "uint8":
        text = "as they are"
    elif numbers == (None, IMAGENET_MEAN, IMAGENET_STD):
        text = f"{transform.order} values 0 to 1, less ImageNet's mean, over its deviation"
    else:
        text = f"{transform.order} values * {numbers[0] or 1 / 255:.6g} - {numbers[1] or 0}, over {numbers[2] or 1}"
    return fed_by_frames(model, taken, transform), {"pixels": text}


def _transform(taken: ModelInput, path: Path, channels: Literal[1, 3] | None, pixels: PixelScaling) -> InputTransform:
    mean, std = pixels.mean, pixels.std
    if taken.dtype == "float32" and pixels.scale is None and mean is None and std is None and taken.channels == 3:
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    options = BuildOptions(channels=channels, scale=pixels.scale, mean=mean, std=std, order=pixels.order)
    return input_transform_of(taken, options, path)


def identity_of(provenance: Mapping[str, str]) -> str:
    """Return what tells a network from another, by its ``provenance``: the hash of its weights, else of its file."""
    return provenance.get("weights_sha256") or provenance.get("file_sha256") or provenance.get("backbone", "")


def _provenance(model: onnx.ModelProto, path: Path | None) -> dict[str, str]:
    """Return what the file says about itself, and its name and hash."""
    known = ("backbone", "weights", "weights_sha256", "licence", "pixels")
    found = {p.key: p.value for p in model.metadata_props if p.key in known}
    return found if path is None else {**found, "file": path.name, "file_sha256": sha256_of(path)}
