"""Review shows frames as a gallery, and takes a person's word on each by one key."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.guard import visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.review.places import set_folder
from edge.web.shell import page
from edge.web.site import site_of

routes = Routes()


@routes.page("/cam/{camera}/review", role=Role.VIEWER)
async def review(request: Request, camera: str) -> Response:
    visitor = visitor_of(request)
    site_of(request).review.wake()
    may_label = visitor.role >= Role.REVIEWER
    data = {"camera": camera, "who": visitor.name, "labels": may_label}
    if may_label:
        data["set"] = str(set_folder(site_of(request).folder, camera).absolute())
    return page(request, "review.html", title="Review", camera=camera, data=data)
