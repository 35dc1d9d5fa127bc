"""The shell is what all pages have around them: navigation, chooser of cameras, faults, user, dark and light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from edge import __version__
from edge.errors import UserError
from edge.web.doors.guard import visitor_of
from edge.web.doors.roles import Role, Visitor
from edge.web.site import site_of
from edge.web.static_files import static


@dataclass(frozen=True, slots=True)
class Place:
    """A place is an entry of the navigation, for those who have ``role``. ``path`` may hold ``{camera}``."""

    name: str
    path: str
    role: Role = Role.VIEWER

    @property
    def is_of_camera(self) -> bool:
        return "{camera}" in self.path


PLACES: Final = (
    Place("Fleet", "/"),
    Place("Live", "/cam/{camera}"),
    Place("Tuning", "/cam/{camera}/tune", Role.ENGINEER),
    Place("Review", "/cam/{camera}/review"),
    Place("Shift", "/cam/{camera}/shift"),
    Place("Log", "/log"),
    Place("Admin", "/admin", Role.ADMIN),
)
"""Entries in their order; a new page adds its own here."""

_MOST_FIELDS: Final = 50
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals.update(static=static, version=__version__)


def page(
    request: Request,
    template: str,
    *,
    title: str,
    camera: str | None = None,
    data: object = None,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """Return a page made from a template that extends ``shell.html``.

    Args:
        request: what is answered; a guard has let it in.
        template: name under ``templates/``.
        title: of the page and of its heading.
        camera: the one that the page is about, where it is about one.
        data: plain data that the page's script finds as ``pageData()`` of ``js/dom.js``.
        status: of the answer.
        values: what else the template uses.
    """
    visitor = visitor_of(request)
    cameras = cameras_of(request)
    shown = camera or (cameras[0] if cameras else None)
    places = [
        (place.name, place.path.format(camera=shown), place.path.format(camera=camera) == request.url.path)
        for place in PLACES
        if visitor.role >= place.role and (shown is not None or not place.is_of_camera)
    ]
    text = _templates.get_template(template).render(
        title=title,
        visitor=visitor,
        camera=camera,
        cameras=cameras,
        places=places,
        data=orjson.dumps(data).decode(),
        path=request.url.path,
        **values,
    )
    return HTMLResponse(text, status)


def cameras_of(request: Request) -> list[str]:
    """Return the names of the cameras that this visitor may see, in order."""
    visitor: Visitor = visitor_of(request)
    return sorted({i.camera for i in site_of(request).hub.instances() if visitor.sees(i.camera)})


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that was sent as ``application/x-www-form-urlencoded``.

    Raises:
        UserError: it has more than 50.
    """
    try:
        return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise UserError("the form has too many fields", expected=f"at most {_MOST_FIELDS}") from None
