"""Frames through the engine: as many at once as it overlaps, out in order, each with a map or why it has none."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edge.engines.lane import Lane
from edge.frames import AnomalyMap, Frame
from edge.inspect import Job, Unmapped, finish, start
from edge.preprocess import FrameSizeMismatch, Workspace
from edge.ring import Slot
from edge.setup import Setup, Swap


@dataclass(frozen=True, slots=True)
class Mapped:
    """A frame and its map on the way to the judge, with the monotonic times of its stations."""

    slot: Slot
    frame: Frame
    setup: Setup
    amap: AnomalyMap | Unmapped
    taken_ns: int
    mapped_ns: int


@dataclass(frozen=True, slots=True)
class _Ticket:
    slot: Slot
    frame: Frame
    setup: Setup
    job: Job
    taken_ns: int


class Mapper:
    """``put`` each frame and pass on what comes out; ``drain`` before anything else is passed on in the frames' order.

    ``error``: what the engine raised, once its frame has come out: to be raised when everything has been passed on.
    """

    def __init__(self, swap: Swap) -> None:
        self.error: Exception | None = None
        self._swap = swap
        self._setup = swap.current
        self._lane: Lane[_Ticket] = Lane(self._setup.engine)
        self._workspace = Workspace()

    @property
    def pending(self) -> int:
        """Frames in the engine's hands."""
        return self._lane.pending

    def put(self, slot: Slot, frame: Frame, taken_ns: int) -> list[Mapped]:
        """Give one frame to the engine in force; returns those that are done, this one among them if nothing overlaps."""
        done: list[Mapped] = []
        if self._setup is not self._swap.current:
            done = self.drain()
            self._setup = self._swap.current
            self._lane = Lane(self._setup.engine)
            self._workspace = Workspace()
        setup = self._setup
        if self._lane.depth == 1:  # nothing overlaps: the lane's bookkeeping would add 50 µs to a frame after idling
            try:
                job = start(frame, setup.engine.bundle.spec, self._workspace)
                amap: AnomalyMap | Unmapped = finish(job, setup.engine.infer(job.image))
            except Exception as error:  # noqa: BLE001  (the frame still gets its record)
                amap = self._unmapped(error)
            done.append(Mapped(slot, frame, setup, amap, taken_ns, time.monotonic_ns()))
            return done
        try:
            job = start(frame, setup.engine.bundle.spec, self._workspace)
        except Exception as error:  # noqa: BLE001  (as above)
            unmapped = self._unmapped(error)
            return [*done, *self.drain(), Mapped(slot, frame, setup, unmapped, taken_ns, time.monotonic_ns())]
        self._lane.submit(_Ticket(slot, frame, setup, job, taken_ns), job.image)
        while self._lane.full:
            done.append(self._collect())
        return done

    def drain(self) -> list[Mapped]:
        """All that is in the engine's hands, waited for."""
        return [self._collect() for _ in range(self._lane.pending)]

    def _collect(self) -> Mapped:
        ticket, outcome = self._lane.collect()
        amap: AnomalyMap | Unmapped
        if isinstance(outcome, Exception):
            amap = self._unmapped(outcome)
        else:
            try:
                amap = finish(ticket.job, outcome)
            except Exception as error:  # noqa: BLE001  (as above)
                amap = self._unmapped(error)
        return Mapped(ticket.slot, ticket.frame, ticket.setup, amap, ticket.taken_ns, time.monotonic_ns())

    def _unmapped(self, error: Exception) -> Unmapped:
        """A frame of a size that the model doesn't take is no error of the engine."""
        if isinstance(error, FrameSizeMismatch):
            return Unmapped("frame_size", str(error))
        self.error = self.error or error
        return Unmapped("engine_error", f"{type(error).__name__}: {error}")
