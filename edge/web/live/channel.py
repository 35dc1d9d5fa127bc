"""A channel is what one browser hears: the topics that it asked for, of the cameras that it may see.

Topics: ``fleet`` (all tiles), ``state/CAMERA``, ``records/CAMERA``, ``preview/CAMERA``. A text is ``{topic, payload}``;
a picture is binary: length of the head (u32, big-endian), the head in JSON, the JPEG. A slow browser gets the newest
picture alone, and after 64 records that wait the number of those that it lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import orjson

from edge.client import Preview
from edge.web.doors.roles import Visitor
from edge.web.live.feed import Feed
from edge.web.live.hub import Hub, tile

TICK_S: Final = 0.5
"""States are sent this often, so that a browser notices silence of any of the two connections by itself."""
GATHER_S: Final = 0.05
MOST_WAITING: Final = 64
SendBytes: TypeAlias = Callable[[bytes], Awaitable[None]]
KINDS: Final = ("state", "records", "preview")
_MOST_TOPICS: Final = 300


class Channel:
    """A channel runs in the event loop alone. It is an ``Ear`` of each feed that it subscribed to."""

    def __init__(self, hub: Hub, visitor: Visitor) -> None:
        self._hub, self._visitor = hub, visitor
        self._topics: set[str] = set()
        self._waiting: dict[str, deque[dict[str, Any]]] = defaultdict(deque)
        self._lost: dict[str, int] = defaultdict(int)
        self._pictures: dict[str, Preview] = {}
        self._fails: dict[str, Preview] = {}
        self._shown_at: dict[str, float] = {}
        self._period_s = 0.0
        self._answers: list[bytes] = []
        self._tick_at = 0.0
        self._news = asyncio.Event()

    def hear(self, message: object) -> None:
        """Take ``{"subscribe": [...], "unsubscribe": [...], "fps": n}``; anything else is answered with why."""
        if not isinstance(message, dict):
            self._answers.append(_message("refused", "a JSON object with subscribe or unsubscribe was expected"))
            message = {}
        fps = message.get("fps")
        if isinstance(fps, (int, float)) and fps > 0:
            self._period_s = 1.0 / fps
        for topic in _texts(message.get("unsubscribe")):
            self._leave(topic)
        for topic in _texts(message.get("subscribe")):
            why = self._why_not(topic)
            if why is None:
                self._join(topic)
            else:
                self._answers.append(_message("refused", f"{topic[:80]}: {why}"))
        self._news.set()

    async def run(self, send_text: SendBytes, send_bytes: SendBytes) -> None:
        """Send what there is to say, for ever; each call waits until the browser takes it."""
        while True:
            for answer in self._taken(self._answers):
                await send_text(answer)
            if time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + TICK_S
                for state in self._states():
                    await send_text(state)
            for batch in self._batches():
                await send_text(batch)
            for picture in self._due_pictures():
                await send_bytes(picture)
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, self._tick_at - time.monotonic()))
                await asyncio.sleep(GATHER_S)
            except TimeoutError:
                continue

    def close(self) -> None:
        """Listen to nothing any more."""
        for topic in tuple(self._topics):
            self._leave(topic)

    def record(self, camera: str, _whole: bytes, shown: dict[str, Any]) -> None:
        """Hear a record of a feed."""
        if f"records/{camera}" not in self._topics:
            return
        waiting = self._waiting[camera]
        if len(waiting) >= MOST_WAITING:
            waiting.popleft()
            self._lost[camera] += 1
        waiting.append(shown)
        self._news.set()

    def picture(self, camera: str, preview: Preview) -> None:
        """Hear a picture of a feed: a fail waits until it is sent, anything else gives way to what is newer."""
        if f"preview/{camera}" in self._topics:
            (self._fails if preview.record["verdict"] == "fail" else self._pictures)[camera] = preview
            self._news.set()

    def changed(self, _camera: str) -> None:
        """Hear that a line's state changed: it is sent at once, not with the next tick."""
        self._tick_at = 0.0
        self._news.set()

    def _why_not(self, topic: str) -> str | None:
        kind, _, camera = topic.partition("/")
        if topic == "fleet":
            return None
        if kind not in KINDS:
            return f"no such topic; fleet, or one of {', '.join(KINDS)} with /CAMERA"
        if not self._visitor.sees(camera) or self._hub.feed(camera) is None:
            return "no such camera is known here"
        return "too many topics" if len(self._topics) >= _MOST_TOPICS else None

    def _join(self, topic: str) -> None:
        self._topics.add(topic)
        kind, _, camera = topic.partition("/")
        feed = self._hub.feed(camera)
        if feed is None:
            return
        feed.ears.add(self)
        self._tick_at = 0.0
        if kind == "records":
            self._waiting.pop(camera, None)
            self._answers.append(_message(topic, {"snapshot": [kept.shown for kept in feed.records]}))
        elif kind == "preview":
            feed.look(self)
            if feed.fail_picture is not None:
                self._fails[camera] = feed.fail_picture

    def _leave(self, topic: str) -> None:
        self._topics.discard(topic)
        kind, _, camera = topic.partition("/")
        feed = self._hub.feed(camera)
        if feed is None:
            return
        if kind == "preview":
            feed.look_away(self)
        if not any(other.endswith(f"/{camera}") for other in self._topics):
            feed.ears.discard(self)

    def _join_again(self) -> None:
        """Join the feeds that are there anew, because their daemon had gone and came again."""
        for topic in sorted(self._topics):
            feed = self._hub.feed(topic.partition("/")[2])
            if feed is not None and self not in feed.ears:
                camera = feed.instance.camera
                for kind in KINDS:
                    if f"{kind}/{camera}" in self._topics:
                        self._join(f"{kind}/{camera}")

    def _states(self) -> list[bytes]:
        self._join_again()
        made = []
        if "fleet" in self._topics:
            cameras = [i.camera for i in self._hub.instances() if self._visitor.sees(i.camera)]
            made.append(_message("fleet", self._hub.tiles(cameras)))
        for topic in sorted(self._topics):
            kind, _, camera = topic.partition("/")
            feed = self._hub.feed(camera) if kind == "state" else None
            if feed is not None:
                made.append(_message(topic, whole_state(feed)))
        return made

    def _batches(self) -> list[bytes]:
        made = []
        for camera in [camera for camera, waiting in self._waiting.items() if waiting]:
            topic = f"records/{camera}"
            if self._lost[camera]:
                made.append(_message("lost", {"topic": topic, "count": self._lost.pop(camera)}))
            made.append(_message(topic, {"new": list(self._waiting.pop(camera))}))
        return made

    def _due_pictures(self) -> list[bytes]:
        now, made = time.monotonic(), []
        for camera in list(self._fails):
            made.append(_picture(camera, self._fails.pop(camera)))
            self._shown_at[camera] = now
        for camera in list(self._pictures):
            if now - self._shown_at.get(camera, 0.0) >= self._period_s:
                made.append(_picture(camera, self._pictures.pop(camera)))
                self._shown_at[camera] = now
        return made

    @staticmethod
    def _taken(answers: list[bytes]) -> list[bytes]:
        taken = answers[:]
        answers.clear()
        return taken


def whole_state(feed: Feed) -> dict[str, Any]:
    """Return everything that Live shows besides records and pictures."""
    state, stats = feed.state or {}, feed.stats()
    return tile(feed) | {
        "latency_ms": stats["latency_ms"],
        "losses": stats["losses"],
        "outputs": state.get("outputs", {}),
        "engine": state.get("engine", {}),
        "config_sha256": feed.made_by.get("config_sha256"),
        "model": feed.made_by.get("model"),
        "last_fail": feed.last_fail,
        "block_ended_ns": feed.course[-1]["ended_ns"] if feed.course else None,
        "instance": (feed.heartbeat or {}).get("instance_id"),
        "progress_age_ms": (feed.heartbeat or {}).get("progress_age_ms"),
    }


def _message(topic: str, payload: object) -> bytes:
    return orjson.dumps({"topic": topic, "payload": payload})


def _picture(camera: str, preview: Preview) -> bytes:
    size = orjson.dumps(preview.frame_size)
    head = b'{"topic":"preview/%s","size":%s,"record":%s}' % (camera.encode(), size, preview.raw)
    return b"".join((len(head).to_bytes(4, "big"), head, preview.jpeg))


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
