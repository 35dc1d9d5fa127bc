"""Every output keeps this protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from edge.config.load import Loaded
from edge.frames import Frame, Heartbeat, Judged, Record, RunIdentity, State


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """Snapshot for ``state`` and metrics. ``lost``: records that it could not take. ``fault``: its text.

    ``counters``: what else it counts, and ``free_bytes`` of the disk it writes to, for metrics only.
    """

    accepted: int
    lost: int
    fault: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    free_bytes: int | None = None
    subscribers: int | None = None
    """Subscriptions to it at this moment; None where nobody can subscribe."""
    failures: int = 0
    """Times that something began to be wrong, those included that were over before anyone looked."""
    last_fault: str | None = None
    """What it was the last time."""


MakeArchive: TypeAlias = Callable[[Path], object]
"""Writes the texts that made the records beside the log, in this folder. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Run:
    """What an output is opened for: the config, the identity that records carry, and the runtime folder of the process."""

    loaded: Loaded
    identity: RunIdentity
    folder: Path


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

    def made_by(self, identity: RunIdentity, archive: MakeArchive) -> None:
        """Another config, model or calibration makes the records from the next frame on. Called by the supervisor."""

    @property
    def log_lost(self) -> bool:
        """It must have every record and can't take them now, so no verdict counts. Asked before each verdict."""

    def status(self) -> OutputStatus: ...

    def close(self, timeout_s: float) -> None: ...
