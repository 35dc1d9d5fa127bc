"""One WebSocket carries all cameras to a browser; a session that is revoked loses it within 2 s."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect

from edge.web.doors.guard import POLICY_VIOLATION, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.live.channel import Channel
from edge.web.site import site_of

ASK_AGAIN_S: Final = 1.0
"""Time between two looks at the session, in s."""
routes = Routes("/api/v1", "live")


@routes.websocket("/ws", role=Role.VIEWER)
async def live_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    channel = Channel(site_of(websocket).hub, visitor_of(websocket))

    async def send_text(text: bytes) -> None:
        await websocket.send_text(text.decode())

    tasks = [
        asyncio.create_task(channel.run(send_text, websocket.send_bytes)),
        asyncio.create_task(_hear(websocket, channel)),
        asyncio.create_task(_until_revoked(websocket)),
    ]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[2] in done:
            with contextlib.suppress(RuntimeError):
                await websocket.close(POLICY_VIOLATION, "the session has ended")
    finally:
        channel.close()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _hear(websocket: WebSocket, channel: Channel) -> None:
    while True:
        try:
            text = await websocket.receive_text()
        except (WebSocketDisconnect, KeyError, RuntimeError):  # gone, or it sent binary
            return
        try:
            channel.hear(orjson.loads(text))
        except ValueError:
            channel.hear(None)


async def _until_revoked(websocket: WebSocket) -> None:
    visitor, accounts = visitor_of(websocket), site_of(websocket).doors.accounts
    while True:
        await asyncio.sleep(ASK_AGAIN_S)
        if visitor.session is None:
            continue
        now = accounts.still(visitor.session)
        if now is None or (now.role, now.cameras) != (visitor.role, visitor.cameras):
            return
