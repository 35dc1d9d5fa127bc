"""Every source keeps this protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from edge.frames import Payload, Skip, SourceState


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A status is a snapshot of a source, safe to take from any thread.

    ``announced`` counts the frames that the producer's own ids say were taken so far: last id - first id + 1 for each
    stream start, wraps undone, summed over starts; every one of them has been returned by ``read``, as a payload or inside
    a skip. ``counters`` has losses by skip reason, ``reconnects``, ``timeouts`` (times that frames were due and none came
    for a while; an idle trigger is none) and whatever else the source counts. ``problem`` says why what comes now can't be
    used or relied on, though it comes: every payload unreadable, part ids that stay away. It is a fault and not ready,
    until the source says None again. ``busy_until_ns`` is ``time.monotonic_ns()`` until which ``open`` or ``read`` may
    still be in one call, for example connecting, before it counts as hung; past moments are signs of progress.
    """

    state: SourceState
    detail: str
    announced: int
    counters: Mapping[str, int] = field(default_factory=dict)
    problem: str | None = None
    busy_until_ns: int = 0


@dataclass(frozen=True, slots=True)
class DeviceFinding:
    """A finding is what ``edge doctor`` says about a source's device before anything is opened, and how to mend it.

    ``fail`` means that no frame can come; ``warn``, that none comes until someone acts, and the daemon waits for that.
    """

    level: Literal["ok", "warn", "fail"]
    what: str
    text: str
    fix: str | None = None


class Source(Protocol):
    """A camera, a folder or a generator is a source. All methods but ``status`` are called in the acquisition thread.

    Order of calls: ``open`` once, ``read`` again and again, ``close`` once, also after ``open`` or ``read`` raised.
    """

    simulated: bool
    """True if pixels don't come from a camera now: records of such a source say ``simulated: true``."""

    def open(self) -> None:
        """Check what can be checked (``UserError`` for what a person must mend) and get ready.

        A camera that isn't there is no error: ``open`` returns, the state is ``backoff`` and ``read`` goes on trying.
        """

    def read(self, timeout_s: float) -> Payload | Skip | None:
        """Return the next frame, or the loss that lies before it, or None if nothing came within ``timeout_s``.

        Returns within ``timeout_s`` plus a few milliseconds, whatever the camera does. A payload's data are valid
        until the next call. Raises EOFError when a finite source has no more. Connection losses are handled inside
        (state ``lost``, ``backoff``), not raised.
        """

    def close(self) -> None:
        """Give the device back. Never raises; may be called twice."""

    def status(self) -> SourceStatus:
        """Return a thread-safe snapshot; it never touches the device."""
