"""The hub knows the lines of this machine and keeps a feed of each; it looks for new ones and for those that went."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config.load import load_config
from edge.errors import UserError
from edge.service.find_line import find_keys
from edge.service.instances import Instance, instances
from edge.web.live.feed import Feed
from edge.wire.keys import ClientKeys

_LOOK_S = 1.0
_WELL = ("Ready", "ContinuousExecution")


class Hub:
    """The hub is started in the event loop; before that it knows which cameras there are, and hears nothing."""

    def __init__(self, folders: Sequence[Path] = (), key: Path | None = None) -> None:
        """Look in the usual places and in ``folders``; ``key`` is the page's own secret key."""
        self._folders, self._key = folders, key
        self._found: list[Instance] = []
        self._look_at = 0.0
        self._feeds: dict[str, Feed] = {}
        self._looking: asyncio.Task[None] | None = None

    def instances(self) -> list[Instance]:
        """Return every daemon that runs or has run here, by camera; looked for once a second at most."""
        if time.monotonic() >= self._look_at:
            self._look()
        return self._found

    def instance(self, camera: str) -> Instance | None:
        """Return the daemon of a camera, a running one first; None if none ever ran here."""
        found = [instance for instance in self.instances() if instance.camera == camera]
        return max(found, key=lambda instance: instance.pid is not None, default=None)

    def feed(self, camera: str) -> Feed | None:
        """Return what is heard of a camera; None before the first look at it."""
        return self._feeds.get(camera)

    def tiles(self, cameras: Sequence[str]) -> list[dict[str, Any]]:
        """Return what a tile shows of each of these cameras."""
        return [tile(feed) for camera, feed in sorted(self._feeds.items()) if camera in cameras]

    async def start(self) -> None:
        """Begin to listen."""
        await self._follow()
        self._looking = asyncio.create_task(self._keep_looking())

    async def stop(self) -> None:
        """Stop listening."""
        if self._looking is not None:
            self._looking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looking
        feeds, self._feeds = list(self._feeds.values()), {}
        await asyncio.gather(*(asyncio.to_thread(feed.close) for feed in feeds))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            await self._follow()

    async def _follow(self) -> None:
        """Open a feed for each new daemon, and close those of daemons that went or were started anew."""
        await asyncio.to_thread(self._look)
        wanted = {camera: self.instance(camera) for camera in {found.camera for found in self._found}}
        loop = asyncio.get_running_loop()
        for camera, feed in list(self._feeds.items()):
            if wanted.get(camera) is None:
                del self._feeds[camera]
                await asyncio.to_thread(feed.close)
        for camera, instance in wanted.items():
            before = self._feeds.get(camera)
            if instance is None or (before is not None and before.instance == instance):
                continue
            self._feeds[camera] = feed = Feed(instance, self._keys, loop)
            if before is not None:
                feed.follow(before)  # at once: who leaves while the other closes leaves this one
                await asyncio.to_thread(before.close)

    def _look(self) -> None:
        self._look_at = time.monotonic() + 2 * _LOOK_S
        self._found = instances(self._folders)

    def _keys(self, instance: Instance) -> ClientKeys | None:
        if self._key is None or instance.config is None:
            return None
        zmq = load_config(instance.config, instance.overrides).config.outputs.zmq
        return find_keys(str(instance.config), self._key, None) if zmq is not None and zmq.curve is not None else None


def tile(feed: Feed) -> dict[str, Any]:
    """Return a line at one moment: state, rates, last verdict, faults, and how old that is in s."""
    state, beat = feed.state or {}, feed.heartbeat or {}
    stats = feed.stats()
    newest = feed.records[-1].shown if feed.records else None
    total = stats["latency_ms"].get("total", {})
    return {
        "camera": feed.instance.camera,
        "running": feed.instance.pid is not None,
        "age_s": round(feed.age_s, 3),
        "trouble": feed.trouble,
        "line_state": state.get("line_state"),
        "source_state": state.get("source_state"),
        "faults": state.get("faults", []),
        "recipe": feed.made_by.get("recipe_id"),
        "simulated": bool(state.get("simulated")),
        "drift": state.get("drift"),
        "well": state.get("line_state") in _WELL and not state.get("faults") and feed.trouble is None,
        "record": newest,
        "counts": stats["counts"],
        "lost": sum(stats["losses"].values()),
        "parts_per_minute": stats["parts_per_minute"],
        "p50_ms": total.get("p50"),
        "ring_fill": beat.get("ring_fill"),
        "pictures": feed.shows_pictures,
    }


def why_not_heard(feed: Feed | None, camera: str) -> UserError:
    """Return the error for a camera of which nothing fresh is known."""
    text = "nothing is known of it yet" if feed is None else feed.trouble or f"no heartbeat for {feed.age_s:.1f} s"
    return UserError(f"{camera}: {text}", passes=True)
