"""CUDA's driver API is called through cuda-python (``cuda.bindings``). Never run on a GPU: see
``scripts/gpu/README.md``.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edge.engines.tensorrt.cuda import CudaError, Pinned, nbytes_of, no_driver


@dataclass(frozen=True, slots=True)
class _Memory:
    array: NDArray[Any]
    address: int


class CudaPython:
    """``driver`` is the module ``cuda.bindings.driver``, whose functions return (status, values...)."""

    binding = "cuda-python"
    graphs = True

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._streams: dict[int, Any] = {}
        self._events: list[Any] = []
        self._graphs: list[Any] = []
        self._thread: int | None = None
        try:
            self._call("cuInit", 0)
        except RuntimeError as error:  # cuda-python loads libcuda at the first call
            raise no_driver(str(error)) from None
        self._device = self._call("cuDeviceGet", 0)
        kinds = driver.CUdevice_attribute
        self.capability = (
            int(self._call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, self._device)),
            int(self._call("cuDeviceGetAttribute", kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, self._device)),
        )
        self.name = bytes(self._call("cuDeviceGetName", 128, self._device)).partition(b"\0")[0].decode()
        self._context = self._call("cuDevicePrimaryCtxRetain", self._device)
        self.attach()

    def attach(self) -> None:
        if self._thread != (here := threading.get_ident()):
            self._call("cuCtxSetCurrent", self._context)
            self._thread = here

    def free_bytes(self) -> int:
        free, _total = self._call("cuMemGetInfo")
        return int(free)

    def malloc(self, nbytes: int) -> int:
        return int(self._call("cuMemAlloc", nbytes))

    def free(self, address: int) -> None:
        self._call("cuMemFree", address)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> Pinned:
        nbytes = nbytes_of(shape, dtype)
        address = int(self._call("cuMemHostAlloc", nbytes, 0))
        memory = (ctypes.c_uint8 * nbytes).from_address(address)
        return _Memory(np.ctypeslib.as_array(memory).view(np.dtype(dtype)).reshape(shape), address)

    def unpin(self, memory: Pinned) -> None:
        assert isinstance(memory, _Memory)
        self._call("cuMemFreeHost", memory.address)

    def stream(self) -> int:
        stream = self._call("cuStreamCreate", int(self._driver.CUstream_flags.CU_STREAM_NON_BLOCKING))
        self._streams[int(stream)] = stream
        return int(stream)

    def event(self) -> Any:
        flags = self._driver.CUevent_flags
        # a wait that spins would take a core from the camera's thread
        event = self._call("cuEventCreate", int(flags.CU_EVENT_BLOCKING_SYNC) | int(flags.CU_EVENT_DISABLE_TIMING))
        self._events.append(event)
        return event

    def copy_in(self, address: int, source: Pinned, stream: int) -> None:
        assert isinstance(source, _Memory)
        self._call("cuMemcpyHtoDAsync", address, source.address, source.array.nbytes, self._streams[stream])

    def copy_out(self, target: Pinned, address: int, stream: int) -> None:
        assert isinstance(target, _Memory)
        self._call("cuMemcpyDtoHAsync", target.address, address, target.array.nbytes, self._streams[stream])

    def record(self, event: Any, stream: int) -> None:
        self._call("cuEventRecord", event, self._streams[stream])

    def wait(self, stream: int, event: Any) -> None:
        self._call("cuStreamWaitEvent", self._streams[stream], event, 0)

    def synchronize(self, event: Any) -> None:
        self._call("cuEventSynchronize", event)

    def drain(self) -> None:
        self._call("cuCtxSynchronize")

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        mode = self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._call("cuStreamBeginCapture", self._streams[stream], mode)
        try:
            work()
        finally:  # the stream must leave its capture in any case, or it can't be used any more
            graph = self._call("cuStreamEndCapture", self._streams[stream])
        ready = self._call("cuGraphInstantiate", graph, 0)
        self._call("cuGraphDestroy", graph)
        self._graphs.append(ready)
        return ready

    def launch(self, graph: Any, stream: int) -> None:
        self._call("cuGraphLaunch", graph, self._streams[stream])

    def close(self) -> None:
        for call, handles in (
            ("cuGraphExecDestroy", self._graphs),
            ("cuEventDestroy", self._events),
            ("cuStreamDestroy", list(self._streams.values())),
            ("cuDevicePrimaryCtxRelease", [self._device]),
        ):
            for handle in handles:
                getattr(self._driver, call)(handle)
        self._graphs, self._events, self._streams = [], [], {}

    def _call(self, name: str, *args: Any) -> Any:
        """Return what the function returns besides its status: a value, a tuple if there are several, or None."""
        status, *values = getattr(self._driver, name)(*args)
        if int(status) != 0:
            raise CudaError(status.name, name)
        return values[0] if len(values) == 1 else tuple(values) if values else None
