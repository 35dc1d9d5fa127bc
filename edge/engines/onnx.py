"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.bundle import Bundle
from edge.engines import Prediction
from edge.errors import UserError

_BUFFERS = 4
"""A prediction's map is overwritten by the fourth ``infer`` after it."""
_RANKS = {"map": 3, "score": 1, "embedding": 2}
_SHAPES = {"map": "(n, h, w)", "score": "(n)", "embedding": "(n, d)"}
_WARM_UP_SIZE = (256, 256)
"""For bundles that take any size."""

_Outputs: TypeAlias = dict[str, NDArray[np.float32]]


class OnnxEngine:
    """One session, single stream. Input is read in place and outputs are written into four buffers that take turns.

    ``threads`` work inside one inference. They sleep between frames instead of spinning: spinning would take a core from
    the camera thread for nothing but some microseconds.
    """

    name = "onnx"
    precision = "fp32"

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        self.bundle = bundle
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.log_severity_level = 3  # errors; its warnings are about the exporter's style
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(bundle.model_path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
            raise UserError(
                f"{bundle.model_path}: ONNX Runtime {ort.__version__} cannot load the model",
                received=_first_line(error),
                fix="export the model again, or use an ONNX Runtime that knows its operators",
            ) from None
        _check_input(session.get_inputs(), bundle)
        self._outputs = _check_outputs(session.get_outputs(), bundle)
        self._takes_batch = not isinstance(session.get_inputs()[0].shape[0], int)
        self._session: ort.InferenceSession | None = session
        self._shape: tuple[int, ...] | None = None
        self._slots: list[tuple[ort.IOBinding, _Outputs]] = []
        self._turn = 0

    def warm_up(self) -> None:
        spec = self.bundle.spec
        fed = spec.tile.size if spec.tile else spec.resize.size or _WARM_UP_SIZE
        size = spec.input.size if spec.input.size != "any" else fed
        blank: NDArray[Any] = np.zeros(
            (size[1], size[0], spec.input.channels), np.uint8 if spec.input.bits == 8 else np.uint16
        )
        try:
            self.infer(blank)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  (as above)
            raise UserError(
                f"{self.bundle.model_path}: the model does not run on a blank {size[0]}x{size[1]} picture",
                received=_first_line(error),
            ) from None

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        if self._session is None:
            raise RuntimeError("the engine is closed")
        if not image.flags.c_contiguous:
            raise ValueError("the image must be C-contiguous: the runtime reads its memory as it lies")
        if image.shape != self._shape:
            return self._first_of_its_shape(image)
        binding, buffers = self._slots[self._turn]
        self._turn = (self._turn + 1) % _BUFFERS
        if image.ndim == 3 or self._takes_batch:
            shape = image.shape if image.ndim == 4 else (1, *image.shape)
            binding.bind_input("frame", "cpu", 0, image.dtype.type, shape, image.ctypes.data)
            self._session.run_with_iobinding(binding)
        else:
            for index, tile in enumerate(image):
                _bind_outputs(binding, {name: array[index : index + 1] for name, array in buffers.items()})
                binding.bind_input("frame", "cpu", 0, tile.dtype.type, (1, *tile.shape), tile.ctypes.data)
                self._session.run_with_iobinding(binding)
        return _prediction(buffers, tiles=image.ndim == 4)

    def close(self) -> None:
        self._session = None
        self._slots = []
        self._shape = None

    def _first_of_its_shape(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        """Run with outputs that the runtime allocates, and make buffers of their shapes for the frames that follow."""
        assert self._session is not None
        count = image.shape[0] if image.ndim == 4 else 1
        pictures = image if image.ndim == 4 else image[None]
        batches = [pictures] if self._takes_batch else [pictures[i : i + 1] for i in range(count)]
        runs = [self._session.run(self._outputs, {"frame": batch}) for batch in batches]
        outputs = {
            name: values[0] if len(values) == 1 else np.concatenate(values)
            for name, *values in zip(self._outputs, *runs, strict=True)
        }
        for name, array in outputs.items():
            if array.ndim != _RANKS[name] or array.shape[0] != count:
                raise UserError(
                    f"{self.bundle.model_path}: output {name!r} has a wrong shape for "
                    + ("one picture" if count == 1 else f"{count} pictures"),
                    received=f"({', '.join(map(str, array.shape))})",
                    expected=f"{_SHAPES[name]} with n = {count}",
                    fix="run `edge build` on the original model",
                )
        self._check_coverage(pictures.shape[1:], outputs["map"].shape)
        self._slots = [self._slot(outputs) for _ in range(_BUFFERS)]
        self._turn = 0
        self._shape = image.shape
        return _prediction(outputs, tiles=image.ndim == 4)

    def _check_coverage(self, image: tuple[int, ...], amap: tuple[int, ...]) -> None:
        """A map that reaches beyond its picture is not the one of ``map_to_image``: boxes would lie wrong."""
        spec = self.bundle.spec
        width, height = (None if spec.tile else spec.resize.size) or (image[1], image[0])
        sx, sy, ox, oy = spec.map_to_image
        right, bottom = amap[2] * sx + ox, amap[1] * sy + oy
        if min(ox, oy) >= 0 and (right > width + 0.5 or bottom > height + 0.5):
            raise UserError(
                f"{self.bundle.model_path}: the map has another size than bundle.yaml tells",
                received=f"{amap[2]}x{amap[1]}, which map_to_image stretches to {right:g}x{bottom:g}",
                expected=f"at most the picture's {width}x{height}",
                fix="run `edge build` on the original model",
            )

    def _slot(self, like: _Outputs) -> tuple[ort.IOBinding, _Outputs]:
        """Buffers, and a binding that writes into them."""
        assert self._session is not None
        buffers = {name: np.empty_like(array) for name, array in like.items()}
        binding = self._session.io_binding()
        _bind_outputs(binding, buffers)
        return binding, buffers


def _bind_outputs(binding: ort.IOBinding, buffers: _Outputs) -> None:
    for name, array in buffers.items():
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def _prediction(outputs: _Outputs, *, tiles: bool) -> Prediction:
    score, embedding = outputs.get("score"), outputs.get("embedding")
    if tiles:
        return Prediction(outputs["map"], None if score is None else float(score.max()), None)
    return Prediction(
        outputs["map"][0],
        None if score is None else float(score[0]),
        None if embedding is None else embedding[0],
    )


def _check_input(inputs: Sequence[Any], bundle: Bundle) -> None:
    spec = bundle.spec.input
    names = [i.name for i in inputs]
    where = bundle.model_path
    if names != ["frame"]:
        raise UserError(f"{where}: the graph's inputs are not a bundle's", received=", ".join(names), expected="frame")
    dtype = "tensor(uint8)" if spec.bits == 8 else "tensor(uint16)"
    if inputs[0].type != dtype:
        raise UserError(f"{where}: input 'frame' has a wrong type", received=inputs[0].type, expected=dtype)
    width, height = spec.size if spec.size != "any" else (None, None)
    shape = inputs[0].shape
    fits = len(shape) == 4 and all(
        not isinstance(got, int) or got == want for got, want in zip(shape, (1, height, width, spec.channels), strict=True)
    )
    if not fits:
        raise UserError(
            f"{where}: input 'frame' has a wrong shape",
            received=_shape(shape),
            expected=f"(n, {height or 'H'}, {width or 'W'}, {spec.channels}), as bundle.yaml says",
        )


def _check_outputs(outputs: Sequence[Any], bundle: Bundle) -> list[str]:
    where = bundle.model_path
    names = [o.name for o in outputs]
    if "map" not in names or not set(names) <= set(_RANKS):
        raise UserError(
            f"{where}: the graph's outputs are not a bundle's",
            received=", ".join(names),
            expected="map, and optionally score and embedding",
            fix="run `edge build` on the original model",
        )
    for output in outputs:
        if output.type != "tensor(float)":
            raise UserError(
                f"{where}: output {output.name!r} has a wrong type", received=output.type, expected="tensor(float)"
            )
        # an output without a declared shape has an empty one here; it is checked when it comes
        if output.shape and len(output.shape) != _RANKS[output.name]:
            raise UserError(
                f"{where}: output {output.name!r} has a wrong shape",
                received=_shape(output.shape),
                expected=_SHAPES[output.name],
            )
    return names


def _shape(shape: Sequence[Any]) -> str:
    return f"({', '.join('?' if d is None else str(d) for d in shape)})"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
