"""A GPU that is none: streams that run only when someone waits, and an error where the order of two accesses is luck.

``StandInCuda`` keeps the ``Cuda`` protocol. Each operation knows what happens before it, as vector clocks: what its stream
was given before, what its stream waited for, and what the host knew when it gave it. Reading or writing a buffer without
all its earlier writes before, or writing it without all its earlier reads before, raises ``Race``, however lucky the
timing would be. Results appear only in the order that the program enforced: an operation runs when something that waits
for it is waited for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import DTypeLike, NDArray

from edge.config.bundle import Bundle
from edge.engines.protocol import SamplePictures
from edge.engines.tensorrt.cuda import CudaError, nbytes_of
from edge.engines.tensorrt.execution_plan import PlanRejected, Tensor
from edge.engines.tensorrt.graph import typed_graph

Clock = dict[str, int]
HOST = "host"


class Race(AssertionError):  # noqa: N818  (says what it is)
    """A buffer was used before what it depends on had to be over."""


@dataclass(eq=False)
class Operation:
    clock: Clock
    after: list[Operation]
    work: Callable[[], None]
    done: bool = False

    def run(self) -> None:
        if not self.done:
            for before in self.after:
                before.run()
            self.work()
            self.done = True


@dataclass(eq=False)
class Stream:
    name: str
    clock: Clock = field(default_factory=dict)
    last: Operation | None = None
    waits: list[Operation] = field(default_factory=list)
    recording: list[tuple[list[Buffer], list[Buffer], Callable[[], None]]] | None = None


@dataclass(eq=False)
class Event:
    clock: Clock = field(default_factory=dict)
    operation: Operation | None = None


@dataclass(eq=False)
class Buffer:
    name: str
    memory: NDArray[np.uint8]
    written: Clock = field(default_factory=dict)
    read: Clock = field(default_factory=dict)

    def use(self, clock: Clock, who: str, *, write: bool) -> None:
        for what, before in (("written", self.written), *((("read", self.read),) if write else ())):
            for other, tick in before.items():
                if clock.get(other, 0) < tick:
                    verb = "written" if write else "read"
                    raise Race(f"{self.name} is {verb} by {who} while it may still be {what} by {other}")
        (self.written if write else self.read)[who] = clock.get(who, 0)


@dataclass(eq=False)
class StandInPinned:
    owner: StandInCuda
    buffer: Buffer
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def array(self) -> NDArray[Any]:
        self.owner.host_uses(self.buffer)
        return self.buffer.memory.view(self.dtype).reshape(self.shape)


class StandInCuda:
    binding = "stand-in"
    name = "Stand-in GPU"

    def __init__(self, *, graphs: bool = False, memory_bytes: int = 1 << 30) -> None:
        self.capability = (8, 6)
        self.graphs = graphs
        self.memory_bytes = memory_bytes
        self.closed = False
        self.calls: list[str] = []
        self.fail: dict[str, int] = {}
        """Calls of this name still to come before one fails with CUDA_ERROR_LAUNCH_FAILED."""
        self.hang = threading.Event()
        self.hang.set()
        """Cleared: ``synchronize`` doesn't return."""
        self._host: Clock = {HOST: 1}
        self._streams: dict[int, Stream] = {}
        self._buffers: dict[int, Buffer] = {}
        self._next = 0x1000
        self._attached = threading.local()
        self.pinned_left = 0

    def attach(self) -> None:
        self._attached.here = True  # not by ident: a new thread may get that of one that ended

    def free_bytes(self) -> int:
        return self.memory_bytes - sum(b.memory.nbytes for b in self._buffers.values())

    def malloc(self, nbytes: int) -> int:
        self._count("malloc")
        if nbytes > self.free_bytes():
            raise CudaError("CUDA_ERROR_OUT_OF_MEMORY", "cuMemAlloc")
        address, self._next = self._next, self._next + nbytes + 256
        self._buffers[address] = Buffer(f"device memory {len(self._buffers)}", np.zeros(nbytes, np.uint8))
        return address

    def free(self, address: int) -> None:
        self._count("free")
        self._buffers.pop(address).use(self._host, HOST, write=True)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> StandInPinned:
        self.pinned_left += 1
        name = f"host memory {self.pinned_left}"
        return StandInPinned(self, Buffer(name, np.zeros(nbytes_of(shape, dtype), np.uint8)), shape, np.dtype(dtype))

    def unpin(self, memory: Any) -> None:
        self.pinned_left -= 1
        memory.buffer.use(self._host, HOST, write=True)

    def stream(self) -> int:
        self._streams[len(self._streams) + 1] = Stream(f"stream {len(self._streams) + 1}")
        return len(self._streams)

    def event(self) -> Event:
        return Event()

    def copy_in(self, address: int, source: Any, stream: int) -> None:
        self._count("copy_in")
        target = self._buffers[address]
        self._give(stream, [source.buffer], [target], lambda: np.copyto(target.memory, source.buffer.memory))

    def copy_out(self, target: Any, address: int, stream: int) -> None:
        self._count("copy_out")
        source = self._buffers[address]
        self._give(stream, [source], [target.buffer], lambda: np.copyto(target.buffer.memory, source.memory))

    def kernel(self, stream: int, reads: list[int], writes: list[int], work: Callable[..., None]) -> None:
        """``work`` gets the memory of ``reads``, then of ``writes``."""
        self._count("kernel")
        sources, targets = [self._buffers[a] for a in reads], [self._buffers[a] for a in writes]
        self._give(stream, sources, targets, lambda: work(*(b.memory for b in (*sources, *targets))))

    def record(self, event: Event, stream: int) -> None:
        self._count("record")
        where = self._streams[stream]
        event.clock, event.operation = dict(where.clock), where.last

    def wait(self, stream: int, event: Event) -> None:
        self._count("wait")
        where = self._streams[stream]
        _join(where.clock, event.clock)
        if event.operation is not None:
            where.waits.append(event.operation)

    def synchronize(self, event: Event) -> None:
        self._count("synchronize")
        self.hang.wait()
        if event.operation is not None:
            event.operation.run()
        _join(self._host, event.clock)

    def drain(self) -> None:
        self._count("drain")
        for stream in self._streams.values():
            if stream.last is not None:
                stream.last.run()
            _join(self._host, stream.clock)

    def capture(self, stream: int, work: Callable[[], None]) -> Any:
        self._count("capture")
        where = self._streams[stream]
        where.recording = []
        try:
            work()
            return list(where.recording)
        finally:
            where.recording = None

    def launch(self, graph: Any, stream: int) -> None:
        self._count("launch")
        for sources, targets, work in graph:
            self._give(stream, sources, targets, work)

    def close(self) -> None:
        assert not self._buffers, "device memory was not freed"
        assert self.pinned_left == 0, "host memory was not freed"
        self.closed = True

    def host_uses(self, buffer: Buffer) -> None:
        """The host may read or write what it has been given."""
        self._host[HOST] += 1
        buffer.use(self._host, HOST, write=True)

    def _give(self, stream: int, sources: list[Buffer], targets: list[Buffer], work: Callable[[], None]) -> None:
        where = self._streams[stream]
        if where.recording is not None:
            where.recording.append((sources, targets, work))
            return
        _join(where.clock, self._host)
        where.clock[where.name] = where.clock.get(where.name, 0) + 1
        for buffer in sources:
            buffer.use(where.clock, where.name, write=False)
        for buffer in targets:
            buffer.use(where.clock, where.name, write=True)
        before = [*where.waits, *([where.last] if where.last is not None else [])]
        where.last, where.waits = Operation(dict(where.clock), before, work), []

    def _count(self, call: str) -> None:
        attached = getattr(self._attached, "here", False)
        assert attached or call == "malloc", f"{call} in a thread that was never attached"
        self.calls.append(call)
        if call in self.fail:
            self.fail[call] -= 1
            if self.fail[call] < 0:
                del self.fail[call]
                raise CudaError("CUDA_ERROR_LAUNCH_FAILED", call)


