"""Review shows frames as a gallery, and takes a person's word on each by one key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.guard import visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import page

routes = Routes()


@routes.page("/cam/{camera}/review", role=Role.VIEWER)
async def review(request: Request, camera: str) -> Response:
    visitor = visitor_of(request)
    data = {"camera": camera, "who": visitor.name, "labels": visitor.role >= Role.REVIEWER}
    return page(request, "review.html", title="Review", camera=camera, data=data)
