"""What tests of ``edge build`` share: a model on disk, a refusal's words, pictures, what the original says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto

from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.build.build import build
from edge.models.build.options import BuildOptions
from support.graphs import graph_model, node, tensor

FLOAT = TensorProto.FLOAT


def saved(tmp_path: Path, model: onnx.ModelProto) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    return path


def noise(size: tuple[int, int], channels: int, seed: int = 5) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), np.uint8)


def original(path: Path, feed: Any) -> dict[str, Any]:
    """What ONNX Runtime alone says."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: feed}), strict=True))


def frame(pixels: Any, bits: int = 8) -> Frame:
    height, width = pixels.shape[:2]
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels, bits)


def refusal(path: Path, folder: Path, **options: Any) -> str:
    with pytest.raises(UserError) as caught:
        build(path, folder, BuildOptions(**options))
    assert not folder.exists()
    return str(caught.value).replace(str(path), "M")


def simple(
    shape: list[Any], dtype: int = FLOAT, *, layout: str = "nchw", output: Any = None, opset: int = 17
) -> onnx.ModelProto:
    """Gives map = mean over channels of the input, shape (n, 1, h, w) or (n, h, w, 1)."""
    axis = 1 if layout == "nchw" else 3
    nodes = [node("ReduceMean", ["as_float"], ["heat"], axes=[axis], keepdims=1)]
    first = node(
        "Identity" if dtype == FLOAT else "Cast", ["image"], ["as_float"], **({} if dtype == FLOAT else {"to": FLOAT})
    )
    return graph_model(
        [first, *nodes], [tensor("image", dtype, shape)], [tensor("heat", FLOAT, output or list("abcd"))], opset=opset
    )
