"""Cameras for other programs: what they are, how they do, their newest picture, their last records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from edge.client import Preview
from edge.errors import UserError
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.live.channel import whole_state
from edge.web.live.feed import Feed
from edge.web.live.hub import tile, why_not_heard
from edge.web.live.redrawn import AsAsked, redrawn
from edge.web.shell import cameras_of
from edge.web.site import site_of

STALE_S: Final = 2.0
MOST_STREAMS: Final = 4
"""Streams of pictures in all; the next one is answered with 503."""
_WAIT_S: Final = 2.0
_BOUNDARY: Final = "edge-frame"
routes = Routes("/api/v1", "cameras")
_streams: set[object] = set()


@routes.api("GET", "/cameras", role=Role.VIEWER)
async def cameras_call(request: Request) -> list[dict[str, Any]]:
    """List the lines of this machine that you may see: state, counts, rates, faults, and the age of that in s."""
    return site_of(request).hub.tiles(cameras_of(request))


@routes.api("GET", "/cameras/{camera}", role=Role.VIEWER)
async def one_camera(request: Request, camera: str) -> dict[str, Any]:
    """Return everything that is known of a line now; ``age_s`` beyond 2 means that it is silent."""
    feed = _feed(request, camera)
    return whole_state(feed) | {"endpoints": sorted(feed.instance.endpoints)}


@routes.api("GET", "/cameras/{camera}/stats", role=Role.VIEWER)
async def stats_of(request: Request, camera: str) -> dict[str, Any]:
    """Return rates, latency quantiles of the last 600 records per stage in ms, and losses by reason: for dashboards."""
    feed = _feed(request, camera)
    return feed.stats() | {"age_s": round(feed.age_s, 3), "well": tile(feed)["well"]}


@routes.api("GET", "/cameras/{camera}/latest.jpg", role=Role.VIEWER, response_class=Response)
async def latest_picture(
    request: Request, camera: str, bbox: bool = False, h: int | None = None, q: int | None = None
) -> Response:
    """Return the newest preview, its record's seq and verdict in the headers; 503 without one of the last 2 s.

    ``bbox=1`` draws the boxes of the same record; ``h`` is the most px of height; ``q`` is JPEG's quality.
    """
    asked = AsAsked(bbox, h, q)
    feed = _feed(request, camera)
    feed.look(asking := object())
    try:
        found = await _fresh(feed, 0.0)
    finally:
        asyncio.get_running_loop().call_later(_WAIT_S, feed.look_away, asking)  # so that the next call finds one at once
    if found is None:
        raise _why_none(feed)
    preview, came = found
    headers = {
        "X-Edge-Seq": str(preview.record["seq"]),
        "X-Edge-Verdict": preview.record["verdict"],
        "X-Edge-Age-Ms": f"{(time.monotonic() - came) * 1000:.0f}",
    }
    return Response(await asyncio.to_thread(redrawn, preview, asked), headers=headers, media_type="image/jpeg")


@routes.api("GET", "/cameras/{camera}/live.mjpeg", role=Role.VIEWER, response_class=StreamingResponse)
async def stream_pictures(
    request: Request, camera: str, fps: float = 5.0, bbox: bool = False, h: int | None = None, q: int | None = None
) -> Response:
    """Stream previews as Motion JPEG, for programs that show nothing else; at most four streams in all, 503 beyond.

    ``fps`` is at most 25; ``bbox``, ``h`` and ``q`` as for ``latest.jpg``.
    """
    asked = AsAsked(bbox, h, q)
    feed = _feed(request, camera)
    if len(_streams) >= MOST_STREAMS:
        what = f"{MOST_STREAMS} streams are open already"
        return JSONResponse({"what": what, "received": None, "expected": None, "fix": "the WebSocket carries all"}, 503)
    me = object()
    _streams.add(me)
    feed.look(me)
    try:
        if await _fresh(feed, 0.0) is None:
            raise _why_none(feed)
    except BaseException:
        _end_stream(feed, me)
        raise
    return _PictureStream(feed, me, 1 / min(max(fps, 0.1), 25.0), asked)


class _PictureStream(StreamingResponse):
    """A stream of pictures gives its place up however it ends: a client that left before the first part was asked for never
    begins the generator, whose own ``finally`` would never run.
    """

    def __init__(self, feed: Feed, me: object, period_s: float, asked: AsAsked) -> None:
        super().__init__(_parts(feed, period_s, asked), media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self._feed, self._me = feed, me

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            _end_stream(self._feed, self._me)


async def _parts(feed: Feed, period_s: float, asked: AsAsked) -> AsyncIterator[bytes]:
    """Yield pictures until the client goes, or the line is silent."""
    sent = 0.0
    while (found := await _fresh(feed, sent)) is not None:
        preview, sent = found
        jpeg = await asyncio.to_thread(redrawn, preview, asked)
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        yield head.encode() + jpeg + b"\r\n"
        await asyncio.sleep(period_s)


def _end_stream(feed: Feed, me: object) -> None:
    _streams.discard(me)
    feed.look_away(me)


async def _fresh(feed: Feed, after: float) -> tuple[Preview, float] | None:
    """Return the newest picture that came after ``after`` and in the last 2 s, and when; None if there is none in 2 s."""
    end = time.monotonic() + _WAIT_S
    while feed.instance.pid is not None and feed.shows_pictures and time.monotonic() < end:
        newest = feed.newest
        if newest is not None and newest[1] > after and time.monotonic() - newest[1] < STALE_S:
            return newest
        await asyncio.sleep(0.05)
    return None


def _why_none(feed: Feed) -> UserError:
    camera = feed.instance.camera
    if feed.trouble is not None or feed.age_s > STALE_S:
        return why_not_heard(feed, camera)
    if not feed.shows_pictures:
        return UserError(f"{camera}: previews are off", fix="outputs.zmq.preview in the line's config", passes=True)
    return UserError(f"{camera}: no picture came for {_WAIT_S:g} s", passes=True)


def _feed(request: Request, camera: str) -> Feed:
    feed = site_of(request).hub.feed(camera)
    if feed is None:
        raise why_not_heard(None, camera)
    return feed
