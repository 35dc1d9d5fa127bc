"""The rule keeps this much of a record, and tells how old a message may be by two clocks that nobody set. No sockets, no
clocks.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import orjson

from edge.client.events import Received

_BOOT_S = 10.0
"""A monotonic clock that is this many s behind the last message's is another one: the daemon's machine was booted."""


@dataclass(slots=True)
class Heard:
    """A heard record has what the rule reads of it, the oldest moment at which it may have come, when it was read, and how
    much longer than usual it took.
    """

    kind: str
    seq: int
    parts: tuple[int, int] | None
    verdict: str
    reason: str | None
    simulated: bool
    recipe_id: str | None
    config_sha256: str
    came: float
    read: float
    lag: float
    after_gap: str | None
    whole: bytes | None
    """Return the record as it came; None once newer ones take its room."""

    def age(self, now: float) -> float:
        """Return how old the record may be, in s: since it came, or since it would have come at the usual speed."""
        return _age(self.came, self.read, self.lag, now)

    def tells_of(self, part_id: int) -> bool:
        return self.parts is not None and self.parts[0] <= part_id <= self.parts[1]

    @property
    def record(self) -> dict[str, Any]:
        if self.whole is not None:
            return dict(orjson.loads(self.whole))
        first, last = self.parts or (None, None)
        of_parts = {"part_id": first} if self.kind == "inspection" else {"part_id_first": first, "part_id_last": last}
        names = ("kind", "seq", "verdict", "reason", "simulated", "recipe_id", "config_sha256")
        return {name: getattr(self, name) for name in names} | of_parts


def heard_of(event: Received, came: float, now: float, lag: float, after_gap: str | None) -> Heard:
    """Return what the rule keeps of a record; ``after_gap`` says what was lost right before it."""
    message = event.message
    return Heard(
        kind=sys.intern(event.kind),
        seq=message["seq"],
        parts=_parts(message),
        verdict=sys.intern(message["verdict"]),
        reason=_short(message["reason"]),
        simulated=message["simulated"],
        recipe_id=_short(message["recipe_id"]),
        config_sha256=_short(message["config_sha256"]) or "",
        came=came,
        read=now,
        lag=lag,
        after_gap=after_gap,
        whole=event.raw,
    )


def _parts(message: dict[str, Any]) -> tuple[int, int] | None:
    """Return the first and last part id that a record names."""
    if message["kind"] == "inspection":
        first = last = message["part_id"]
    else:
        first, last = message["part_id_first"], message["part_id_last"]
    if not (isinstance(first, int) and isinstance(last, int)):
        return None
    return min(first, last), max(first, last)


def _short(text: object) -> str | None:
    """Return one shared copy of a text that stands in thousands of records."""
    return None if text is None else sys.intern(str(text)[:256])


def _age(came: float, read: float, lag: float, now: float) -> float:
    return max(now - came, now - read + lag)


class Lag:
    """The lag says how much longer than the fastest of the last 30 to 60 s a message took, by the daemon's clock and ours.

    Needs no common clock: after a stall in between, old messages come all at once and each looks fresh by itself. The
    daemon's monotonic clock is read where a message has it. A daemon that has none is believed by its wall clock; when that
    is set back everything looks old until the window has passed, which errs to the safe side.
    """

    def __init__(self) -> None:
        self._mono, self._wall = _Fastest(), _Fastest()
        self._last_mono_ns = 0

    def of(self, message: dict[str, Any], now: float) -> float:
        """Return the lag in s; infinity for a message without a time."""
        has_mono = "created_mono_ns" in message
        created_ns = message["created_mono_ns" if has_mono else "created_ns"]
        if not isinstance(created_ns, int):
            return float("inf")
        if not has_mono:
            return self._wall.more_than(now - created_ns / 1e9, now)
        if created_ns < self._last_mono_ns - _BOOT_S * 1e9:
            self._mono = _Fastest()
        self._last_mono_ns = created_ns
        return self._mono.more_than(now - created_ns / 1e9, now)


class _Fastest:
    """Remembers the smallest delay of the last 30 to 60 s."""

    def __init__(self) -> None:
        self._best = self._before = float("inf")
        self._turn_at = 0.0

    def more_than(self, delay: float, now: float) -> float:
        if now >= self._turn_at:
            self._turn_at = now + 30.0
            self._before, self._best = self._best, delay
        self._best = min(self._best, delay)
        return delay - min(self._best, self._before)


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat has moments from which its age is counted."""

    message: dict[str, Any]
    came: float
    read: float
    lag: float

    def age(self, now: float) -> float:
        return _age(self.came, self.read, self.lag, now)
