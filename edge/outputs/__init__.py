"""Where records go: the protocol that every output keeps, and the thread with a bounded queue that each one runs in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.frames import AnomalyMap, Frame, Heartbeat, Record, State
from edge.regions import Found


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """Snapshot for ``state`` and metrics. ``lost``: records that it could not take. ``fault``: its text."""

    accepted: int
    lost: int
    fault: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What an inspection's verdict rests on, in map pixels.

    ``found.mask``: uint8 (h, w), 255 where a region is. ``found.rejected`` and ``found.candidates`` only where
    ``Rules.explain`` asks for them.
    """

    amap: AnomalyMap
    found: Found


class Output(Protocol):
    """A place for records. The judge calls ``accept`` and ``skip``, the supervisor ``state`` and ``tick``; none may block.

    ``start`` binds, opens and locks (``UserError`` for what a person must mend) before the first record;
    ``close`` writes what is queued, for at most ``timeout_s``.
    """

    name: str

    def start(self) -> None: ...

    def accept(self, record: Record, frame: Frame, judged: Judged | None) -> None:
        """An inspection. ``frame.pixels`` and ``judged`` are valid only during the call: copy what you keep.

        ``judged``: None where no map was judged.
        """

    def skip(self, record: Record) -> None:
        """Frames that were lost; told in their place in the order."""

    def state(self, state: State) -> None:
        """The daemon's state changed."""

    def tick(self, heartbeat: Heartbeat) -> None:
        """Every 500 ms."""

    def status(self) -> OutputStatus: ...

    def close(self, timeout_s: float) -> None: ...
