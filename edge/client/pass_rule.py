"""Whoever acts on a verdict follows this rule: anything but a fresh pass for this part is a reject. No sockets, no clocks.

Every time is monotonic s of the listener's machine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from edge.client.events import STALE_S, Gap, Listener, Received, Restart, UnknownSchema
from edge.client.heard import Beat, Heard, Lag, heard_of

WITHIN_MAX_S = 60.0
"""Longest window in s: records that lie further back are forgotten."""
WHOLE_BYTES = 2 * 1024 * 1024
"""The newest records, up to this size, are kept as they came, and of older ones only what the rule reads: a record of 80
regions has 16 KB, and 60 s of them at 200 a second would be 190 MB."""
_KEPT = 100_000
_HASH_DIGITS = 8

Why: TypeAlias = Literal[
    "pass", "fail", "invalid", "no_record", "late", "ambiguous", "gap", "restart", "stale", "simulated", "schema", "recipe"
]


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision says whether a part may pass. ``why`` is for programs, ``text`` for people.

    ``record`` is the record that it rests on, if any. A record that is not among the newest 2 MB any more has only the
    fields that the rule reads; its regions are gone.
    """

    accept: bool
    why: Why
    text: str
    record: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Latest:
    """Everything that is known about the daemon's present run is given at one moment. Ages are in s, infinity if nothing
    came yet.
    """

    decision: Decision
    """Apply the rule to the latest record, whichever part it is of."""
    record_age_s: float
    heartbeat: dict[str, Any] | None
    heartbeat_age_s: float
    state: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A record must meet these conditions to count, besides its verdict."""

    allow_simulated: bool = False
    recipe_id: str | None = None
    """Recipe that the part must be judged by; None: any."""
    config_sha256: str | None = None
    """Config that the part must be judged by: its SHA-256 or at least the first 8 digits; None: any.

    Raises:
        ValueError: fewer digits, or no hexadecimal ones.
    """

    def __post_init__(self) -> None:
        digits = self.config_sha256
        if digits is not None and not (_HASH_DIGITS <= len(digits) <= 64 and set(digits) <= set("0123456789abcdef")):
            raise ValueError(f"config_sha256: {digits!r} is not {_HASH_DIGITS} to 64 lower-case hexadecimal digits")

    def why_not(self, heard: Heard) -> str | None:
        """Say why a record was made by something else than what is wanted; None if it was made by that."""
        if self.recipe_id is not None and heard.recipe_id != self.recipe_id:
            received = "no recipe" if heard.recipe_id is None else f"recipe {heard.recipe_id}"
            return f"made by {received}, expected {self.recipe_id}"
        if self.config_sha256 is not None and not heard.config_sha256.startswith(self.config_sha256):
            return f"made by config {heard.config_sha256[:12]}, expected {self.config_sha256[:12]}"
        return None


_ANY = Wanted()


class PassRule:
    """The rule hears everything that one camera's daemon sends and says whether a part, or the latest record, may pass."""

    def __init__(self, camera: str, *, stale_s: float = STALE_S, now: float = 0.0, keep_s: float = WITHIN_MAX_S) -> None:
        """Take ``keep_s``, the longest window of ``decide`` in s; 0 for callers that ask for the latest record only."""
        self._listener = Listener(camera, stale_s=stale_s, now=now)
        self._stale_s = stale_s
        self._keep_s = keep_s
        self._lag = Lag()
        self._recent: deque[Heard] = deque(maxlen=_KEPT)
        self._whole: deque[Heard] = deque()
        self._whole_bytes = 0
        self._beat: Beat | None = None
        self._state: dict[str, Any] | None = None
        self._restart_at = float("-inf")
        self._unknown: int | str | None = None

    def hear(self, topic: bytes, body: bytes, came: float, now: float) -> None:
        """Hear one message, read ``now``; ``came`` is the oldest moment at which it may have arrived."""
        after_gap = None
        for event in self._listener.hear(topic, body, now):
            if isinstance(event, Gap):
                after_gap = f"records {event.first} to {event.last} were lost right before this one"
            elif isinstance(event, Restart):
                self._begin(now)
            elif isinstance(event, UnknownSchema):
                self._unknown = event.major
            elif isinstance(event, Received) and event.kind == "state":
                self._state = event.message
            elif isinstance(event, Received):
                lag = self._lag.of(event.message, now)
                if event.kind == "heartbeat":
                    self._beat = Beat(event.message, came, now, lag)
                else:
                    self._keep(heard_of(event, came, now, lag, after_gap))

    def doubt(self, text: str) -> None:
        """Note a message that could not be read: until the next record nothing counts as the latest."""
        self._listener.unread = text

    def decide(self, part_id: int, called: float, within_s: float, now: float, wanted: Wanted = _ANY) -> Decision | None:
        """Decide about the part asked for at ``called``; None while its window is still open: ask again when more was
        heard.

        The window is ``within_s`` before and after ``called``.
        """
        end = called + within_s
        if called - self._restart_at <= within_s:
            return self._restarted()
        found = [h for h in self._since(called - within_s) if h.tells_of(part_id) and h.age(called) <= within_s]
        if len(found) > 1:
            return _no("ambiguous", f"{len(found)} records name part {part_id}", found[0].record)
        if not found:
            if now < end:
                return None
            return self._nothing(f"no record of part {part_id} within {within_s:g} s")
        heard = found[0]
        if heard.read > end:
            return _no("late", f"the record came {heard.read - end:.2f} s too late", heard.record)
        decision = self._weigh(heard, now, wanted)
        return None if decision.why == "stale" and now < end else decision

    def latest(self, max_age_s: float, now: float, wanted: Wanted = _ANY) -> Latest:
        """Decide about the latest record, whichever part it is of, for callers that show it rather than ask for a part.

        If that record can't be read, the one before it is not shown in its place.
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
            decision = _no("late", f"the latest record is {age:.2f} s old", heard.record)
        else:
            decision = self._weigh(heard, now, wanted)
        return Latest(decision, age, self._beat.message if self._beat else None, self._silence(now), self._state)

    def _begin(self, now: float) -> None:
        """Forget everything about a run that ended, because nothing of it counts any more."""
        self._recent.clear()
        self._whole.clear()
        self._whole_bytes = 0
        self._beat, self._state, self._restart_at = None, None, now

    def _keep(self, heard: Heard) -> None:
        """Keep what a window may still reach back to, whole as far as there is room, and the newest one in any case."""
        self._recent.append(heard)
        # a window of 60 s reaches 60 s back from the call, and is decided up to 60 s after it
        while len(self._recent) > 1 and self._recent[0].read < heard.read - 2 * self._keep_s:
            self._recent.popleft()
        self._whole.append(heard)
        self._whole_bytes += len(heard.whole or b"")
        while len(self._whole) > 1 and (self._whole_bytes > WHOLE_BYTES or self._whole[0].read < self._recent[0].read):
            oldest = self._whole.popleft()
            self._whole_bytes -= len(oldest.whole or b"")
            oldest.whole = None

    def _silence(self, now: float) -> float:
        return self._beat.age(now) if self._beat else float("inf")

    def _since(self, moment: float) -> Iterator[Heard]:
        for heard in reversed(self._recent):
            if heard.read < moment:
                return
            yield heard

    def _weigh(self, heard: Heard, now: float, wanted: Wanted) -> Decision:
        record = heard.record
        silent_s = self._silence(now)
        other = wanted.why_not(heard)
        if silent_s > self._stale_s:
            heard_of = "no heartbeat yet" if self._beat is None else f"no heartbeat for {silent_s:.1f} s"
            return _no("stale", heard_of, record)
        if heard.simulated and not wanted.allow_simulated:
            return _no("simulated", "the pixels don't come from a camera now", record)
        if other is not None:
            return _no("recipe", other, record)
        if heard.after_gap is not None:
            return _no("gap", heard.after_gap, record)
        if heard.verdict == "invalid":
            return _no("invalid", f"invalid: {heard.reason}", record)
        if heard.verdict != "pass":
            return _no("fail", "fail", record)
        return Decision(True, "pass", "pass", record)

    def _unread(self) -> str:
        return f"the newest record can't be read: {self._listener.unread}"

    def _nothing(self, text: str) -> Decision:
        if self._listener.unread is not None:
            return _no("schema", f"{text}; {self._unread()}")
        if self._unknown is not None and self._beat is None:
            return _no("schema", f"{text}; messages of schema {self._unknown} came, which this program can't read")
        return _no("no_record", text)

    def _restarted(self, heard: Heard | None = None) -> Decision:
        return _no("restart", "the daemon was started anew", None if heard is None else heard.record)


def _no(why: Why, text: str, record: dict[str, Any] | None = None) -> Decision:
    return Decision(False, why, text, record)
