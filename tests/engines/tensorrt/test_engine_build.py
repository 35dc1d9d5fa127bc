"""Engine files, built for real where there is no GPU: TensorRT-RTX compiles for a compute capability that it is told."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from support.fits import pixel_model
from support.graphs import anomalib_model, graph_model, node, tensor, write_identity_bundle

from edge.config.bundle import Bundle
from edge.engines.tensorrt.engine_build import build_engine, failed
from edge.engines.tensorrt.engine_cache import EngineCache
from edge.engines.tensorrt.graph import typed_graph
from edge.engines.tensorrt.progress import Phases
from edge.engines.tensorrt.runtime import Runtime, configure_build, open_runtime
from edge.errors import UserError
from edge.frames import Frame, FrameMeta
from edge.models.build.build import build as build_bundle
from edge.models.write import write_bundle

pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed: scripts/test --all installs it")

MAGIC = b"vtrt"
AMPERE, ADA = (8, 6), (8, 9)


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    return open_runtime(("tensorrt_rtx",))


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def built_in(folder: Path) -> Bundle:
    """The built-in model of 32x24 frames."""
    meta = FrameMeta(0, "counted", 32, 24, "Mono8", 0, 0)
    model, spec = pixel_model([Frame(meta, noise(24, 32, seed=k)) for k in range(4)], name="built-in")
    return write_bundle(folder, model, spec)


def of_anomalib(style: Any, folder: Path) -> Bundle:
    path = folder.with_suffix(".onnx")
    onnx.save(anomalib_model(style), path)
    return build_bundle(path, folder).bundle


def convolutions(folder: Path) -> Bundle:
    """Two convolutions of 8 channels between the frame (32x32 grey) and its map."""
    rng = np.random.default_rng(3)
    weights = {
        "axis": np.array([1]),
        "w1": rng.standard_normal((8, 1, 3, 3)).astype(np.float32) / 255,
        "w2": rng.standard_normal((8, 8, 3, 3)).astype(np.float32) / 8,
    }
    nodes = [
        node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
        node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        node("Conv", ["nchw", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"]),
        node("Conv", ["r1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
        node("ReduceMean", ["c2"], ["map"], axes=[1], keepdims=0),
    ]
    weights.pop("axis")
    frame, amap = tensor("frame", TensorProto.UINT8, ["n", 32, 32, 1]), tensor("map", TensorProto.FLOAT, ["n", 32, 32])
    return write_identity_bundle(folder, 1, (32, 32), model=graph_model(nodes, [frame], [amap], weights))


def samples() -> Any:
    return (noise(32, 32, 1, seed=k) for k in range(9))


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", ["built-in", "legacy", "dynamo"])
def test_an_engine_file_is_built_without_a_gpu(tmp_path: Path, runtime: Runtime, model: str, precision: Any) -> None:
    bundle = built_in(tmp_path / "b") if model == "built-in" else of_anomalib(model, tmp_path / "b")
    width, height = bundle.spec.input.size if bundle.spec.input.size != "any" else (32, 32)
    graph = typed_graph(bundle, precision, (1, height, width, bundle.spec.input.channels), None)
    phases = Phases()
    payload = build_engine(graph, bundle.model_path, runtime, AMPERE, phases)
    assert payload.startswith(MAGIC)
    assert phases.share == 1.0
    assert runtime.complaint() is None
    cache = EngineCache(tmp_path / "cache")
    cache.store({"model": bundle.sha256}, payload)
    assert cache.load({"model": bundle.sha256}) == payload


def test_int8_convolutions_are_built(tmp_path: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    bundle = convolutions(tmp_path / "b")
    payload = build_engine(typed_graph(bundle, "int8", (1, 32, 32, 1), samples), bundle.model_path, runtime, ADA, Phases())
    assert payload.startswith(MAGIC)


def test_tiles_are_built_as_one_batch(tmp_path: Path, runtime: Runtime) -> None:
    bundle = convolutions(tmp_path / "b")
    payload = build_engine(typed_graph(bundle, "fp32", (6, 32, 32, 1), None), bundle.model_path, runtime, AMPERE, Phases())
    assert payload.startswith(MAGIC)


def test_engine_files_differ_by_the_gpu_they_are_for(tmp_path: Path, runtime: Runtime) -> None:
    bundle = convolutions(tmp_path / "b")
    graph = typed_graph(bundle, "fp32", (1, 32, 32, 1), None)
    one, other = (build_engine(graph, bundle.model_path, runtime, capability, Phases()) for capability in (AMPERE, ADA))
    assert one != other


def test_float32_is_never_tf32_and_an_unnamed_gpu_is_the_one_that_is_there(runtime: Runtime) -> None:
    config = runtime.api.Builder(runtime.logger).create_builder_config()
    assert config.get_flag(runtime.api.BuilderFlag.TF32)
    configure_build(runtime, config, ADA)
    assert not config.get_flag(runtime.api.BuilderFlag.TF32)
    assert config.get_compute_capability(0) == runtime.api.ComputeCapability.SM89
    configure_build(runtime, config, (9, 0))
    assert config.get_compute_capability(0) == runtime.api.ComputeCapability.CURRENT


def test_an_operator_that_tensorrt_lacks_is_named_with_its_node(tmp_path: Path, runtime: Runtime) -> None:
    bundle = convolutions(tmp_path / "b")
    model = typed_graph(bundle, "fp32", (1, 32, 32, 1), None)
    model.opset_import.append(onnx.helper.make_opsetid("maker.example", 1))
    model.graph.node[3].op_type, model.graph.node[3].domain = "Sparkle", "maker.example"
    model.graph.node[3].name = "backbone/sparkle_1"
    with pytest.raises(UserError) as caught:
        build_engine(model, Path("b/model.onnx"), runtime, AMPERE, Phases())
    first, received, fix = str(caught.value).split("\n")
    assert first == (f"b/model.onnx: tensorrt_rtx {runtime.version} cannot take operator Sparkle, node backbone/sparkle_1")
    assert received.startswith("  received: ")
    assert "Plugin not found" in received
    assert fix == "  fix: choose engine: onnx or openvino for this model, or export it without this operator"


def complaining(*texts: str) -> Runtime:
    return Runtime("tensorrt", "10.3.0", SimpleNamespace(), None, deque(texts))


def test_complaints_become_errors_in_words() -> None:
    model = Path("b/model.onnx")
    driver = failed("cannot start", complaining("CUDA initialization failure with error: 35", "echo"), model)
    assert str(driver) == (
        "model.engine: tensorrt: the NVIDIA driver does not fit\n"
        "  received: tensorrt 10.3.0: CUDA initialization failure with error: 35\n"
        "  expected: a driver as new as the CUDA version that TensorRT was built for\n"
        "  fix: update the driver (`nvidia-smi` shows its version and newest CUDA) and restart, "
        "or install an older TensorRT"
    )
    memory = failed(
        "cannot build its engine", complaining("Error Code 2: OutOfMemory (Requested size was 7 bytes.)"), model
    )
    assert memory.what == "model.engine: tensorrt: the GPU's memory is too small for the model"
    other = failed("cannot build its engine", complaining("Error Code 10: no implementation for node conv_7"), model)
    assert str(other) == (
        "b/model.onnx: tensorrt 10.3.0 cannot build its engine\n"
        "  received: Error Code 10: no implementation for node conv_7\n"
        "  fix: choose engine: onnx or openvino for this model, or export it with simpler operators"
    )


def test_a_package_that_is_missing_comes_with_its_pip_command() -> None:
    with pytest.raises(UserError) as caught:
        open_runtime(())
    assert str(caught.value) == (
        "model.engine: tensorrt: no TensorRT is installed\n"
        "  expected: tensorrt or tensorrt_rtx\n"
        "  fix: pip install 'edge-inspect[rtx]' for a desktop RTX card, 'edge-inspect[tensorrt]' for a data-centre card; "
        "on a Jetson it is part of JetPack: docs/tensorrt.md"
    )


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            "__version__ = '8.6.1'",
            "model.engine: tensorrt: tensorrt is too old\n  received: 8.6.1\n  expected: 10.0 or newer\n"
            "  fix: pip install --upgrade tensorrt; on a Jetson: a newer JetPack",
        ),
        (
            "raise ImportError('libnvinfer.so.10: cannot open shared object file')",
            "model.engine: tensorrt: tensorrt is installed but cannot be loaded\n"
            "  received: libnvinfer.so.10: cannot open shared object file\n"
            "  fix: pip install --force-reinstall tensorrt; on a Jetson: JetPack's own packages, docs/tensorrt.md",
        ),
    ],
)
def test_a_package_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, text: str
) -> None:
    (tmp_path / "tensorrt.py").write_text(content)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = sys.modules.pop("tensorrt", None)
    try:
        with pytest.raises(UserError) as caught:
            open_runtime(("tensorrt",))
    finally:
        sys.modules.pop("tensorrt", None)
        if before is not None:
            sys.modules["tensorrt"] = before
    assert str(caught.value) == text
