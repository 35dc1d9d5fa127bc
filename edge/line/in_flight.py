"""Frames go through the engine here: as many at once as it overlaps, out in order, each with a map or why it has none."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import structlog

from edge.engines.lane import open_lane
from edge.engines.registration import ready_workspace
from edge.engines.to_map import Job, finish, start, unmapped
from edge.frames import AnomalyMap, Frame, FrameMeta, Skip, Unmapped
from edge.line.recipe import Recipe, Recipes
from edge.line.ring import Checkpoint, Slot
from edge.preprocess.prepare import FrameSizeMismatch

log = structlog.get_logger()

MOST_LOGGED = 64
"""Number of problems that the log names, each once: if the size changes with each frame, each is another problem."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """A frame and its map are on the way to the judge, with the monotonic times of their stations."""

    slot: Slot
    frame: Frame
    recipe: Recipe
    amap: AnomalyMap | Unmapped
    taken_ns: int
    mapped_ns: int


@dataclass(frozen=True, slots=True)
class _Ticket:
    slot: Slot
    frame: Frame
    recipe: Recipe
    job: Job
    taken_ns: int
    behind: list[Skip | Checkpoint] = field(default_factory=list)
    """What came after this frame and before the next one."""


class OneKind:
    """A camera's frames are held to the size and the pixel format of its first one.

    Whoever changes the camera's picture in mid-stream changes what a pixel is, and all controls that are given in pixels:
    such a frame can't pass for a good one.
    """

    def __init__(self) -> None:
        self._first: FrameMeta | None = None

    def check(self, frame: Frame) -> None:
        """Raise FrameSizeMismatch if a frame has another size or pixel format than the first one."""
        meta, first = frame.meta, self._first
        if first is None:
            self._first = meta
        elif (meta.width, meta.height) != (first.width, first.height):
            raise FrameSizeMismatch(
                f"the frame is {meta.width}x{meta.height}, the stream began with {first.width}x{first.height}: "
                "another size needs a new start"
            )
        elif meta.pixel_format != first.pixel_format:
            raise FrameSizeMismatch(
                f"the frame is {meta.pixel_format}, the stream began with {first.pixel_format}: "
                "another pixel format needs a new start",
                "frame_kind",
            )


class InFlight:
    """``put`` each frame, call ``behind`` for anything else or when nothing comes, and ``drain`` at the end; pass on what
    each returns.

    ``error`` is what the engine raised, set once its frame has come out; raise it when everything has been passed on.
    """

    def __init__(self, recipes: Recipes, one_kind: OneKind | None = None) -> None:
        """Begin with no frame; ``one_kind`` is None if frames may be of many cameras, for example in a folder of
        pictures.
        """
        self.error: Exception | None = None
        self._one_kind = one_kind
        self._logged: set[str] = set()
        self._swap = recipes
        self._setup = recipes.current
        self._lane = open_lane(self._setup.engine)
        self._last: _Ticket | None = None
        self._workspace = ready_workspace(self._setup.engine.bundle)

    @property
    def hurries(self) -> bool:
        """Return True if frames in the engine should come out because nothing follows now; those of a batch wait for the
        rest.
        """
        return self._lane.pending > 0 and not self._lane.gathers

    def put(self, slot: Slot, frame: Frame, taken_ns: int) -> list[Inferred | Skip | Checkpoint]:
        """Give one frame to the engine in force; return what is done, this frame included if nothing overlaps."""
        done: list[Inferred | Skip | Checkpoint] = []
        if self._setup is not self._swap.current:
            done = self.drain()
            self._setup = self._swap.current
            self._lane = open_lane(self._setup.engine)
            self._workspace = ready_workspace(self._setup.engine.bundle)
        recipe = self._setup
        try:
            job = self._start(frame, recipe)
        except Exception as error:  # noqa: BLE001  (the frame still gets its record)
            unmapped = self._unmapped(error)
            return [*done, *self.drain(), Inferred(slot, frame, recipe, unmapped, taken_ns, time.monotonic_ns())]
        if self._lane.depth > 1:
            self._last = _Ticket(slot, frame, recipe, job, taken_ns)
            self._lane.submit(self._last, job.image)
            while self._lane.full:
                done += self._collect()
            return done
        try:  # nothing overlaps: the lane's bookkeeping would add 50 µs to a frame after idling
            amap: AnomalyMap | Unmapped = finish(job, recipe.engine.infer(job.image))
        except Exception as error:  # noqa: BLE001  (as above)
            amap = self._unmapped(error)
        return [*done, Inferred(slot, frame, recipe, amap, taken_ns, time.monotonic_ns())]

    def behind(self, item: Skip | Checkpoint | None) -> list[Inferred | Skip | Checkpoint]:
        """Return what can be passed on when ``item`` (no frame), or nothing in time, came; ``item`` comes out behind all
        before it.

        In batches it waits with the frame before it. Which frames share a run then depends on the frames alone, not on how
        fast they were read, and is the same in each replay.
        """
        if not self._lane.gathers or (self._lane.pending == 0 and item is not None):
            return [*self.drain(), *([] if item is None else [item])]
        if item is not None:
            assert self._last is not None
            self._last.behind.append(item)
        return []

    def drain(self) -> list[Inferred | Skip | Checkpoint]:
        """Wait for all that is in the engine's hands, and return it."""
        return [one for _ in range(self._lane.pending) for one in self._collect()]

    def _collect(self) -> list[Inferred | Skip | Checkpoint]:
        ticket, outcome = self._lane.collect()
        amap: AnomalyMap | Unmapped
        if isinstance(outcome, Exception):
            amap = self._unmapped(outcome)
        else:
            try:
                amap = finish(ticket.job, outcome)
            except Exception as error:  # noqa: BLE001  (as above)
                amap = self._unmapped(error)
        inferred = Inferred(ticket.slot, ticket.frame, ticket.recipe, amap, ticket.taken_ns, time.monotonic_ns())
        return [inferred, *ticket.behind]

    def _start(self, frame: Frame, recipe: Recipe) -> Job:
        if (doubt := recipe.criteria.frames.doubt(frame)) is not None:
            raise FrameSizeMismatch(doubt.text, doubt.reason)
        if self._one_kind is not None:
            self._one_kind.check(frame)
        return start(frame, recipe.engine.bundle, self._workspace)

    def _unmapped(self, error: Exception) -> Unmapped:
        """A frame of a size that the model doesn't take, or whose part lies elsewhere, is no error of the engine."""
        reason = unmapped(error)
        if reason is not None:
            # each size is another problem; places differ with every frame, and the log names the first
            problem = reason.reason if reason.reason == "part_out_of_place" else reason.text
            if problem not in self._logged and len(self._logged) < MOST_LOGGED:
                self._logged.add(problem)
                log.warning(reason.reason, error=reason.text)
            return reason
        self.error = self.error or error
        return Unmapped("engine_error", f"{type(error).__name__}: {error}")
