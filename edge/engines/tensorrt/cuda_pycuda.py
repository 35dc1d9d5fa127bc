"""CUDA's driver API is called through pycuda. Never run on a GPU: see ``scripts/gpu/README.md``. Pycuda offers no
graphs.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from numpy.typing import DTypeLike, NDArray

from edge.engines.tensorrt.cuda import CudaError, Pinned

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Memory:
    array: NDArray[Any]


class PyCuda:
    """``driver`` is the module ``pycuda.driver``. Its objects are held here, because their finalizers free what they stand
    for.

    Pycuda has a stack of contexts for each thread, and aborts the process if one ends with a context on it. So the stack is
    used only while something is made or freed, which insists on it; otherwise the context is the thread's own through the
    driver library.
    """

    binding = "pycuda"
    graphs = False

    def __init__(self, driver: Any, library: Any = None) -> None:
        self._driver = driver
        self._library = library or ctypes.CDLL("libcuda.so.1")
        self._streams: dict[int, Any] = {}
        self._memory: dict[int, Any] = {}
        self._events: list[Any] = []
        self._thread: int | None = None
        with _errors(driver, "cuInit"):
            driver.init()
        with _errors(driver, "cuDeviceGet"):
            device = driver.Device(0)
        self.name = str(device.name())
        major, minor = device.compute_capability()
        self.capability = (int(major), int(minor))
        with _errors(driver, "cuDevicePrimaryCtxRetain"):
            self._context = device.retain_primary_context()
        self._handle = ctypes.c_void_p()  # pycuda doesn't tell it
        with self._making("cuCtxPushCurrent"):
            self._ask("cuCtxGetCurrent", ctypes.byref(self._handle))
        self.attach()

    def attach(self) -> None:
        if self._thread != (here := threading.get_ident()):
            self._ask("cuCtxSetCurrent", self._handle)
            self._thread = here

    def free_bytes(self) -> int:
        with _errors(self._driver, "cuMemGetInfo"):
            return int(self._driver.mem_get_info()[0])

    def malloc(self, nbytes: int) -> int:
        with self._making("cuMemAlloc"):
            memory = self._driver.mem_alloc(nbytes)
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        with self._making("cuMemFree"):
            self._memory.pop(address).free()

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        with self._making("cuMemHostAlloc"):
            return _Memory(self._driver.pagelocked_empty(shape, dtype))

    def unpin(self, memory: Pinned) -> None:
        allocation: Any = memory.array.base  # what pycuda's array lies in
        with self._making("cuMemFreeHost"):
            allocation.free()

    def stream(self) -> int:
        with self._making("cuStreamCreate"):
            stream = self._driver.Stream()
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def event(self) -> Any:
        flags = self._driver.event_flags
        with self._making("cuEventCreate"):
            # a wait that spins would take a core from the camera's thread
            event = self._driver.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
        self._events.append(event)
        return event

    def copy_in(self, address: int, source: Pinned, stream: int) -> None:
        with _errors(self._driver, "cuMemcpyHtoDAsync"):
            self._driver.memcpy_htod_async(address, source.array, self._streams[stream])

    def copy_out(self, target: Pinned, address: int, stream: int) -> None:
        with _errors(self._driver, "cuMemcpyDtoHAsync"):
            self._driver.memcpy_dtoh_async(target.array, address, self._streams[stream])

    def record(self, event: Any, stream: int) -> None:
        with _errors(self._driver, "cuEventRecord"):
            event.record(self._streams[stream])

    def wait(self, stream: int, event: Any) -> None:
        with _errors(self._driver, "cuStreamWaitEvent"):
            self._streams[stream].wait_for_event(event)

    def synchronize(self, event: Any) -> None:
        with _errors(self._driver, "cuEventSynchronize"):
            event.synchronize()

    def drain(self) -> None:
        with _errors(self._driver, "cuCtxSynchronize"):
            self._driver.Context.synchronize()

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        raise NotImplementedError("pycuda offers no graphs")

    def launch(self, graph: Any, stream: int) -> None:
        raise NotImplementedError("pycuda offers no graphs")

    def close(self) -> None:
        try:
            with self._making("close"):
                self._events, self._streams, self._memory = [], {}, {}
            self._context.detach()
        except CudaError as error:
            log.warning("gpu_not_given_back", error=str(error))

    def _ask(self, call: str, argument: Any) -> None:
        status = getattr(self._library, call)(argument)
        if status != 0:
            raise CudaError(f"CUDA_ERROR {status}", call)

    @contextmanager
    def _making(self, call: str) -> Iterator[None]:
        """Put the context on this thread's stack for a while."""
        with _errors(self._driver, call):
            self._context.push()
            try:
                yield
            finally:
                self._context.pop()


@contextmanager
def _errors(driver: Any, call: str) -> Iterator[None]:
    """Turn pycuda's exceptions into ours. Their texts read ``cuMemAlloc failed: out of memory``."""
    try:
        yield
    except driver.Error as error:
        text = str(error).rpartition("failed: ")[2].partition("\n")[0]
        raise CudaError(_CODES.get(text) or re.sub(r"\W+", "_", f"CUDA_ERROR {text}").upper(), call) from None


_CODES = {
    "no CUDA-capable device is detected": "CUDA_ERROR_NO_DEVICE",
    "invalid device ordinal": "CUDA_ERROR_INVALID_DEVICE",
    "out of memory": "CUDA_ERROR_OUT_OF_MEMORY",
    "system has unsupported display driver / cuda driver combination": "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    "forward compatibility was attempted on non supported HW": "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
    "CUDA driver is a stub library": "CUDA_ERROR_STUB_LIBRARY",
    "CUDA driver version is insufficient for CUDA runtime version": "CUDA_ERROR_INSUFFICIENT_DRIVER",
}
"""Codes by the texts of cuGetErrorString, which is all that pycuda gives."""
