"""Live shows one line: picture and record of the same message, rates, losses, and the strip of the last 600 records."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import page

routes = Routes()


@routes.page("/cam/{camera}", role=Role.VIEWER)
async def live(request: Request, camera: str) -> Response:
    return page(request, "live.html", title="Live", camera=camera, data={"camera": camera})
