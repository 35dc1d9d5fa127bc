"""Two frames on the GPU at once: copy-in of the next, compute, and copy-out of the last run on streams of their own.

Each of two sets has a page-locked picture, its place on the device, and the outputs' places there. The order of one frame
is kept by three events, and a set is used again only after its frame has been collected, after all that touched it:

    copy-in stream:  picture -> device, record copied_in
    compute stream:  wait copied_in, run, record computed
    copy-out stream: wait computed, outputs -> page-locked maps, record copied_out
    host, collect:   wait copied_out

Maps are copied straight into page-locked memory that takes turns, so none is copied again on the host.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.engines.graph_io import RESULT_SETS
from edge.engines.tensorrt.cuda import Cuda, CudaError, Pinned
from edge.engines.tensorrt.execution_plan import Plan

log = structlog.get_logger()

DEPTH: Final = 2
"""Number of frames on the device at once."""

MapBuffers: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class _Set:
    picture: Pinned
    addresses: dict[str, int]
    copied_in: Any
    computed: Any
    copied_out: Any
    graph: Any = None


class Staging:
    """Frames go in by ``submit`` and come out by ``collect``, in order. One thread at a time uses it.

    Raises:
        CudaError: for example, there is not enough memory; nothing is held then.
    """

    depth = DEPTH

    def __init__(self, cuda: Cuda, plan: Plan) -> None:
        self._cuda = cuda
        self._plan = plan
        (self._input,) = (tensor for tensor in plan.tensors if tensor.is_input)
        self._results = [tensor for tensor in plan.tensors if not tensor.is_input]
        self._in, self._compute, self._out = (cuda.stream() for _ in range(3))
        self._sets: list[_Set] = []
        self._maps: list[dict[str, Pinned]] = []
        self._held: list[int] = []
        self._pinned: list[Pinned] = []
        self._submitted = self._collected = 0  # sets and maps take turns by them
        self._numbers: deque[int] = deque()
        self._next = 0
        self._abandoning = False
        try:
            for _ in range(DEPTH):
                self._sets.append(self._new_set())
            for _ in range(RESULT_SETS + DEPTH):  # those that callers may still hold, and those on their way
                self._maps.append({t.name: self._pin(t.shape, t.dtype) for t in self._results})
        except CudaError:
            self.close()
            raise

    @property
    def pending(self) -> int:
        """Return the number of frames submitted and not yet collected."""
        return len(self._numbers)

    def submit(self, pictures: NDArray[Any]) -> int:
        """Start on (n, H, W, C). They are copied before this returns. At most ``depth`` may be pending.

        Returns the frame's number, which no other one ever gets. After an error nothing is to be trusted until ``abandon``.
        """
        self._check_let_go()
        if self.pending == DEPTH:
            raise RuntimeError(f"{DEPTH} frames are on the device: collect one first")
        if pictures.shape != self._input.shape:
            raise ValueError(f"the engine was built for {self._input.shape}, not for {pictures.shape}")
        cuda, place = self._cuda, self._sets[self._submitted % DEPTH]
        maps = self._maps[self._submitted % len(self._maps)]
        cuda.attach()
        np.copyto(place.picture.array, pictures)
        cuda.copy_in(place.addresses[self._input.name], place.picture, self._in)
        cuda.record(place.copied_in, self._in)
        cuda.wait(self._compute, place.copied_in)
        self._run(place)
        cuda.record(place.computed, self._compute)
        cuda.wait(self._out, place.computed)
        for name, target in maps.items():
            cuda.copy_out(target, place.addresses[name], self._out)
        cuda.record(place.copied_out, self._out)
        number, self._next = self._next, self._next + 1
        self._numbers.append(number)
        self._submitted += 1
        return number

    def collect(self, number: int | None = None) -> MapBuffers:
        """Return the outputs of the oldest pending frame; they are overwritten by the fourth frame collected after it.

        Raises:
            RuntimeError: it is not ``number``: these would be another frame's maps.
        """
        self._check_let_go()
        if not self.pending:
            raise RuntimeError("no frame is on the device")
        if number is not None and number != self._numbers[0]:
            raise RuntimeError(f"the map that is next is of submission {self._numbers[0]}, not of {number}")
        self._cuda.attach()
        self._cuda.synchronize(self._sets[self._collected % DEPTH].copied_out)
        maps = self._maps[self._collected % len(self._maps)]
        self._numbers.popleft()
        self._collected += 1
        return {name: memory.array for name, memory in maps.items()}

    def abandon(self) -> None:
        """Forget what is pending, after an error: wait until the device has let go of every buffer.

        If that raises, nothing is submitted or collected until it has succeeded.
        """
        self._abandoning = True
        self._numbers.clear()
        self._submitted = self._collected  # maps that callers hold keep their turn
        self._cuda.attach()
        self._cuda.drain()
        self._abandoning = False

    def capture(self) -> bool:
        """Make a CUDA graph of each set's run, which is then started by one call. Call this after at least one frame, none
        pending.

        Returns False, with a line in the log, if binding or model don't allow it; runs are then started as before.
        """
        self._cuda.attach()
        why = None
        if not self._cuda.graphs:
            why = f"{self._cuda.binding} offers none"
        elif not self._plan.capturable(self._compute):
            why = "the model cannot be captured"
        else:
            try:
                for place in self._sets:
                    self._plan.bind(place.addresses)
                    place.graph = self._cuda.capture(self._compute, lambda: self._plan.enqueue(self._compute))
            except (CudaError, RuntimeError) as error:
                why = str(error)
                for place in self._sets:
                    place.graph = None
        if why is not None:
            log.info("no_cuda_graph", why=why)
        return why is None

    def close(self) -> None:
        """Wait for the device, then free everything. Never raises; may be called twice."""
        try:
            self._cuda.attach()
            self._cuda.drain()
            while self._held:
                self._cuda.free(self._held.pop())
            while self._pinned:
                self._cuda.unpin(self._pinned.pop())
        except CudaError as error:  # a context that an earlier error broke: its memory goes with the process
            log.warning("gpu_memory_not_freed", error=str(error))
            self._held, self._pinned = [], []

    def _check_let_go(self) -> None:
        if self._abandoning:
            raise RuntimeError("the device has not let go of its buffers since an error")

    def _run(self, place: _Set) -> None:
        if place.graph is not None:
            self._cuda.launch(place.graph, self._compute)
            return
        self._plan.bind(place.addresses)
        self._plan.enqueue(self._compute)

    def _new_set(self) -> _Set:
        addresses: dict[str, int] = {}
        for tensor in self._plan.tensors:
            addresses[tensor.name] = address = self._cuda.malloc(tensor.nbytes)
            self._held.append(address)
        picture = self._pin(self._input.shape, self._input.dtype)
        return _Set(picture, addresses, self._cuda.event(), self._cuda.event(), self._cuda.event())

    def _pin(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Pinned:
        memory = self._cuda.pinned(shape, dtype)
        self._pinned.append(memory)
        return memory
