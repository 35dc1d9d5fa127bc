"""A feed is everything that the page knows of one daemon: its last state, heartbeat and records, and the newest pictures.

Its threads listen; what they hear is taken over in the event loop alone, so that nothing here needs a lock.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from edge.client import Preview, PreviewSubscriber, Subscriber
from edge.client.events import Gap, Received, Refused, Restart
from edge.errors import UserError
from edge.service.instances import Instance
from edge.web.live.brief_record import brief, quantiles
from edge.wire.keys import ClientKeys

STRIP: Final = 600
COURSE: Final = 1000
"""Blocks of measured frames that are kept of each line."""
"""Records that are kept of each line."""
_STRIP_BYTES: Final = 4 << 20
_RATE_S: Final = 5.0
_REST_S: Final = 0.2
_MADE_BY: Final = ("recipe_id", "config_sha256", "model", "calibration_sha256")
OpenKeys: TypeAlias = Callable[[Instance], ClientKeys | None]


class Ear(Protocol):
    """Whoever listens to a feed has one, in the event loop."""

    def record(self, camera: str, whole: bytes, shown: dict[str, Any]) -> None: ...

    def picture(self, camera: str, preview: Preview) -> None: ...

    def changed(self, camera: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept record has its JSON as it came, in brief, and the latencies of its stages."""

    raw: bytes
    shown: dict[str, Any]
    latency_ms: dict[str, float] | None


