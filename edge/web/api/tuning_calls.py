"""Tuning's part of the API: what the page itself uses, and what a program can sweep a recording with."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from typing import Any, Final

import orjson
from fastapi import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.errors import UserError
from edge.models.sets.manifest import MANIFEST
from edge.web.doors.doors import doors_of
from edge.web.doors.guard import POLICY_VIOLATION, peer_of, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.review.places import set_folder
from edge.web.site import site_of
from edge.web.tuning.desk import Seat
from edge.web.tuning.outbox import Outbox
from edge.web.tuning.recordings import ListedRecording, recordings_of

routes = Routes("/api/v1", "tuning")
_HEARD: Final = ("judge", "look")
_GONE: Final = 4404
"""Close code of a WebSocket whose session isn't there any more: the page opens the recording again."""


@routes.api("GET", "/cameras/{camera}/recordings", role=Role.ENGINEER)
async def list_recordings(request: Request, camera: str) -> list[dict[str, Any]]:
    """List what a camera can be tuned on: its line's evidence, and recordings under the page's ``recordings``."""
    return [
        {"id": one.id, "name": one.name, "created_ns": str(one.created_ns), "source": one.source}
        for one in await _listed(request, camera)
    ]


@routes.api("POST", "/tuning", role=Role.ENGINEER)
async def open_session(request: Request) -> dict[str, Any]:
    """Open a recording: ``{"camera", "recording": id, "since_ns"?, "until_ns"?}``; the answer has ``id`` and all frames."""
    body = await _body(request)
    camera, wanted = str(body.get("camera", "")), str(body.get("recording", ""))
    if not visitor_of(request).sees(camera) or not doors_of(request).has_camera(camera):
        raise HTTPException(404, f"camera: {camera!r} is not known here")
    found = next((one for one in await _listed(request, camera) if one.id == wanted), None)
    if found is None:
        raise HTTPException(404, f"no recording {wanted!r} of {camera}")
    instance = site_of(request).hub.instance(camera)
    if instance is None or instance.config is None:
        raise UserError(f"{camera}: its config is not known", fix="start its daemon once: edge run LINE.yaml")
    seat, opened = await site_of(request).tuning.open(
        visitor_of(request).name,
        camera,
        {
            "config": str(instance.config),
            "overrides": list(instance.overrides),
            "recording": str(found.folder),
            "since_ns": _stamp(body, "since_ns"),
            "until_ns": _stamp(body, "until_ns"),
            "reviewed": str(set_folder(site_of(request).folder, camera).absolute() / MANIFEST),
        },
    )
    doors_of(request).audit.note("tuning", visitor_of(request).name, peer_of(request), camera=camera, recording=found.name)
    return {"id": seat.name, **_plain(opened)}


@routes.api("PUT", "/tuning/{session}/regions", role=Role.ENGINEER)
async def put_regions(request: Request, session: str) -> dict[str, Any]:
    """Judge under other ``{"regions": {...}, "view": index}``: the frame in view at once, all others from then on."""
    body = await _body(request)
    head, _ = await _seat(request, session).ask("judge", regions=body.get("regions"), view=_index(body.get("view", 0)))
    return _plain(head)


@routes.api("GET", "/tuning/{session}/frames/{index}", role=Role.ENGINEER)
async def look_at_frame(request: Request, session: str, index: int) -> dict[str, Any]:
    """Say what became of each candidate of one frame."""
    head, _ = await _seat(request, session).ask("look", view=_index(index))
    return _plain(head)


