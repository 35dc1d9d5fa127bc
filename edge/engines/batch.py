"""Several pictures go through the model in one run, for replay: frames wait for each other until the run is full.

Memory: each frame of a batch keeps its pixels in the ring and its prepared picture, and takes four times its map, because
each engine has four sets of results that take turns.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.engines.graph_io import prediction
from edge.engines.protocol import Engine, Prediction

log = structlog.get_logger()

T = TypeVar("T")


class Batches(Generic[T]):
    """Batches are a ``Lane`` whose frames are gathered into runs; they come out in order, once a run is full or ``collect``
    asks.

    A run holds pictures of one shape, so another shape ends it. If a run fails, its pictures go one by one, so that an
    error falls on its own frame alone.
    """

    gathers = True
    """Return True: frames wait for the next ones."""

    def __init__(self, engine: Engine) -> None:
        self.depth = engine.batch
        self._engine = engine
        self._pictures: NDArray[Any] = np.empty(0, np.uint8)
        self._gathered: list[T] = []
        self._done: deque[tuple[T, Prediction | Exception]] = deque()
        self._warned = False

    @property
    def pending(self) -> int:
        return len(self._gathered) + len(self._done)

    @property
    def full(self) -> bool:
        return self.pending >= self.depth

    def submit(self, ticket: T, image: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
        """Keep a copy of one picture for the next run, and run if it is full. ``ticket`` comes back with its map."""
        if self.full:
            raise RuntimeError("the lane is full: collect first")
        if (self._pictures.shape[1:], self._pictures.dtype) != (image.shape, image.dtype):
            if self._gathered:
                self._run()
            self._pictures = np.empty((self.depth, *image.shape), image.dtype)
        self._pictures[len(self._gathered)] = image
        self._gathered.append(ticket)
        if len(self._gathered) == self.depth:
            self._run()

    def collect(self) -> tuple[T, Prediction | Exception]:
        """Return the oldest frame's ticket and map, or the error that it has instead."""
        if not self._done:
            self._run()
        return self._done.popleft()

    def _run(self) -> None:
        pictures = self._pictures[: len(self._gathered)]
        outcomes: Sequence[Prediction | Exception]
        try:
            outcomes = self._engine.infer_batch(pictures)
        except Exception as error:  # noqa: BLE001  (which picture's it is, each one alone will tell)
            if not self._warned:
                self._warned = True
                log.warning("batch_failed", pictures=len(pictures), error=str(error), effect="they go one by one")
            outcomes = [self._alone(picture) for picture in pictures]
        self._done.extend(zip(self._gathered, outcomes, strict=True))
        self._gathered = []

    def _alone(self, picture: NDArray[Any]) -> Prediction | Exception:
        try:
            return self._engine.infer(picture).copy()
        except Exception as error:  # noqa: BLE001  (it belongs to this frame)
            return error


def split_predictions(outputs: Mapping[str, NDArray[np.float32]], count: int) -> list[Prediction]:
    """Return the predictions of the first ``count`` pictures of a run, as views of its outputs."""
    return [prediction({k: array[i : i + 1] for k, array in outputs.items()}, tiles=False) for i in range(count)]
