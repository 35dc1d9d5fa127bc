"""Every output keeps this protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from edge.config.line import Config
from edge.config.load import ConfigTexts
from edge.frames import Frame, Heartbeat, Judged, Record, RunIdentity, State


@dataclass(frozen=True, slots=True)
class OutputStatus:
    """A status is a snapshot for ``state`` and metrics. ``lost`` counts records that the output could not take; ``fault``
    is a text.

    ``counters`` holds whatever else it counts, and ``free_bytes`` what is free on its disk, for metrics only.
    """

    accepted: int
    lost: int
    fault: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)
    counters: Mapping[str, int] = field(default_factory=dict)
    free_bytes: int | None = None
    subscribers: int | None = None
    """Number of subscriptions at this moment; None if nobody can subscribe."""
    failures: int = 0
    """Number of times that a fault began, those included that were over before anyone looked."""
    last_fault: str | None = None
    """Text of the last fault."""


MakeArchive: TypeAlias = Callable[[Path], object]
"""Writes the texts that made the records into this folder, beside the log. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Run:
    """An output is opened for a run: the config with its paths resolved, the identity that records carry, the process's
    runtime folder, and the texts that the log keeps beside its records.
    """

    config: Config
    identity: RunIdentity
    folder: Path
    texts: ConfigTexts


class Output(Protocol):
    """Records go to outputs. The judge calls ``accept`` and ``skip``, the supervisor ``state`` and ``tick``; none may
    block.

    ``start`` binds, opens and locks (``UserError`` for what a person must mend) before the first record;
    ``close`` writes what is queued, for at most ``timeout_s``.
    """

    name: str

    def start(self) -> None: ...

    def accept(self, record: Record, frame: Frame, judged: Judged | None) -> None:
        """Take an inspection. ``frame.pixels`` and ``judged`` are valid only during the call: copy what you keep.

        ``judged`` is None if no map was judged.
        """

    def skip(self, record: Record) -> None:
        """Take frames that were lost, at their place in the order."""

    def state(self, state: State) -> None:
        """Take the daemon's changed state."""

    def tick(self, heartbeat: Heartbeat) -> None:
        """Take a heartbeat, every 500 ms."""

    def made_by(self, identity: RunIdentity, archive: MakeArchive) -> None:
        """Note that another config, model or calibration makes the records from the next frame on. The supervisor calls
        this.
        """

    @property
    def log_lost(self) -> bool:
        """Return True if the output must have every record and can't take them now, so that no verdict counts. Asked before
        each verdict.
        """

    def status(self) -> OutputStatus: ...

    def close(self, timeout_s: float) -> None: ...