@routes.api("GET", "/tuning/{session}/frames/{index}/{picture}.jpg", role=Role.ENGINEER, response_class=Response)
async def session_picture(request: Request, session: str, index: int, picture: str, most: int = 2400) -> Response:
    """Return a frame (``frame``) or its anomaly map (``map``) as JPEG."""
    if picture not in ("frame", "map"):
        raise HTTPException(404, f"no picture {picture!r}: frame or map")
    seat = _seat(request, session)
    _, body = await seat.ask("picture", index=_index(index), kind=picture, most=min(max(most, 16), 12000))
    if not body:
        raise HTTPException(404, f"frame {index} has no {picture}")
    return Response(body, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


@routes.api("GET", "/tuning/{session}/verdicts", role=Role.ENGINEER)
async def verdicts_of(request: Request, session: str) -> dict[str, Any]:
    """Return every frame's verdict, old and new, a letter each: p, f, i, and ? while it is not judged."""
    head, _ = await _seat(request, session).ask("verdicts")
    return _plain(head)


@routes.api("GET", "/tuning/{session}/histogram", role=Role.ENGINEER)
async def histogram_of(request: Request, session: str, key: str) -> dict[str, Any]:
    """Return how one measure of all candidates is spread: area, score_max, score_mean, fill_ratio, aspect_ratio,
    solidity.
    """
    if key not in ("area", "score_max", "score_mean", "fill_ratio", "aspect_ratio", "solidity"):
        raise HTTPException(404, f"no measure {key!r}")
    head, _ = await _seat(request, session).ask("histogram", key=key)
    return _plain(head)


@routes.api("GET", "/tuning/{session}/export", role=Role.ENGINEER)
async def export_session(request: Request, session: str) -> dict[str, Any]:
    """Return the change as ``yaml``, ``diff`` and ``set``, and as ``problems`` what ``edge check`` refuses of it."""
    head, _ = await _seat(request, session).ask("export")
    seat = _seat(request, session)
    doors_of(request).audit.note("tuning_export", visitor_of(request).name, peer_of(request), camera=seat.camera)
    return _plain(head)


@routes.api("GET", "/tuning/{session}/export.yaml", role=Role.ENGINEER, response_class=Response)
async def export_yaml(request: Request, session: str) -> Response:
    """Return the change as YAML: what to put under ``regions:``."""
    exported = await export_session(request, session)
    return Response(exported["yaml"], media_type="application/yaml")


@routes.api("DELETE", "/tuning/{session}", role=Role.ENGINEER)
async def close_session(request: Request, session: str) -> dict[str, Any]:
    """Close a recording."""
    await site_of(request).tuning.close_seat(_seat(request, session))
    return {"closed": session}


@routes.websocket("/tuning/{session}/ws", role=Role.ENGINEER)
async def tuning_socket(websocket: WebSocket, session: str) -> None:
    """Hear ``judge`` and ``look``; say what the worker says: u32 length, JSON head, body."""
    await websocket.accept()
    seat = _own(websocket, session)
    if seat is None:
        await websocket.close(_GONE, "this session is closed")
        return
    outbox = Outbox()

    def listen(head: dict[str, Any], body: bytes) -> None:
        head_json = orjson.dumps(_plain(head))
        outbox.put(head, struct.pack("!I", len(head_json)) + head_json + body)

    seat.listeners.add(listen)
    tasks = [
        asyncio.create_task(one) for one in (_say(websocket, outbox), _hear(websocket, seat), _until_gone(websocket, seat))
    ]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # it may have gone by itself
            await websocket.close(_GONE if tasks[2].done() and tasks[2].result() else POLICY_VIOLATION)
    finally:
        seat.listeners.discard(listen)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _say(websocket: WebSocket, outbox: Outbox) -> None:
    while True:
        await websocket.send_bytes(await outbox.take())


async def _hear(websocket: WebSocket, seat: Seat) -> None:
    with contextlib.suppress(WebSocketDisconnect, KeyError, RuntimeError):
        while True:
            try:
                message = orjson.loads(await websocket.receive_text())
            except ValueError:
                continue
            if isinstance(message, dict) and message.get("op") in _HEARD and isinstance(message.get("view"), int):
                await seat.send(message)


async def _until_gone(websocket: WebSocket, seat: Seat) -> bool:
    """Return True when the session is gone, False when the visitor may not be here any more."""
    visitor, accounts = visitor_of(websocket), doors_of(websocket).accounts
    while True:
        await asyncio.sleep(1.0)
        if seat.name not in seat.worker.seats:
            return True
        if visitor.session is not None:
            now = accounts.still(visitor.session)
            if now is None or (now.role, now.cameras) != (visitor.role, visitor.cameras):
                return False


async def _listed(request: Request, camera: str) -> list[ListedRecording]:
    site = site_of(request)
    instance = site.hub.instance(camera)
    return [] if instance is None else await asyncio.to_thread(recordings_of, instance, site.config.recordings)


def _own(connection: HTTPConnection, session: str) -> Seat | None:
    visitor = visitor_of(connection)
    seat = site_of(connection).tuning.seat(session, visitor.name)
    return seat if seat is not None and visitor.sees(seat.camera) else None


def _seat(request: Request, session: str) -> Seat:
    seat = _own(request, session)
    if seat is None:
        raise HTTPException(404, "this session is closed: open the recording again")
    return seat


async def _body(request: Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.body())
    except ValueError:
        raise HTTPException(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is no JSON object")
    return body


def _index(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise HTTPException(422, "view: expected the index of a frame, from 0")
    return value


def _stamp(body: dict[str, Any], key: str) -> int | None:
    value = body.get(key)
    if value in (None, ""):
        return None
    if not str(value).isdecimal() or len(str(value)) > 20:
        raise HTTPException(422, f"{key}: expected nanoseconds since 1970")
    return int(str(value))


def _plain(head: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only front and worker need."""
    return {key: value for key, value in head.items() if key not in ("re", "session")}
