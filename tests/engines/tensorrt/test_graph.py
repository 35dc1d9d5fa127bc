"""The graph that TensorRT gets gives the bundle's numbers: checked under ONNX Runtime, which reads the same operators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, numpy_helper
from support.graphs import graph_model, identity_model, node, tensor, write_identity_bundle

from edge.config.bundle import Bundle
from edge.engines.tensorrt.graph import batch_of, typed_graph
from edge.errors import UserError

SIZE = 24


def network(folder: Path, bits: int = 8) -> Bundle:
    """Scale, two convolutions of 8 channels, and a map that sees the scaled frame beside them."""
    rng = np.random.default_rng(3)
    weights = {
        "white": np.float32(2**bits - 1),
        "w1": rng.standard_normal((8, 1, 3, 3)).astype(np.float32) / 3,
        "w2": rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8,
    }
    nodes = [
        node("Transpose", ["frame"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Cast", ["nchw"], ["pixels"], to=TensorProto.FLOAT),
        node("Div", ["pixels", "white"], ["scaled"]),
        node("Conv", ["scaled", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        node("Mul", ["scaled", "scaled"], ["square"]),  # two that read one value and stay float32
        node("Sub", ["scaled", "square"], ["beside"]),
        node("Add", ["c2", "beside"], ["sum"]),
        node("ReduceMean", ["sum"], ["map"], axes=[1], keepdims=0),
    ]
    frame = tensor("frame", TensorProto.UINT8 if bits == 8 else TensorProto.UINT16, ["n", SIZE, SIZE, 1])
    amap = tensor("map", TensorProto.FLOAT, ["n", SIZE, SIZE])
    return write_identity_bundle(folder, 1, (SIZE, SIZE), model=graph_model(nodes, [frame], [amap], weights))


def noise(seed: int, bits: int = 8) -> Any:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (SIZE, SIZE, 1), dtype)


def samples() -> Any:
    return (noise(k) for k in range(9))


def run(model: onnx.ModelProto | Path, frame: Any) -> Any:
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return ort.InferenceSession(source, providers=["CPUExecutionProvider"]).run(["map"], {"frame": frame})[0]


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 0.0), ("fp16", 2e-3), ("int8", 3e-2)])
def test_the_numbers_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any, limit: float) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    bundle = network(tmp_path / "b")
    model = typed_graph(bundle, precision, (2, SIZE, SIZE, 1), samples)
    onnx.checker.check_model(model)
    frames = np.stack([noise(0), noise(100)])
    want, got = run(bundle.model_path, frames), run(model, frames)
    assert got.dtype == np.float32
    assert np.quantile(np.abs(got - want), 0.999) <= limit * np.ptp(want)


def test_half_precision_begins_at_the_first_convolution(tmp_path: Path) -> None:
    """Before it, float32 passes from node to node without a detour through half precision."""
    model = typed_graph(network(tmp_path / "b"), "fp16", (1, SIZE, SIZE, 1), None)
    types = {t.name: t.type.tensor_type.elem_type for t in onnx.shape_inference.infer_shapes(model).graph.value_info}
    half = TensorProto.FLOAT16
    by_kind = {n.op_type: types.get(n.output[0]) for n in model.graph.node}
    assert by_kind["Conv"] == by_kind["Relu"] == half
    assert by_kind["Div"] == by_kind["Add"] == TensorProto.FLOAT
    assert {numpy_helper.to_array(w).dtype for w in model.graph.initializer if w.name.startswith("w")} == {
        np.dtype(np.float16),
        np.dtype(np.float32),
    }, "weights are half, the divisor of the head is not"


def test_16_bit_frames_do_not_overflow_in_half_precision(tmp_path: Path) -> None:
    bundle = network(tmp_path / "b", bits=16)
    frame = np.full((1, SIZE, SIZE, 1), 65535, np.uint16)
    model = typed_graph(bundle, "fp16", (1, SIZE, SIZE, 1), None)
    assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.INT32, "TensorRT knows no uint16"
    want, got = run(bundle.model_path, frame), run(model, frame.astype(np.int32))
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() <= 2e-3 * np.abs(want).max()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_nothing_but_a_cast_touches_the_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    model = typed_graph(network(tmp_path / "b"), precision, (1, SIZE, SIZE, 1), samples)
    takers = [n.op_type for n in model.graph.node if "frame" in n.input]
    assert set(takers) == {"Cast"}
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, SIZE, SIZE, 1]


def test_int8_has_no_zero_points_and_no_int32_biases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    model = typed_graph(network(tmp_path / "b"), "int8", (1, SIZE, SIZE, 1), samples)
    values = {w.name: numpy_helper.to_array(w) for w in model.graph.initializer}
    quantisers = [n for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len([n for n in quantisers if n.op_type == "DequantizeLinear"]) >= 2
    for quantiser in quantisers:
        point = values[quantiser.input[2]]
        assert point.dtype == np.int8
        assert (point == 0).all()


def test_int8_without_samples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"model\.precision: int8 needs frames to take its scales from"):
        typed_graph(network(tmp_path / "b"), "int8", (1, SIZE, SIZE, 1), None)


def test_the_batch_is_the_graphs(tmp_path: Path) -> None:
    assert batch_of(network(tmp_path / "a")) is None
    model = identity_model(1, (8, 8))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert batch_of(write_identity_bundle(tmp_path / "b", 1, (8, 8), model=model)) == 1
