"""Fleet shows a tile for each daemon of this machine."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import cameras_of, page

routes = Routes()


@routes.page("/", role=Role.VIEWER)
async def fleet(request: Request) -> Response:
    return page(request, "fleet.html", title="Fleet", data={"cameras": cameras_of(request)})
