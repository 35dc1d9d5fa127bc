"""An engine needs this little of CUDA, behind one protocol; here is also what its errors mean to a person.

Two bindings keep the protocol, ``pycuda`` and ``cuda-python``. Both use the device's primary context, which is the one that
TensorRT works in. Neither has run on a GPU yet: ``scripts/gpu/README.md`` says what has run and what has not.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.errors import UserError


class CudaError(Exception):
    """A CUDA call failed. ``code`` is its name in the driver API, for example ``CUDA_ERROR_OUT_OF_MEMORY``."""

    def __init__(self, code: str, call: str) -> None:
        super().__init__(f"{call}: {code}")
        self.code = code


class Pinned(Protocol):
    """Pinned is page-locked host memory, which the device copies from and to while the CPU does something else."""

    @property
    def array(self) -> NDArray[Any]:
        """Return the memory. It may be used only while no copy from or to it is on its way."""


class Cuda(Protocol):
    """One CUDA device is behind this. Streams and graphs are plain handles; addresses are the device's.

    Copies, launches, ``record`` and ``wait`` return at once; ``synchronize`` and ``drain`` wait, asleep and without the
    GIL. Every call raises ``CudaError``; an asynchronous failure shows at a later call, often the next that waits.
    """

    binding: str
    """``pycuda`` or ``cuda-python``."""
    name: str
    capability: tuple[int, int]
    graphs: bool
    """True if ``capture`` and ``launch`` are there."""

    def attach(self) -> None:
        """Make the calling thread work with the device; this is cheap if it does already."""

    def free_bytes(self) -> int:
        """Return the device memory that is free now, in bytes."""

    def malloc(self, nbytes: int) -> int: ...

    def free(self, address: int) -> None: ...

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned: ...

    def unpin(self, memory: Pinned) -> None: ...

    def stream(self) -> int: ...

    def event(self) -> Any:
        """Make an event without timing, which counts as completed until it is first recorded."""

    def copy_in(self, address: int, source: Pinned, stream: int) -> None: ...

    def copy_out(self, target: Pinned, address: int, stream: int) -> None: ...

    def record(self, event: Any, stream: int) -> None:
        """Let ``event`` complete with all that ``stream`` was given before."""

    def wait(self, stream: int, event: Any) -> None:
        """Let what ``stream`` is given from here on start after ``event``."""

    def synchronize(self, event: Any) -> None:
        """Return when ``event`` has completed."""

    def drain(self) -> None:
        """Return when the device has done all that it was given."""

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        """Make a graph of what ``work`` gives to ``stream``; nothing of it runs now."""

    def launch(self, graph: Any, stream: int) -> None: ...

    def close(self) -> None:
        """Give streams, events, graphs and the context back. Memory must have been freed. Never raises."""


@dataclass(frozen=True, slots=True)
class _Binding:
    package: str
    module: str
    cls: str


BINDINGS: Final = (
    _Binding("pycuda.driver", "edge.engines.tensorrt.cuda_pycuda", "PyCuda"),
    _Binding("cuda.bindings.driver", "edge.engines.tensorrt.cuda_python", "CudaPython"),
)
"""Bindings in order of preference: JetPack systems have pycuda, and pip has cuda-python ready built everywhere else."""


def open_cuda() -> Cuda:
    """Open the first device, through the first binding that is installed.

    Raises:
        UserError: no binding, no driver, no GPU, or a driver that does not fit.
    """
    missing: list[str] = []
    for binding in BINDINGS:
        try:
            package = importlib.import_module(binding.package)
        except ImportError as error:
            if "libcuda" in str(error):  # the package is there and finds no driver to load
                raise no_driver(str(error)) from None
            missing.append(binding.package.partition(".")[0])
            continue
        cls = getattr(importlib.import_module(binding.module), binding.cls)
        try:
            device: Cuda = cls(package)
        except CudaError as error:
            raise explained(error) from None
        return device
    raise UserError(
        "model.engine: tensorrt: no CUDA package for Python is installed",
        expected="pycuda or cuda-python",
        fix="pip install 'edge-inspect[rtx]', or 'edge-inspect[tensorrt]'; on a Jetson: pip install pycuda",
    )


def no_driver(received: str) -> UserError:
    return UserError(
        "model.engine: tensorrt: there is no NVIDIA driver",
        received=received,
        expected="libcuda.so.1, which the driver brings",
        fix="install NVIDIA's driver and see that `nvidia-smi` lists the GPU; or choose engine: onnx or openvino",
    )


def explained(error: CudaError, *, needed_bytes: int | None = None, free_bytes: int | None = None) -> UserError:
    """Return the same error in words, with what to do about it."""
    code = error.code
    if code in ("CUDA_ERROR_NO_DEVICE", "CUDA_ERROR_INVALID_DEVICE"):
        return UserError(
            "model.engine: tensorrt: there is no NVIDIA GPU",
            received=str(error),
            expected="at least one, as `nvidia-smi` lists them",
            fix="see that the GPU is seated, powered and passed through to this system; or choose engine: onnx or openvino",
        )
    if code in _WRONG_DRIVER:
        return wrong_driver(str(error))
    if code == "CUDA_ERROR_OUT_OF_MEMORY":
        return out_of_memory(str(error), needed_bytes, free_bytes)
    return UserError(
        "model.engine: tensorrt: the GPU cannot be used",
        received=str(error),
        fix="see `nvidia-smi` and the kernel's log (`journalctl -k`) for what the driver says",
    )


_WRONG_DRIVER = (
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    "CUDA_ERROR_STUB_LIBRARY",
    "CUDA_ERROR_INSUFFICIENT_DRIVER",
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
)


def wrong_driver(received: str) -> UserError:
    return UserError(
        "model.engine: tensorrt: the NVIDIA driver does not fit",
        received=received,
        expected="a driver as new as the CUDA version that TensorRT was built for",
        fix="update the driver (`nvidia-smi` shows its version and newest CUDA) and restart, or install an older TensorRT",
    )


def out_of_memory(received: str, needed_bytes: int | None = None, free_bytes: int | None = None) -> UserError:
    sizes = [
        f"{what} {nbytes / 2**20:.0f} MiB"
        for what, nbytes in (("the model needs", needed_bytes), ("free are", free_bytes))
        if nbytes is not None
    ]
    return UserError(
        "model.engine: tensorrt: the GPU's memory is too small for the model",
        received="; ".join([received, *sizes]),
        fix="end what else uses the GPU (`nvidia-smi` lists it), or set model.precision: fp16, or build the bundle smaller",
    )


def nbytes_of(shape: tuple[int, ...], dtype: DTypeLike) -> int:
    return int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
