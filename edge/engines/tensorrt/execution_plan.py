"""An engine file is loaded on the GPU as a plan: what goes in and comes out, and how to start it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge.engines.tensorrt.cuda import nbytes_of, out_of_memory
from edge.engines.tensorrt.engine_build import failed
from edge.engines.tensorrt.runtime import Runtime, make_context
from edge.errors import UserError


class PlanRejected(Exception):  # noqa: N818  (says what it is)
    """TensorRT does not take this engine file; it may, once it is built again."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor is an input or output; its shape is fixed."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_input: bool

    @property
    def nbytes(self) -> int:
        return nbytes_of(self.shape, self.dtype)


class Plan(Protocol):
    """A plan is a loaded engine with one context: runs that were started on one stream follow each other."""

    tensors: tuple[Tensor, ...]

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Set the device addresses of all tensors, for the runs that are started from here on."""

    def enqueue(self, stream: int) -> None:
        """Start a run. Raises RuntimeError, with TensorRT's own words, if it can't be started."""

    def capturable(self, stream: int) -> bool:
        """Return True if a run can become a CUDA graph."""

    def kernels(self) -> bytes | None:
        """Return what was compiled for this GPU at the first run and is worth keeping; None if nothing was."""

    def close(self) -> None: ...


class TrtPlan:
    """Load an engine file with ``kernels``, an earlier plan's. ``where`` names the model in error texts.

    Raises:
        PlanRejected: the file is of another TensorRT, another GPU, or damaged.
        UserError: too little memory, or a shape that depends on the picture's content.
    """

    def __init__(self, payload: bytes, kernels: bytes | None, runtime: Runtime, where: Path, free_bytes: int) -> None:
        self._runtime = runtime
        runtime.complaints.clear()
        # held, since TensorRT's objects don't hold each other
        self._owner = runtime.api.Runtime(runtime.logger)
        self._engine = self._owner.deserialize_cuda_engine(payload)
        if self._engine is None:
            raise PlanRejected(runtime.complaint() or "no reason given")
        needed = int(self._engine.device_memory_size_v2)
        if needed > free_bytes:
            raise out_of_memory("a context for the model", needed, free_bytes)
        self._context, self._kernels = make_context(self._engine, runtime, kernels)
        if self._context is None:
            raise failed("cannot make a context for its engine", runtime, where)
        self.tensors = tuple(self._tensor(i) for i in range(self._engine.num_io_tensors))
        for tensor in self.tensors:
            if min(tensor.shape, default=1) < 0:
                raise UserError(
                    f"{where}: output {tensor.name!r} has a shape that depends on the picture's content",
                    received=str(tensor.shape),
                    expected="a fixed shape",
                    fix="choose engine: onnx for this model",
                )

    def bind(self, addresses: Mapping[str, int]) -> None:
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise RuntimeError(f"TensorRT refuses the address of {name!r}: {self._runtime.complaint()}")

    def enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise RuntimeError(f"TensorRT did not start: {self._runtime.complaint()}")

    def capturable(self, stream: int) -> bool:
        ask = getattr(self._context, "is_stream_capturable", None)  # RTX only; the other one always is
        return True if ask is None else bool(ask(stream))

    def kernels(self) -> bytes | None:
        return self._kernels.dump()

    def close(self) -> None:
        self._context = self._engine = self._owner = None

    def _tensor(self, index: int) -> Tensor:
        api, engine = self._runtime.api, self._engine
        name = engine.get_tensor_name(index)
        return Tensor(
            name,
            tuple(self._context.get_tensor_shape(name)),
            np.dtype(api.nptype(engine.get_tensor_dtype(name))),
            engine.get_tensor_mode(name) == api.TensorIOMode.INPUT,
        )
