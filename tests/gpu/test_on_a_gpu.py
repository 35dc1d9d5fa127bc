"""TensorRT for real: the same maps as ONNX Runtime, in order with two frames on the device, from a cache that holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog
from onnx import TensorProto
from support.graphs import graph_model, identity_model, node, tensor, write_identity_bundle

from edge.config.bundle import Bundle
from edge.config.line import ModelConfig
from edge.engines.lane import Lane
from edge.engines.onnx import OnnxEngine
from edge.engines.open import open_engine
from edge.engines.tensorrt import cuda as cuda_module
from edge.engines.tensorrt.engine import TensorrtEngine
from edge.errors import UserError

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]
SIZE = 64


def noise(seed: int, bits: int = 8) -> Any:
    dtype = np.uint8 if bits == 8 else np.uint16
    return np.random.default_rng(seed).integers(0, 2**bits, (SIZE, SIZE, 1), dtype)


def samples() -> Any:
    return (noise(k) for k in range(9))


def network(folder: Path, *, depth: int = 2) -> Bundle:
    """``depth`` convolutions of 16 channels between the frame and its map."""
    rng = np.random.default_rng(3)
    weights: dict[str, Any] = {"white": np.float32(255), "w0": rng.standard_normal((16, 1, 3, 3)).astype(np.float32) / 3}
    nodes = [
        node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Div", ["nchw", "white"], ["scaled"]),
        node("Conv", ["scaled", "w0"], ["c0"], pads=[1, 1, 1, 1]),
    ]
    for k in range(1, depth):
        weights[f"w{k}"] = rng.standard_normal((16, 16, 3, 3)).astype(np.float32) / 12
        nodes += [
            node("Relu", [f"c{k - 1}"], [f"r{k}"]),
            node("Conv", [f"r{k}", f"w{k}"], [f"c{k}"], pads=[1, 1, 1, 1]),
        ]
    nodes.append(node("ReduceMean", [f"c{depth - 1}"], ["map"], axes=[1], keepdims=0))
    frame = tensor("frame", TensorProto.UINT8, ["n", SIZE, SIZE, 1])
    amap = tensor("map", TensorProto.FLOAT, ["n", SIZE, SIZE])
    return write_identity_bundle(folder, 1, (SIZE, SIZE), model=graph_model(nodes, [frame], [amap], weights))


def opened(bundle: Bundle, **more: Any) -> Any:
    config = ModelConfig(bundle=bundle.folder, engine="tensorrt", **more)
    return open_engine(config, bundle, samples if more.get("precision") == "int8" else None)


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-3), ("fp16", 5e-2), ("int8", 5e-2)])
def test_the_maps_are_onnx_runtimes(tmp_path: Path, precision: Any, limit: float) -> None:
    """Largest difference in fp32, 99.9th percentile below it, as shares of the map's range. Float32 is no TF32."""
    bundle = network(tmp_path / "b")
    more = {"sample_frames": tmp_path} if precision == "int8" else {}
    engine, reference = opened(bundle, precision=precision, **more), OnnxEngine(bundle)
    for seed in range(100, 110):
        want, got = reference.infer(noise(seed)).map, engine.infer(noise(seed)).map
        off = np.abs(got - want)
        assert (off.max() if precision == "fp32" else np.quantile(off, 0.999)) <= limit * np.ptp(want)
    engine.close()
    reference.close()


def test_two_frames_on_the_device_come_out_in_order(tmp_path: Path) -> None:
    bundle = network(tmp_path / "b", depth=8)
    engine = opened(bundle)
    alone = [engine.infer(noise(seed)).map.copy() for seed in range(50)]
    lane: Lane[int] = Lane(engine)
    assert lane.depth == 2
    seen = []
    for seed in range(300):
        lane.submit(seed, noise(seed % 50))
        while lane.full or (seed == 299 and lane.pending):
            ticket, outcome = lane.collect()
            assert not isinstance(outcome, Exception)
            assert (outcome.map == alone[ticket % 50]).all()
            seen.append(ticket)
    assert seen == list(range(300))
    engine.close()


def test_cuda_graphs_are_used_where_the_binding_has_them(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        engine = opened(network(tmp_path / "b"))
    (ready,) = (entry for entry in logs if entry["event"] == "tensorrt_ready")
    assert ready["cuda_graphs"] is (ready["binding"] == "cuda-python")
    engine.close()


def test_the_second_start_builds_nothing(tmp_path: Path) -> None:
    bundle = network(tmp_path / "b")
    first = opened(bundle)
    want = first.infer(noise(0)).map.copy()
    first.close()
    with structlog.testing.capture_logs() as logs:
        second = opened(bundle)
    assert "tensorrt_building" not in [entry["event"] for entry in logs]
    assert (second.infer(noise(0)).map == want).all()
    second.close()


def test_a_damaged_cache_is_built_again(tmp_path: Path) -> None:
    bundle = network(tmp_path / "b")
    opened(bundle).close()
    (file,) = (tmp_path / "cache" / "tensorrt").glob("*.engine")
    file.write_bytes(file.read_bytes()[:-100])
    with structlog.testing.capture_logs() as logs:
        engine = opened(bundle)
    events = [entry["event"] for entry in logs]
    assert events.index("tensorrt_cache_rejected") < events.index("tensorrt_building")
    engine.close()


@pytest.mark.parametrize("binding", cuda_module.BINDINGS, ids=lambda b: b.cls)
def test_each_binding_gives_the_same_maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, binding: Any) -> None:
    pytest.importorskip(binding.package, reason=f"{binding.package} is not installed")
    monkeypatch.setattr(cuda_module, "BINDINGS", (binding,))
    bundle = network(tmp_path / "b")
    engine, reference = opened(bundle), OnnxEngine(bundle)
    for seed in range(5):
        want = reference.infer(noise(seed)).map
        assert np.abs(engine.infer(noise(seed)).map - want).max() <= 1e-3 * np.ptp(want)
    engine.close()
    reference.close()


def test_frames_of_16_bits_and_graphs_without_convolutions(tmp_path: Path) -> None:
    model = identity_model(1, (SIZE, SIZE))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT16
    bundle = write_identity_bundle(tmp_path / "b", 1, (SIZE, SIZE), model=model)
    spec = bundle.spec.model_copy(update={"input": bundle.spec.input.model_copy(update={"bits": 16})})
    engine = opened(Bundle(bundle.folder, spec, bundle.sha256), precision="fp16")
    assert isinstance(engine, TensorrtEngine)
    image = noise(1, bits=16)
    want = image[:, :, 0] / np.float32(255)
    assert np.abs(engine.infer(image).map - want).max() <= 1e-6 * want.max()
    engine.close()


def test_a_model_larger_than_the_memory_is_told_in_words(tmp_path: Path) -> None:
    bundle = write_identity_bundle(tmp_path / "b", 3, "any")
    config = ModelConfig(bundle=bundle.folder, engine="tensorrt", frame_size=(32768, 32768))
    device = cuda_module.open_cuda()
    held = device.malloc(device.free_bytes() - (64 << 20))
    try:
        with pytest.raises(UserError, match=r"^model\.engine: tensorrt: the GPU's memory is too small for the model"):
            open_engine(config, bundle)
    finally:
        device.free(held)
        device.close()
