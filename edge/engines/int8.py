"""An int8 graph is made from a bundle's: convolutions between QuantizeLinear and DequantizeLinear, scales from sample
frames.

These are ONNX's own operators, so both CPU runtimes take it. Only convolutions with at least eight channels on both sides
become int8: they are most of the work, while distances (PatchCore's products with its memory) and the smoothing of the map
lose their meaning in 8 bits. Activations are unsigned with a zero point: OpenVINO 2026.4 gave wrong maps with signed ones.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import structlog
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from edge.config.bundle import Bundle
from edge.engines.cache import cache_folder, pictures_sha256, shrink_cache
from edge.engines.probe_pictures import for_scales
from edge.engines.protocol import SamplePictures
from edge.errors import UserError
from edge.storage.disk import write_whole

log = structlog.get_logger()

_FORM = 1
"""Part of the cache's key; it counts changes in how the graph is made."""
_HASH_BYTES = 32
_LEAST_CHANNELS = 8
_PER_CHANNEL_OPSET = 13
_SYMMETRIC = {"ActivationSymmetric": True, "AddQDQPairToWeight": True, "QuantizeBias": False}


def int8_graph(bundle: Bundle, samples: SamplePictures | None, *, symmetric: bool = False) -> bytes:
    """Return the serialised graph, from the cache if it was made before.

    ``symmetric`` means signed activations without zero points and biases in float32, which is all that TensorRT takes.

    Raises:
        UserError: no sample frames, or nothing in the graph that int8 would speed up.
    """
    if samples is None:
        raise UserError(
            "model.precision: int8 needs frames to take its scales from",
            fix="set model.sample_frames: a folder of typical frames",
        )
    pictures = [np.array(p) for p in for_scales(samples)]
    folder = cache_folder("int8")
    path = folder / _key(bundle, pictures, symmetric=symmetric) if folder is not None else None
    cached = _kept(path) if path is not None else None
    if cached is not None:
        return cached
    log.info("int8_graph_begins", model=bundle.spec.name, frames=len(pictures))
    with tempfile.TemporaryDirectory() as scratch:
        data = _quantised(bundle, pictures, Path(scratch), symmetric=symmetric).read_bytes()
    if path is not None:
        _keep(path, data)
    return data


def _keep(path: Path, data: bytes) -> None:
    """Write the graph whole or not at all, for another line may be reading; a full disk costs the next start time, not this
    one.
    """
    try:
        shrink_cache(path.parent)
        write_whole(path, hashlib.sha256(data).digest() + data)
    except OSError as error:
        log.warning("int8_graph_not_kept", path=str(path), why=error.strerror, effect="the next start makes it again")


def _kept(path: Path) -> bytes | None:
    """Return the graph from a file of the cache, behind its own hash; None if it is missing or spoilt."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    data = content[_HASH_BYTES:]
    if content[:_HASH_BYTES] == hashlib.sha256(data).digest():
        return data
    log.warning("cache_spoilt", path=str(path))
    return None


def _key(bundle: Bundle, pictures: list[NDArray[Any]], *, symmetric: bool) -> str:
    parts = (_FORM, symmetric, ort.__version__, onnx.__version__, bundle.sha256, pictures_sha256(pictures))
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()[:32]


def _quantised(bundle: Bundle, pictures: list[NDArray[Any]], scratch: Path, *, symmetric: bool) -> Path:
    model = _folded(bundle, scratch / "folded.onnx")
    left_out = _unsuitable(model)
    if len(left_out) == sum(node.op_type == "Conv" for node in model.graph.node):
        raise UserError(
            f"{bundle.model_path}: nothing in this model that int8 would speed up",
            received=f"{len(left_out)} convolutions, none with {_LEAST_CHANNELS} channels on both sides",
            fix="set model.precision: fp32",
        )
    out = scratch / "int8.onnx"
    quantize_static(
        model,
        out,
        _Reader(pictures),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=left_out,
        extra_options={"WeightSymmetric": True} | (_SYMMETRIC if symmetric else {}),
    )
    return out


def _folded(bundle: Bundle, path: Path) -> onnx.ModelProto:
    """Return the graph after ONNX Runtime's basic steps: weights that exporters left behind an Identity are weights
    again.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    ort.InferenceSession(bundle.model_path, options, providers=["CPUExecutionProvider"])
    model = onnx.load(path)
    opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if opset < _PER_CHANNEL_OPSET:
        model = onnx.version_converter.convert_version(model, _PER_CHANNEL_OPSET)
    for index, node in enumerate(model.graph.node):
        node.name = f"{index}:{node.name}"  # what is left out is reported by name, and names may be empty or stand twice
    add_pre_process_metadata(model)
    return model


def _unsuitable(model: onnx.ModelProto) -> list[str]:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [n.name for n in convolutions if min(shapes.get(n.input[1], (0, 0))[:2]) < _LEAST_CHANNELS]


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Gives pictures one by one, as ONNX Runtime's quantiser asks for them."""

    def __init__(self, pictures: list[NDArray[Any]]) -> None:
        self._left: Iterator[NDArray[Any]] = iter(pictures)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        picture = next(self._left, None)
        return None if picture is None else {"frame": picture[None]}
