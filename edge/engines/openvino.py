"""OpenVINO runs the model on the CPU."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines import cpu
from edge.engines.batch import split_predictions
from edge.engines.cache import cache_folder, shrink_cache
from edge.engines.graph_io import (
    RESULT_SETS,
    Outputs,
    blank_picture,
    check_first,
    check_input,
    check_outputs,
    does_not_run,
    prediction,
)
from edge.engines.protocol import Engine, Prediction, SamplePictures
from edge.errors import UserError

# imported plainly, openvino reports its use over the network from a thread of its own; without this module it doesn't
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
try:
    import openvino as ov
except ImportError as error:
    raise UserError(
        "model.engine: openvino: the package openvino cannot be imported",
        received=str(error),
        fix="pip install 'edge-inspect[openvino]', or set model.engine: onnx",
    ) from None

log = structlog.get_logger()

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision of what is not in int8 anyway. It is never left to the runtime, which takes bf16 wherever the CPU has
AVX-512."""
_TYPES = {"u8": "uint8", "u16": "uint16", "f32": "float", "f64": "double", "f16": "float16", "bf16": "bfloat16"}
_KEPT_SHAPES = 4
"""Number of compiled shapes kept: another size takes 0.1 to 1 s to compile, and replay of a mixed folder comes back to a
few."""


@dataclass(frozen=True, slots=True)
class _Port:
    """The check of inputs and outputs asks for this much of each."""

    name: str
    type: str
    shape: tuple[int | None, ...]


@dataclass(slots=True)
class _Shaped:
    """The model compiled for pictures of one shape has requests with buffers that they write into, in turn."""

    compiled: Any
    slots: list[tuple[Any, Outputs]]
    turn: int = 0