class Feed:
    """A feed lives as long as one run of a daemon, or as long as its folder says that none runs."""

    def __init__(self, instance: Instance, keys: OpenKeys, loop: asyncio.AbstractEventLoop) -> None:
        self.instance = instance
        self.state: dict[str, Any] | None = None
        self.heartbeat: dict[str, Any] | None = None
        self.trouble: str | None = None
        """Why nothing can be heard, in words; None while nothing is known to be wrong."""
        self.records: deque[Kept] = deque(maxlen=STRIP)
        self.course: deque[dict[str, Any]] = deque(maxlen=COURSE)
        self.made_by: dict[str, Any] = {}
        """Recipe, config, model and calibration of the newest record."""
        self.last_fail: dict[str, Any] | None = None
        self.fail_picture: Preview | None = None
        self.newest: tuple[Preview, float] | None = None
        """The newest picture, and when it came (monotonic s)."""
        self.lookers: set[object] = set()
        """Who wants pictures; while nobody does, the daemon encodes none."""
        self.ears: set[Ear] = set()
        self._began = self._heard_at = time.monotonic()
        self._beats: deque[tuple[float, int]] = deque()
        self._bytes = 0
        self._keys, self._loop, self._closing = keys, loop, threading.Event()
        self._threads: list[threading.Thread] = []
        self._unwatched: threading.Event | None = None
        """Set, it ends the thread that hears pictures; None while there is none."""
        self._resting: asyncio.TimerHandle | None = None
        if instance.pid is None:
            self.trouble = "not running"
        elif "zmq" not in instance.endpoints:
            self.trouble = "running, but outputs.zmq is off, or it is starting"
        else:
            self._start(self._listen, "feed")

    @property
    def age_s(self) -> float:
        """Time since the last heartbeat, in s; since the feed began, if none came."""
        return time.monotonic() - self._heard_at

    @property
    def shows_pictures(self) -> bool:
        return "preview" in self.instance.endpoints

    def look(self, who: object) -> None:
        """Ask for pictures until ``look_away``."""
        self.lookers.add(who)
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self.instance.pid is not None and self.shows_pictures and self._unwatched is None:
            self._unwatched = threading.Event()
            self._start(partial(self._watch, self._unwatched), "previews")

    def follow(self, before: Feed) -> None:
        """Take over from the feed of an earlier run: who listens and looks goes on doing so, and the strip stays."""
        self.records.extendleft(reversed(before.records))
        self._bytes = sum(len(kept.raw) for kept in self.records)
        self.course.extendleft(reversed(before.course))
        self.last_fail = self.last_fail or before.last_fail
        self.fail_picture = self.fail_picture or before.fail_picture
        if self.heartbeat is None:  # what was silent stays silent until this run is heard
            self._heard_at = min(self._heard_at, before._heard_at)
        self.ears |= before.ears
        for who in before.lookers & before.ears:  # whoever looks without an ear keeps to the feed it asked
            self.look(who)

    def look_away(self, who: object) -> None:
        """Ask for pictures no more; once nobody has for 0.2 s, none are encoded."""
        self.lookers.discard(who)
        if not self.lookers and self._unwatched is not None and self._resting is None:
            self._resting = self._loop.call_later(_REST_S, self._rest)

    def _rest(self) -> None:
        self._resting = None
        if not self.lookers and self._unwatched is not None:
            self._unwatched.set()
            self._unwatched = None

    def stats(self) -> dict[str, Any]:
        """Return rates, latency quantiles of the kept records, and losses by reason."""
        counters = self.heartbeat["counters"] if self.heartbeat else {}
        (began, before), (now, total) = (self._beats[0], self._beats[-1]) if self._beats else ((0.0, 0), (0.0, 0))
        return {
            "parts_per_minute": round(60 * (total - before) / (now - began), 1) if now > began else None,
            "latency_ms": quantiles(kept.latency_ms for kept in self.records if kept.latency_ms is not None),
            "counts": {name: counters.get(name, 0) for name in ("pass", "fail", "invalid")},
            "losses": {n.removeprefix("skipped_"): c for n, c in counters.items() if n.startswith("skipped_") and c},
        }

    def close(self) -> None:
        """Stop both threads."""
        self._closing.set()
        for thread in self._threads:
            thread.join()

    def _start(self, run: Callable[[], None], name: str) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=run, name=f"{name}-{self.instance.camera}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        """Run the thread that hears records, states and heartbeats."""
        try:
            keys = self._keys(self.instance)
            with Subscriber(self.instance.endpoints["zmq"], self.instance.camera, keys=keys, keep_s=0) as line:
                while not self._closing.is_set():
                    event = line.receive(0.2)
                    if event is not None:
                        self._hand_over(self._take, event)
        except UserError as error:
            self._hand_over(self._say, error.what)

    def _watch(self, unwatched: threading.Event) -> None:
        """Run the thread that hears pictures, until it is told that nobody looks."""
        try:
            keys = self._keys(self.instance)
            with PreviewSubscriber(self.instance.endpoints["preview"], self.instance.camera, keys=keys) as line:
                while not self._closing.is_set() and not unwatched.is_set():
                    preview = line.receive(0.2)
                    if preview is not None:
                        self._hand_over(self._see, preview)
        except UserError as error:
            self._hand_over(self._say, error.what)

    def _hand_over(self, take: Callable[[Any], None], what: object) -> None:
        if not self._closing.is_set():
            try:
                self._loop.call_soon_threadsafe(take, what)
            except RuntimeError:  # the loop has ended
                self._closing.set()

    def _say(self, text: str) -> None:
        self.trouble = text

    def _take(self, event: object) -> None:
        if isinstance(event, Refused):
            self.trouble = event.text
        elif isinstance(event, Restart):
            self._beats.clear()
            self.state = self.heartbeat = None
        elif isinstance(event, Gap):
            self._keep(_gap(event, self.records[-1].shown if self.records else None), b"", None)
        elif isinstance(event, Received):
            self.trouble = None
            if event.kind == "state":
                self.state = event.message
                self._follow_course(event.message.get("drift_block"))
                for ear in tuple(self.ears):
                    ear.changed(self.instance.camera)
            elif event.kind == "heartbeat":
                self._beat(event.message)
            else:
                self.made_by = {name: event.message[name] for name in _MADE_BY}
                self._keep(brief(event.message), event.raw, event.message.get("latency_ms"))

    def _follow_course(self, block: dict[str, Any] | None) -> None:
        if block is not None and not (self.course and self.course[-1]["ended_ns"] == block["ended_ns"]):
            self.course.append(block)

    def _beat(self, message: dict[str, Any]) -> None:
        now = self._heard_at = time.monotonic()
        self.heartbeat = message
        self._beats.append((now, sum(message["counters"].get(name, 0) for name in ("pass", "fail", "invalid"))))
        while now - self._beats[0][0] > _RATE_S and len(self._beats) > 2:
            self._beats.popleft()

    def _keep(self, shown: dict[str, Any], raw: bytes, latency_ms: dict[str, float] | None) -> None:
        if len(self.records) == STRIP:
            self._bytes -= len(self.records[0].raw)
        self.records.append(Kept(raw, shown, latency_ms))
        self._bytes += len(raw)
        while self._bytes > _STRIP_BYTES:
            self._bytes -= len(self.records.popleft().raw)
        if shown["verdict"] == "fail":
            self.last_fail = shown
            if self.fail_picture is not None and self.fail_picture.record["seq"] != shown["seq"]:
                self.fail_picture = None
        for ear in tuple(self.ears):
            ear.record(self.instance.camera, raw, shown)

    def _see(self, preview: Preview) -> None:
        self.newest = (preview, time.monotonic())
        if preview.record["verdict"] == "fail":
            self.fail_picture = preview
        for ear in tuple(self.ears):
            ear.picture(self.instance.camera, preview)


def _gap(gap: Gap, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return a cell that stands for records which the page never received."""
    return {
        "kind": "gap",
        "instance": None if before is None else before["instance"],
        "seq": gap.first,
        "verdict": "invalid",
        "reason": "not received by the page",
        "at": None if before is None else before["at"],
        "part": None,
        "count": gap.last - gap.first + 1,
        "map_max": None,
        "threshold": None,
        "regions": 0,
        "total_ms": None,
    }