def _join(clock: Clock, other: Clock) -> None:
    for name, tick in other.items():
        clock[name] = max(clock.get(name, 0), tick)


class StandInPlan:
    """The graph itself under ONNX Runtime, as a kernel of the stand-in."""

    def __init__(self, cuda: StandInCuda, graph: bytes) -> None:
        self._cuda = cuda
        options = ort.SessionOptions()
        options.log_severity_level = 3
        self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.captures = True
        self.refuses: str | None = None
        self.closed = False
        (frame,) = self._session.get_inputs()
        dtype = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32}[frame.type]
        first = self._session.run(None, {"frame": np.zeros(frame.shape, dtype)})
        names = [o.name for o in self._session.get_outputs()]
        self.tensors = (
            Tensor("frame", tuple(frame.shape), np.dtype(dtype), True),
            *(Tensor(n, a.shape, a.dtype, False) for n, a in zip(names, first, strict=True)),
        )
        self._addresses: dict[str, int] = {}

    def bind(self, addresses: Any) -> None:
        self._addresses = dict(addresses)

    def enqueue(self, stream: int) -> None:
        if self.refuses is not None:
            raise RuntimeError(self.refuses)
        frame, *results = self.tensors

        def run(source: NDArray[np.uint8], *targets: NDArray[np.uint8]) -> None:
            values = self._session.run(None, {"frame": source.view(frame.dtype).reshape(frame.shape)})
            for target, value in zip(targets, values, strict=True):
                target[:] = np.ascontiguousarray(value).view(np.uint8).ravel()

        self._cuda.kernel(stream, [self._addresses["frame"]], [self._addresses[t.name] for t in results], run)

    def capturable(self, stream: int) -> bool:
        return self.captures

    def kernels(self) -> bytes | None:
        return b"kernels"

    def close(self) -> None:
        self.closed = True


class StandInMaker:
    """Engine files are the typed graph behind a mark; counts what it is asked for."""

    name = "tensorrt_stand_in"

    def __init__(self, cuda: StandInCuda, version: str = "1.0") -> None:
        self.version = version
        self.builds = 0
        self.kernels: list[bytes | None] = []
        self.plan: StandInPlan | None = None
        self._cuda = cuda

    def build(self, bundle: Bundle, precision: Any, shape: Any, samples: SamplePictures | None) -> bytes:
        self.builds += 1
        graph: bytes = typed_graph(bundle, precision, shape, samples).SerializeToString()
        return self._mark + graph

    def load(self, payload: bytes, kernels: bytes | None, where: Path) -> StandInPlan:
        if not payload.startswith(self._mark):
            raise PlanRejected("of another version")
        self.kernels.append(kernels)
        self.plan = StandInPlan(self._cuda, payload[len(self._mark) :])
        return self.plan

    @property
    def _mark(self) -> bytes:
        return f"STAND-IN {self.version}\n".encode()