class OpenvinoEngine(Engine):
    """The engine has one stream in latency mode. The picture is read in place; outputs are written into four buffers in
    turn.

    ``precision`` is ``fp32``, ``bf16``, or ``int8`` with scales from ``samples``. Threads are not pinned to cores, because
    the lines of several cameras on one machine would all be pinned to the same ones. ``batch`` is the number of pictures of
    one run, if the graph takes them and frames are not cut into tiles.
    """

    name = "openvino"

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 1,
        precision: str = "fp32",
        samples: SamplePictures | None = None,
        batch: int = 1,
    ) -> None:
        self.bundle = bundle
        self.precision = precision
        self._core = ov.Core()
        _check_precision(precision, self._core)
        self._settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "ENABLE_CPU_PINNING": False,
        }
        folder = cache_folder("openvino")
        if folder is not None:
            self._settings["CACHE_DIR"] = str(folder)
            shrink_cache(folder)
        self._model: Any = self._read(samples)
        inputs = [_port(port, ()) for port in self._model.inputs]
        check_input(inputs, bundle)
        wanted = ("map", "score", "embedding")
        self._outputs = check_outputs([_port(port, wanted) for port in self._model.outputs], bundle)
        self._takes_batch = inputs[0].shape[0] is None
        self.batch = batch if self._takes_batch and bundle.spec.tile is None else 1
        self._shaped: dict[tuple[int, ...], _Shaped] = {}

    def warm_up(self) -> None:
        blank = blank_picture(self.bundle)
        try:
            for _ in range(2):  # the first compiles, the second writes into buffers
                self.infer(blank)
        except RuntimeError as error:
            raise does_not_run(self.bundle, blank, _reason(error)) from None

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        return prediction(self._run(image), tiles=image.ndim == 4)

    def infer_batch(self, pictures: NDArray[np.uint8] | NDArray[np.uint16]) -> list[Prediction]:
        if len(pictures) == self.batch:
            return split_predictions(self._run(pictures), len(pictures))
        return [self.infer(picture).copy() for picture in pictures]  # another number would be compiled for anew

    def close(self) -> None:
        self._shaped = {}
        self._model = None

    def _run(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Outputs:
        if self._model is None:
            raise RuntimeError("the engine is closed")
        if not image.flags.c_contiguous:
            raise ValueError("the image must be C-contiguous: the runtime reads its memory as it lies")
        shaped = self._shaped.get(image.shape)
        if shaped is None:
            return self._first_of_its_shape(image)
        request, buffers = shaped.slots[shaped.turn]
        shaped.turn = (shaped.turn + 1) % RESULT_SETS
        pictures = image if image.ndim == 4 else image[None]
        if image.ndim == 3 or self._takes_batch:
            request.set_input_tensor(_shared(pictures))
            request.infer(share_outputs=True)
        else:
            for index in range(len(pictures)):
                self._write_to(request, {name: array[index : index + 1] for name, array in buffers.items()})
                request.set_input_tensor(_shared(pictures[index : index + 1]))
                request.infer(share_outputs=True)
        return buffers

    def _read(self, samples: SamplePictures | None) -> Any:
        if self.precision == "int8":
            from edge.engines.int8 import int8_graph

            source: Any = int8_graph(self.bundle, samples)
        else:
            source = str(self.bundle.model_path)
        try:
            return self._core.read_model(source)
        except RuntimeError as error:
            raise UserError(
                f"{self.bundle.model_path}: OpenVINO {ov.__version__.partition('-')[0]} cannot load the model",
                received=_reason(error),
                fix="set model.engine: onnx, or use an OpenVINO that knows its operators",
            ) from None

    def _first_of_its_shape(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Outputs:
        """Compile for this shape, run into tensors that the runtime allocates, and make buffers of their shapes."""
        tiles = image.ndim == 4
        pictures = image if tiles else image[None]
        compiled = self._compiled(pictures.shape if self._takes_batch else (1, *pictures.shape[1:]))
        request = compiled.create_infer_request()
        batches = [pictures] if self._takes_batch else [pictures[i : i + 1] for i in range(len(pictures))]
        runs = []
        for batch in batches:
            request.set_input_tensor(_shared(batch))
            request.infer(share_outputs=True)
            runs.append([np.array(request.get_tensor(name).data) for name in self._outputs])
        outputs = {
            name: values[0] if len(values) == 1 else np.concatenate(values)
            for name, *values in zip(self._outputs, *runs, strict=True)
        }
        check_first(self.bundle, pictures.shape, outputs)
        shaped = _Shaped(compiled, [])
        for _ in range(RESULT_SETS):
            buffers = {name: np.empty_like(array) for name, array in outputs.items()}
            request = compiled.create_infer_request()
            if self._takes_batch or not tiles:
                self._write_to(request, buffers)
            shaped.slots.append((request, buffers))
        while len(self._shaped) >= _KEPT_SHAPES:
            del self._shaped[next(iter(self._shaped))]
        self._shaped[image.shape] = shaped
        return outputs

    def _compiled(self, shape: tuple[int, ...]) -> Any:
        model = self._model.clone()
        model.reshape({"frame": list(shape)})
        compiled = self._core.compile_model(model, "CPU", self._settings)
        took = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        if took != _HINTS[self.precision]:
            raise UserError(
                f"model.precision: {self.precision}: OpenVINO takes another one",
                received=took,
                expected=_HINTS[self.precision],
            )
        return compiled

    def _write_to(self, request: Any, buffers: Outputs) -> None:
        for name, array in buffers.items():
            request.set_tensor(name, ov.Tensor(array, shared_memory=True))


def _shared(pictures: NDArray[Any]) -> Any:
    # a tensor can't lie over memory that is read-only to NumPy, though nothing is written to it
    return ov.Tensor(pictures if pictures.flags.writeable else pictures.copy(), shared_memory=True)


def _port(port: Any, wanted: Sequence[str]) -> _Port:
    """Describe a port; ``wanted`` holds names that count first, where the runtime has put several on one tensor."""
    names = sorted(port.get_names())
    name = next((n for n in wanted if n in names), names[0] if names else "")
    kind = port.get_element_type().get_type_name()
    partial = port.get_partial_shape()
    shape = () if partial.rank.is_dynamic else tuple(d.get_length() if d.is_static else None for d in partial)
    return _Port(name, f"tensor({_TYPES.get(kind, kind)})", shape)


def _check_precision(precision: str, core: Any) -> None:
    if precision not in _HINTS:
        raise UserError(
            f"model.precision: {precision} on openvino: slower than fp32 on a CPU, and not offered",
            expected="fp32, bf16 or int8",
            fix="set model.precision: bf16 or fp32, or use an engine on a GPU",
        )
    lacking = cpu.missing(precision)
    if precision == "bf16" and lacking is None and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        lacking = "bf16, says OpenVINO"
    if lacking is not None:
        raise UserError(
            f"model.precision: {precision}: this CPU has no arithmetic for it",
            received=core.get_property("CPU", "FULL_DEVICE_NAME").strip(),
            expected=f"a CPU with {lacking}",
            fix="set model.precision: fp32",
        )


def _reason(error: Exception) -> str:
    """Return the line that says something, from an error that begins with the runtime's own source files."""
    lines = [line.strip("- ") for line in str(error).splitlines() if line.strip()]
    telling = [
        line for line in lines if not line.startswith(("Exception from", "Check '", "While validating", "FrontEnd API"))
    ]
    named = next((line for line in telling if line.startswith("No conversion rule found")), None)
    return named or (telling[0] if telling else lines[0] if lines else type(error).__name__)
