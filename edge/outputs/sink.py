"""Sink is the base class of what an output does with records; sinks run behind a ``Queued``."""

# ruff: noqa: B027  (optional methods have an empty body)

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from edge.frames import Frame, Heartbeat, Judged, Record, RunIdentity, State
from edge.outputs.protocol import MakeArchive


class Sink(ABC):
    """Records go to a sink. Every method is called in the output's own thread, except ``keep`` and ``made_by``.

    A sink has a ``name`` and writes records; all else is **optional** and does nothing unless it is overridden. A method
    that raises breaks no more than the call: the error becomes the output's fault and the record counts as lost.

    Any thread may read the attributes and properties.
    """

    name: str
    """Name of the output in ``state``, metrics and logs."""
    required: bool = False
    """**Optional.** True if a verdict counts only once the sink has its record. While the sink fails ``log_lost`` says so,
    and a record that it did not take reaches the output after it as ``invalid: log_lost``."""
    leads: bool = False
    """**Optional.** True if those who act on a record get it only after this sink has written it."""
    lost: int = 0
    """**Optional.** Number of records that the sink lost without raising."""
    trouble: str | None = None
    """**Optional.** Fault that the sink looks after by itself, besides those that it raises."""

    @property
    def idle_s(self) -> float:
        """**Optional.** Return the longest time in s between two calls of ``idle``; asked for before each wait."""
        return 1.0

    @property
    def detail(self) -> Mapping[str, Any]:
        """**Optional.** Return a small mapping for ``state`` that seldom changes."""
        return {}

    @property
    def counters(self) -> Mapping[str, int]:
        """**Optional.** Return what else the sink counts, for metrics."""
        return {}

    @property
    def free_bytes(self) -> int | None:
        """**Optional.** Return the free bytes of the disk that the sink writes to, for metrics."""
        return None

    @property
    def subscribers(self) -> int | None:
        """**Optional.** Return the number of subscriptions at this moment; None if nobody can subscribe."""
        return None

    def open(self) -> None:
        """**Optional.** Bind, open, lock. A ``UserError`` for what a person must mend reaches the caller of ``start``."""

    def keep(self, record: Record, frame: Frame, judged: Judged | None) -> object | None:
        """**Optional.** Copy what the sink needs of the frame; the result is handed to ``write``.

        Called in the judge's thread inside ``accept``, so it mustn't block.
        """

    def discard(self, kept: Any) -> None:
        """**Optional.** Take back what ``keep`` gave for a record that will not be written."""

    @abstractmethod
    def write(self, record: Record, kept: Any) -> None:
        """Write one record, in order. ``kept`` is what ``keep`` returned for it; None for skips."""

    def idle(self) -> None:
        """**Optional.** Look around. Called whenever the queue is empty, and at least every ``idle_s`` seconds."""

    def recover(self) -> None:
        """**Optional.** Reopen after a failure.

        The record that failed is then written again; should that fail too, records are lost until ``recover`` and
        ``write`` succeed, tried every second. A sink without it goes on after a failure as if nothing had happened.
        """

    @property
    def recovers(self) -> bool:
        """Return True if the sink has a ``recover`` of its own."""
        return type(self).recover is not Sink.recover

    def state(self, state: State) -> None:
        """**Optional.** Take the daemon's changed state."""

    def tick(self, heartbeat: Heartbeat) -> None:
        """**Optional.** Take a heartbeat, every 500 ms."""

    def made_by(self, identity: RunIdentity, archive: MakeArchive) -> None:
        """**Optional.** Note that another config, model or calibration makes the records from about now on; see ``Output``.

        Called by the supervisor, so it mustn't block.
        """

    def close(self) -> None:
        """**Optional.** Give everything back; called once, also after ``open`` raised."""
