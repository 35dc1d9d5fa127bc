"""Log-in for programs that want a cookie, who am I, which version, and the description of all calls."""

from __future__ import annotations

from typing import Any

from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from edge import __version__
from edge.web.doors.doors import doors_of
from edge.web.doors.guard import peer_of, visitor_of
from edge.web.doors.log_in import give_cookie, try_log_in
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import cameras_of

routes = Routes("/api/v1", "session")


@routes.api("POST", "/login", role=Role.OPEN)
async def log_in_by_json(request: Request) -> Response:
    """Take ``{name, password}`` and answer with a session's cookie; 403 if they don't fit, 429 after five wrong tries."""
    try:
        body = dict(await request.json())
    except (ValueError, TypeError, RecursionError):
        body = {}
    secret, why, status = await try_log_in(request, str(body.get("name", "")), str(body.get("password", "")))
    if secret is None:
        return JSONResponse({"what": why, "received": None, "expected": None, "fix": None}, status)
    return give_cookie(request, JSONResponse({"name": str(body["name"])}), secret)


@routes.api("POST", "/logout", role=Role.VIEWER)
async def log_out_by_json(request: Request) -> Response:
    """End this session."""
    visitor, doors = visitor_of(request), doors_of(request)
    if visitor.session is not None:
        doors.accounts.log_out(visitor.session)
        doors.audit.note("logout", visitor.name, peer_of(request))
    return Response(status_code=204)


@routes.api("GET", "/profile", role=Role.VIEWER)
async def profile(request: Request) -> dict[str, Any]:
    """Return who you are: name, role, and the cameras that you may see."""
    visitor = visitor_of(request)
    return {"name": visitor.name, "role": visitor.role.word, "cameras": cameras_of(request), "program": visitor.is_program}


@routes.api("GET", "/version", role=Role.VIEWER)
async def version() -> dict[str, str]:
    """Return the version of edge-inspect; within ``/api/v1`` fields and calls are only added."""
    return {"version": __version__, "api": "v1"}


@routes.api("GET", "/openapi.json", role=Role.VIEWER, include_in_schema=False)
async def openapi(request: Request) -> dict[str, Any]:
    app = request.app
    return get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
