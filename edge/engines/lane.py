"""A lane holds the frames in an engine's hands: as many as it can overlap, each with its caller's ticket, and out in
order.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.engines.batch import Batches
from edge.engines.protocol import Engine, Prediction

log = structlog.get_logger()

T = TypeVar("T")


class Lane(Generic[T]):
    """Call ``submit`` while not ``full`` and ``collect`` while ``pending``. An engine that overlaps nothing has one frame
    at a time.

    Errors of the engine come out by ``collect``, in their frame's place; frames that were behind it in the engine are lost
    to the same cause and come out after it. Everything that goes in comes out. What a lane before this one left in the
    engine is forgotten, and a map goes to the frame that was submitted with its number or to none.
    """

    gathers = False
    """Return False: each frame goes in as it comes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.depth = engine.depth
        self._waiting: deque[tuple[T, Prediction | Exception | int]] = deque()
        """Each frame with its map or error, or with its number while the engine has it."""
        _forget(engine)

    @property
    def pending(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Return True if nothing can go in; that holds behind a frame that failed too, until it has come out."""
        return self.pending >= self.depth or any(isinstance(outcome, Exception) for _, outcome in self._waiting)

    def submit(self, ticket: T, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """Start on one picture, or do it at once if the engine overlaps nothing. ``ticket`` comes back with its map."""
        if self.full:
            raise RuntimeError("the lane is full: collect first")
        outcome: Prediction | Exception | int
        try:
            outcome = self._engine.submit(image)
        except Exception as error:  # noqa: BLE001  (it belongs to this frame, and the frame has its place)
            outcome = error
        self._waiting.append((ticket, outcome))

    def collect(self) -> tuple[T, Prediction | Exception]:
        """Return the oldest frame's ticket and map, or the error that it has instead."""
        ticket, outcome = self._waiting.popleft()
        if isinstance(outcome, int):
            try:
                outcome = self._engine.collect(outcome)
            except Exception as error:  # noqa: BLE001  (as above)
                outcome = error
        assert not isinstance(outcome, int)
        if isinstance(outcome, Exception):
            self._give_up(outcome)
        return ticket, outcome

    def _give_up(self, cause: Exception) -> None:
        """Give up the frames behind a failed one, because nothing behind it can be trusted."""
        lost = RuntimeError(f"given up after the frame before it: {cause}")
        self._waiting = deque((ticket, lost if isinstance(held, int) else held) for ticket, held in self._waiting)
        _forget(self._engine)


def _forget(engine: Engine) -> None:
    """Abandon whatever was submitted and has not been collected."""
    try:
        engine.abandon()
    except Exception as error:  # noqa: BLE001  (each later frame will say it again)
        log.warning("engine_not_recovered", error=str(error))


def open_lane(engine: Engine) -> Lane[Any] | Batches[Any]:
    """Open the kind of lane that suits the engine; in both, what goes in first comes out first."""
    if engine.batch > 1:
        _forget(engine)
        return Batches(engine)
    return Lane(engine)
