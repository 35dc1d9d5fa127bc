"""A guard stands before every route: it finds out who asks, and lets in whoever has the role and the camera's right."""

from __future__ import annotations

from typing import cast
from urllib.parse import quote

from fastapi import HTTPException
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection

from edge.web.doors.doors import Doors, doors_of
from edge.web.doors.roles import NOBODY, Role, Visitor

COOKIE = "edge_session"
_VISITOR = "visitor"
POLICY_VIOLATION = 1008
"""Close code of a WebSocket whose visitor may not be here, RFC 6455."""


class Guard:
    """A guard is a FastAPI dependency. ``role`` is the least that the visitor must have.

    Where the route has a ``camera`` in its path, the visitor must be allowed to see that one; otherwise the answer is 404,
    as for a camera that isn't there. A page sends visitors without a session to the log-in; everything else answers 401.
    """

    def __init__(self, role: Role, *, is_page: bool = False) -> None:
        self.role, self.is_page = role, is_page

    def __call__(self, connection: HTTPConnection) -> None:
        doors = doors_of(connection)
        visitor = _visitor(connection, doors)
        connection.scope[_VISITOR] = visitor
        if visitor.role < self.role:
            self._refuse(connection, visitor)
        camera = connection.path_params.get("camera")
        if camera is not None and (not visitor.sees(camera) or not doors.has_camera(camera)):
            self._say(connection, 404, f"no camera {camera!r} is known here")

    def _refuse(self, connection: HTTPConnection, visitor: Visitor) -> None:
        if visitor.role is Role.OPEN:
            if self.is_page:
                to = quote(connection.url.path + (f"?{connection.url.query}" if connection.url.query else ""))
                raise HTTPException(303, "log in first", {"Location": f"/login?next={to}"})
            self._say(connection, 401, "log in first, or send a token: Authorization: Bearer ...")
        self._say(connection, 403, f"this needs the role {self.role.word}; {visitor.name} has {visitor.role.word}")

    def _say(self, connection: HTTPConnection, status: int, text: str) -> None:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(POLICY_VIOLATION, text)
        raise HTTPException(status, text, {"WWW-Authenticate": "Bearer"} if status == 401 else None)


def visitor_of(connection: HTTPConnection) -> Visitor:
    """Return who made this request, as the guard saw it; nobody where no guard has looked."""
    return cast("Visitor", connection.scope.get(_VISITOR, NOBODY))


def peer_of(connection: HTTPConnection) -> str:
    """Return the address that a request came from, for the audit log."""
    return connection.client.host if connection.client is not None else "local"


def _visitor(connection: HTTPConnection, doors: Doors) -> Visitor:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return doors.accounts.of_token(token) or NOBODY
    secret = connection.cookies.get(COOKIE)
    visitor = None if secret is None else doors.accounts.of_session(secret)
    if visitor is None and doors.config.anonymous is not None:
        return Visitor("anonymous", Role.VIEWER)
    return visitor or NOBODY
