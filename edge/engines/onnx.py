"""ONNX Runtime runs the model on the CPU, or through another of its execution providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from edge.config.bundle import Bundle
from edge.engines import cpu
from edge.engines.batch import split_predictions
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

_CPU = "CPUExecutionProvider"
_OPTIONS = {"CUDAExecutionProvider": {"use_tf32": "0"}}
"""Options of providers: by itself CUDA computes in tf32, with 10 bits of mantissa, and calls it float32."""


class OnnxEngine(Engine):
    """The engine has one session and a single stream. Input is read in place, outputs are written into four buffers in
    turn.

    ``precision`` is ``fp32``, or ``int8`` with scales from ``samples``. ``providers`` are the runtime's own names, in
    order; None: the CPU. ``threads`` work inside one inference. They sleep between frames instead of spinning: spinning
    would take a core from the camera thread for nothing but some microseconds. ``batch`` is the number of pictures of one
    run, if the graph takes them and frames are not cut into tiles.
    """

    name = "onnx"

    def __init__(
        self,
        bundle: Bundle,
        threads: int = 1,
        precision: str = "fp32",
        providers: Sequence[str] | None = None,
        samples: SamplePictures | None = None,
        batch: int = 1,
    ) -> None:
        self.bundle = bundle
        self.precision = precision
        self.providers = list(providers or [_CPU])
        _check_available(precision, self.providers)
        graph: Any = bundle.model_path
        if precision == "int8":
            from edge.engines.int8 import int8_graph

            graph = int8_graph(bundle, samples)
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        # its errors come as exceptions, too; of a GPU that does not start its own words on stderr say more
        options.log_severity_level = 4 if list(self.providers) == [_CPU] else 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = ort.InferenceSession(
                graph, options, providers=[(name, _OPTIONS.get(name, {})) for name in self.providers]
            )
        except Exception as error:  # noqa: BLE001  (the runtime's exceptions have no common base but this)
            raise UserError(
                f"{bundle.model_path}: ONNX Runtime {ort.__version__} cannot load the model",
                received=_first_line(error),
                fix="export the model again, or use an ONNX Runtime that knows its operators",
            ) from None
        _check_taken(self.providers, session.get_providers())
        check_input(session.get_inputs(), bundle)
        self._outputs = check_outputs(session.get_outputs(), bundle)
        self._takes_batch = not isinstance(session.get_inputs()[0].shape[0], int)
        self.batch = batch if self._takes_batch and bundle.spec.tile is None else 1
        self._session: ort.InferenceSession | None = session
        self._shape: tuple[int, ...] | None = None
        self._slots: list[tuple[ort.IOBinding, Outputs]] = []
        self._turn = 0

    def warm_up(self) -> None:
        blank = blank_picture(self.bundle)
        try:
            self.infer(blank)
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001  (as above)
            raise does_not_run(self.bundle, blank, _first_line(error)) from None

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:
        return prediction(self._run(image), tiles=image.ndim == 4)

    def infer_batch(self, pictures: NDArray[np.uint8] | NDArray[np.uint16]) -> list[Prediction]:
        return split_predictions(self._run(pictures), len(pictures))

    def close(self) -> None:
        self._session = None
        self._slots = []
        self._shape = None

    def _run(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Outputs:
        if self._session is None:
            raise RuntimeError("the engine is closed")
        if not image.flags.c_contiguous:
            raise ValueError("the image must be C-contiguous: the runtime reads its memory as it lies")
        if image.shape != self._shape:
            return self._first_of_its_shape(image)
        binding, buffers = self._slots[self._turn]
        self._turn = (self._turn + 1) % RESULT_SETS
        if image.ndim == 3 or self._takes_batch:
            shape = image.shape if image.ndim == 4 else (1, *image.shape)
            binding.bind_input("frame", "cpu", 0, image.dtype.type, shape, image.ctypes.data)
            self._session.run_with_iobinding(binding)
        else:
            for index, tile in enumerate(image):
                _bind_outputs(binding, {name: array[index : index + 1] for name, array in buffers.items()})
                binding.bind_input("frame", "cpu", 0, tile.dtype.type, (1, *tile.shape), tile.ctypes.data)
                self._session.run_with_iobinding(binding)
        return buffers

    def _first_of_its_shape(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Outputs:
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
        check_first(self.bundle, pictures.shape, outputs)
        self._slots = [self._slot(outputs) for _ in range(RESULT_SETS)]
        self._turn = 0
        self._shape = image.shape
        return outputs

    def _slot(self, like: Outputs) -> tuple[ort.IOBinding, Outputs]:
        """Make buffers, and a binding that writes into them."""
        assert self._session is not None
        buffers = {name: np.empty_like(array) for name, array in like.items()}
        binding = self._session.io_binding()
        _bind_outputs(binding, buffers)
        return binding, buffers


def _bind_outputs(binding: ort.IOBinding, buffers: Outputs) -> None:
    for name, array in buffers.items():
        binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def _check_available(precision: str, providers: Sequence[str]) -> None:
    available = ort.get_available_providers()
    unknown = [name for name in providers if name not in available]
    if unknown:
        known = ort.get_all_providers()
        raise UserError(
            f"model.providers: {unknown[0]}: "
            + ("this ONNX Runtime was built without it" if unknown[0] in known else "no such execution provider"),
            received=f"ONNX Runtime {ort.__version__}",
            expected=f"one of: {', '.join(available)}",
            fix="install the ONNX Runtime that has it (onnxruntime-gpu has CUDA and TensorRT) in place of this one",
        )
    if precision not in ("fp32", "int8"):
        raise UserError(
            f"model.precision: {precision}: ONNX Runtime has no arithmetic for it here",
            expected="fp32 or int8",
            fix="set model.engine: openvino (bf16) or tensorrt (fp16), or model.precision: fp32",
        )
    lacking = cpu.missing(precision) if list(providers) == [_CPU] else None
    if lacking is not None:
        raise UserError(
            f"model.precision: {precision}: this CPU has no arithmetic for it",
            expected=f"a CPU with {lacking}",
            fix="set model.precision: fp32",
        )


def _check_taken(wanted: Sequence[str], taken: Sequence[str]) -> None:
    """Refuse a provider that does not start: the runtime would go on without it, with a line on stderr."""
    failed = [name for name in wanted if name not in taken]
    if failed:
        raise UserError(
            f"model.providers: {failed[0]} does not start on this machine",
            received=f"the runtime took {', '.join(taken)} instead",
            fix="see what ONNX Runtime printed above (a driver or a library is missing), or leave the provider out",
        )
