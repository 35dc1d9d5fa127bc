"""CUDA's driver API through pycuda. Never run on a GPU: see ``scripts/gpu/README.md``. Pycuda offers no graphs."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import DTypeLike, NDArray

from edge.engines.cuda import CudaError, Pinned


@dataclass(frozen=True, slots=True)
class _Memory:
    array: NDArray[Any]


class PyCuda:
    """``driver``: the module ``pycuda.driver``. Its objects are held here: their finalizers free what they stand for."""

    binding = "pycuda"
    graphs = False

    def __init__(self, driver: Any) -> None:
        self._driver = driver
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
        self.attach()

    def attach(self) -> None:
        if self._thread != (here := threading.get_ident()):
            with _errors(self._driver, "cuCtxPushCurrent"):
                self._context.push()
            self._thread = here

    def free_bytes(self) -> int:
        with _errors(self._driver, "cuMemGetInfo"):
            return int(self._driver.mem_get_info()[0])

    def malloc(self, nbytes: int) -> int:
        with _errors(self._driver, "cuMemAlloc"):
            memory = self._driver.mem_alloc(nbytes)
        self._memory[int(memory)] = memory
        return int(memory)

    def free(self, address: int) -> None:
        with _errors(self._driver, "cuMemFree"):
            self._memory.pop(address).free()

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        with _errors(self._driver, "cuMemHostAlloc"):
            return _Memory(self._driver.pagelocked_empty(shape, dtype))

    def unpin(self, memory: Pinned) -> None:
        with _errors(self._driver, "cuMemFreeHost"):
            memory.array.base.free()  # type: ignore[union-attr]  # the allocation that pycuda's array lies in

    def stream(self) -> int:
        with _errors(self._driver, "cuStreamCreate"):
            stream = self._driver.Stream()
        self._streams[int(stream.handle)] = stream
        return int(stream.handle)

    def event(self) -> Any:
        flags = self._driver.event_flags
        with _errors(self._driver, "cuEventCreate"):
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
        self._events, self._streams, self._memory = [], {}, {}
        if self._thread == threading.get_ident():
            self._context.pop()
        self._context.detach()


@contextmanager
def _errors(driver: Any, call: str) -> Iterator[None]:
    """Pycuda's exceptions as ours. Their texts read ``cuMemAlloc failed: out of memory``."""
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
"""Texts of cuGetErrorString, which is all that pycuda tells."""
