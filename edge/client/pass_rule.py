"""The rule for whoever acts on a verdict: anything but a fresh pass for this part is a reject. No sockets, no clocks.

Every time is monotonic s of the listener's machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edge.client.events import STALE_S, Gap, Listener, Received, Restart, UnknownSchema

WITHIN_MAX_S = 60.0
"""Longest window: records older than this are forgotten."""
_KEPT = 10_000

Why: TypeAlias = Literal[
    "pass", "fail", "invalid", "no_record", "late", "ambiguous", "gap", "restart", "stale", "simulated", "schema"
]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a part may pass. ``why`` for programs, ``text`` for people; ``record``: the one it rests on, if any."""

    accept: bool
    why: Why
    text: str
    record: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """Everything that is known at one moment, of the daemon's present run. Ages in s, infinity where nothing came yet."""

    decision: Decision
    """The rule for the latest record, whichever part it is of."""
    record_age_s: float
    heartbeat: dict[str, Any] | None
    heartbeat_age_s: float
    state: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Heard:
    """A message, the oldest moment it may have come, when it was read, and how much longer than usual it took."""

    message: dict[str, Any]
    came: float
    read: float
    lag: float
    after_gap: str | None = None

    def age(self, now: float) -> float:
        """How old it may be, in s: since it came, or since it would have come at the usual speed."""
        return max(now - self.came, now - self.read + self.lag)

    def tells_of(self, part_id: int) -> bool:
        message = self.message
        if message["kind"] == "inspection":
            return bool(message["part_id"] == part_id)
        first, last = message["part_id_first"], message["part_id_last"]
        return isinstance(first, int) and isinstance(last, int) and min(first, last) <= part_id <= max(first, last)


class _Lag:
    """How much longer than the fastest of the last 30 to 60 s a message took, by its ``created_ns`` and our clock.

    Needs no common clock: after a stall in between, old messages come all at once and each looks fresh by itself. When
    the daemon's clock is set back everything looks old until the window has passed; that errs to the safe side.
    """

    def __init__(self) -> None:
        self._best = self._before = float("inf")
        self._turn_at = 0.0

    def of(self, created_ns: object, now: float) -> float:
        if not isinstance(created_ns, int):
            return float("inf")
        delay = now - created_ns / 1e9
        if now >= self._turn_at:
            self._turn_at = now + 30.0
            self._before, self._best = self._best, delay
        self._best = min(self._best, delay)
        return delay - min(self._best, self._before)


class PassRule:
    """Hears everything that one camera's daemon sends and says of a part, or of the latest record, whether it may pass."""

    def __init__(self, camera: str, *, stale_s: float = STALE_S, now: float = 0.0) -> None:
        self._listener = Listener(camera, stale_s=stale_s, now=now)
        self._stale_s = stale_s
        self._lag = _Lag()
        self._recent: deque[_Heard] = deque(maxlen=_KEPT)
        self._beat: _Heard | None = None
        self._state: dict[str, Any] | None = None
        self._restart_at = float("-inf")
        self._unknown: int | str | None = None

    def hear(self, topic: bytes, body: bytes, came: float, now: float) -> None:
        """One message, read ``now``; ``came``: the oldest moment at which it may have arrived."""
        after_gap = None
        for event in self._listener.hear(topic, body, now):
            if isinstance(event, Gap):
                after_gap = f"records {event.first} to {event.last} were lost right before this one"
            elif isinstance(event, Restart):
                self._recent.clear()
                self._beat, self._state, self._restart_at = None, None, now
            elif isinstance(event, UnknownSchema):
                self._unknown = event.major
            elif isinstance(event, Received) and event.kind == "state":
                self._state = event.message
            elif isinstance(event, Received):
                lag = self._lag.of(event.message["created_ns"], now)
                heard = _Heard(event.message, came, now, lag, after_gap)
                if event.kind == "heartbeat":
                    self._beat = heard
                else:
                    self._recent.append(heard)

    def decide(
        self, part_id: int, called: float, within_s: float, now: float, *, allow_simulated: bool = False
    ) -> Decision | None:
        """Of the part for which was asked at ``called``; None: its window is still open, ask again when more was heard.

        The window is ``within_s`` before and after ``called``.
        """
        end = called + within_s
        if called - self._restart_at <= within_s:
            return self._restarted()
        found = [h for h in self._since(called - within_s) if h.tells_of(part_id) and h.age(called) <= within_s]
        if len(found) > 1:
            return _no("ambiguous", f"{len(found)} records tell of part {part_id}", found[0].message)
        if not found:
            if now < end:
                return None
            return self._nothing(f"no record of part {part_id} within {within_s:g} s")
        heard = found[0]
        if heard.read > end:
            return _no("late", f"the record came {heard.read - end:.2f} s too late", heard.message)
        decision = self._weigh(heard, now, allow_simulated=allow_simulated)
        return None if decision.why == "stale" and now < end else decision

    def latest(self, max_age_s: float, now: float, *, allow_simulated: bool = False) -> Latest:
        """Of the latest record, whichever part it is of: for those who show it rather than ask for a part.

        Where that one can't be read the one before it is not shown in its place.
        """
        heard = self._recent[-1] if self._recent else None
        age = float("inf") if heard is None else heard.age(now)
        if now - self._restart_at <= max_age_s:
            decision = self._restarted(heard)
        elif heard is None:
            decision = self._nothing("no record yet")
        elif self._listener.unread is not None:
            decision = _no("schema", self._unread())
        elif age > max_age_s:
            decision = _no("late", f"the latest record is {age:.2f} s old", heard.message)
        else:
            decision = self._weigh(heard, now, allow_simulated=allow_simulated)
        return Latest(decision, age, self._beat.message if self._beat else None, self._silence(now), self._state)

    def _silence(self, now: float) -> float:
        return self._beat.age(now) if self._beat else float("inf")

    def _since(self, moment: float) -> Iterator[_Heard]:
        for heard in reversed(self._recent):
            if heard.read < moment:
                return
            yield heard

    def _weigh(self, heard: _Heard, now: float, *, allow_simulated: bool) -> Decision:
        message = heard.message
        silent_s = self._silence(now)
        if silent_s > self._stale_s:
            heard_of = "no heartbeat yet" if self._beat is None else f"no heartbeat for {silent_s:.1f} s"
            return _no("stale", heard_of, message)
        if message["simulated"] and not allow_simulated:
            return _no("simulated", "the pixels don't come from a camera now", message)
        if heard.after_gap is not None:
            return _no("gap", heard.after_gap, message)
        if message["verdict"] == "invalid":
            return _no("invalid", f"invalid: {message['reason']}", message)
        if message["verdict"] != "pass":
            return _no("fail", "fail", message)
        return Decision(True, "pass", "pass", message)

    def _unread(self) -> str:
        return f"the newest record can't be read: {self._listener.unread}"

    def _nothing(self, text: str) -> Decision:
        if self._listener.unread is not None:
            return _no("schema", f"{text}; {self._unread()}")
        if self._unknown is not None and self._beat is None:
            return _no("schema", f"{text}; messages of schema {self._unknown} came, which this program can't read")
        return _no("no_record", text)

    def _restarted(self, heard: _Heard | None = None) -> Decision:
        return _no("restart", "the daemon was started anew", None if heard is None else heard.message)


def _no(why: Why, text: str, record: dict[str, Any] | None = None) -> Decision:
    return Decision(False, why, text, record)
