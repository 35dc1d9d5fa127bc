"""Tuning shows one frame, every control of ``regions:`` and what they make of a whole recording."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import page
from edge.web.tuning.controls import controls

routes = Routes()


@routes.page("/cam/{camera}/tune", role=Role.ENGINEER)
async def tuning(request: Request, camera: str) -> Response:
    return page(request, "tuning.html", title="Tuning", camera=camera, data={"camera": camera, "controls": controls()})
