"""Messages become events: what a listener must notice about their coming, in its place. No sockets, no clocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from edge.wire.read import WireError, read
from edge.wire.schema import RECORD_KINDS, VERSION

_FAR = 100_000
_SCHEMAS = 100
STALE_S = 2.0
"""A daemon is heard every 0.5 s; after this many s without a heartbeat nothing that it said counts any more."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message came. ``kind`` is inspection, skip, state or heartbeat; ``raw`` is its JSON as it came."""

    kind: str
    camera: str
    message: dict[str, Any]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Records ``first`` to ``last`` (seq) of a run were never received: whatever they judged counts as rejected."""

    camera: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Restart:
    """The daemon was started anew: ``seq`` begins again."""

    camera: str
    before: str
    now: str


@dataclass(frozen=True, slots=True)
class Simulated:
    """The run's pixels don't come from a camera now, so nothing may be actuated on its records. Reported once per run."""

    camera: str


@dataclass(frozen=True, slots=True)
class Stale:
    """No heartbeat came for ``silent_s``. ``camera`` is None if nothing was ever heard."""

    camera: str | None
    silent_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """A heartbeat came again, after ``silent_s``."""

    camera: str
    silent_s: float


@dataclass(frozen=True, slots=True)
class UnknownSchema:
    """Messages have a schema that this version can't read. Reported once per schema; the messages are not delivered."""

    camera: str
    major: int | str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message is no JSON of the schema; the text says why."""

    topic: str
    text: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The daemon did not let us in; the text says why, as far as that is known. Reported once; it is tried again every
    second.
    """

    text: str


Event: TypeAlias = Received | Gap | Restart | Simulated | Stale | Resumed | UnknownSchema | Unreadable | Refused


class _Camera:
    """Everything known about one camera's run is kept here."""

    __slots__ = ("heard_at", "instance_id", "next_seq", "simulated", "stale", "state_seq")

    def __init__(self, now: float) -> None:
        self.instance_id: str | None = None
        self.next_seq: int | None = None
        self.state_seq = -1
        self.simulated = False
        self.heard_at = now
        self.stale = False


class Listener:
    """A listener turns messages into events, without a socket: it drops repeats, and reports gaps, restarts and
    silences.
    """

    def __init__(self, camera: str | None = None, *, stale_s: float = STALE_S, now: float = 0.0) -> None:
        """Hear ``camera`` only, if it is given. ``now`` is monotonic s, as everywhere below."""
        self._only = camera
        self._stale_s = stale_s
        self._started_at = now
        self._silent = False
        self._cameras: dict[str, _Camera] = {}
        self._unknown: set[tuple[str, int | str]] = set()
        self.unread: str | None = None
        """Why the newest record could not be read; None if it could. For a listener to a single camera."""

    def hear(self, topic: bytes, body: bytes, now: float) -> list[Event]:
        """Return the events that one message brings about, in order."""
        kind, _, rest = topic.decode("utf-8", "replace").partition("/")
        major, _, camera = rest.rstrip("/").partition("/")
        if self._only is not None and camera != self._only:
            return []
        is_record = kind in RECORD_KINDS
        if major != str(VERSION):
            number = major.isascii() and major.isdecimal() and len(major) < 10
            return self._unknown_schema(camera, int(major) if number else major[:40], is_record=is_record)
        try:
            message = read(body)
        except WireError as error:
            if error.major is not None:
                return self._unknown_schema(camera, error.major, is_record=is_record)
            if is_record:
                self.unread = str(error)
            return [Unreadable(f"{kind}/{rest}", str(error))]
        if message["kind"] not in (*RECORD_KINDS, "state", "heartbeat"):
            return []
        return self._follow(message, body, now)

    def silence(self, now: float) -> list[Event]:
        """Return the cameras that have become stale by now. Call this now and then while nothing comes."""
        events: list[Event] = []
        if not self._cameras and not self._silent and now - self._started_at > self._stale_s:
            self._silent = True
            events.append(Stale(None, now - self._started_at))
        for name, camera in self._cameras.items():
            if not camera.stale and now - camera.heard_at > self._stale_s:
                camera.stale = True
                events.append(Stale(name, now - camera.heard_at))
        return events

    def _follow(self, message: dict[str, Any], body: bytes, now: float) -> list[Event]:
        kind, name, instance_id = message["kind"], message["camera"], message["instance_id"]
        camera = self._cameras.get(name)
        if camera is None:
            camera = self._cameras[name] = _Camera(self._started_at if self._silent else now)
            camera.stale, self._silent = self._silent, False
        events: list[Event] = []
        if instance_id != camera.instance_id:
            if camera.instance_id is not None:
                events.append(Restart(name, camera.instance_id, instance_id))
                # whoever heard the run before should hear this one from its first record on
                camera.next_seq = 0
            camera.instance_id, camera.state_seq, camera.simulated = instance_id, -1, False
            self.unread = None
        if message["simulated"] and not camera.simulated:
            camera.simulated = True
            events.append(Simulated(name))
        if kind == "heartbeat":
            if camera.stale:
                events.append(Resumed(name, now - camera.heard_at))
            camera.heard_at, camera.stale = now, False
            self._check_seq(camera, message["last_seq"])
        elif kind == "state":
            if message["state_seq"] <= camera.state_seq:  # sent again for somebody else
                return events
            camera.state_seq = message["state_seq"]
        else:
            seq = message["seq"]
            if camera.next_seq is not None and seq < camera.next_seq:
                return events
            if camera.next_seq is not None and seq > camera.next_seq:
                events.append(Gap(name, camera.next_seq, seq - 1))
            camera.next_seq = seq + 1
            self.unread = None
        return [*events, Received(kind, name, message, body)]

    def _check_seq(self, camera: _Camera, last_seq: object) -> None:
        """Refuse a ``seq`` far beyond the heartbeat's: if it were believed, all later records would count as repeats."""
        if isinstance(last_seq, int) and camera.next_seq is not None and camera.next_seq - last_seq > _FAR:
            self.unread = f"a record came with seq {camera.next_seq - 1}, and the daemon's last one is {last_seq}"
            camera.next_seq = None

    def _unknown_schema(self, camera: str, major: int | str, *, is_record: bool) -> list[Event]:
        if is_record:
            self.unread = f"schema {major} is unknown to this program"
        if (camera, major) in self._unknown or len(self._unknown) >= _SCHEMAS:
            return []
        self._unknown.add((camera, major))
        return [UnknownSchema(camera, major)]
