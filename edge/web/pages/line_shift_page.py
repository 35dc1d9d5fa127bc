"""Shift shows what changed on a line: the cause, the course of each statistic, and the answers as commands to copy."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import PLACES, page

routes = Routes()


@routes.page("/cam/{camera}/shift", role=Role.VIEWER)
async def shift_of_line(request: Request, camera: str) -> Response:
    return page(
        request,
        "shift.html",
        title="Shift",
        camera=camera,
        data={"camera": camera, "has_review": any(place.name == "Review" for place in PLACES)},
    )
