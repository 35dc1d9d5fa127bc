"""Every route is made here, because a route without a role can't be: pages, forms, the API's calls, WebSockets.

routes = Routes()

@routes.page("/cam/{camera}", role=Role.VIEWER)
async def live(request: Request, camera: str) -> Response:
return page(request, "live.html", camera=camera)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute, APIWebSocketRoute
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute

from edge.web.doors.guard import Guard
from edge.web.doors.roles import Role

F = TypeVar("F", bound=Callable[..., Any])


class Routes:
    """Routes belong together because they serve one page or one part of the API."""

    def __init__(self, prefix: str = "", tag: str | None = None) -> None:
        """Put ``prefix`` before each path; ``tag`` is the part's name in OpenAPI."""
        self.router = APIRouter(prefix=prefix, tags=None if tag is None else [tag])

    def page(self, path: str, *, role: Role) -> Callable[[F], F]:
        """Serve a page of HTML; visitors without a session are sent to the log-in and back."""
        return self._add("GET", path, Guard(role, is_page=True), include_in_schema=False, response_class=HTMLResponse)

    def form(self, path: str, *, role: Role) -> Callable[[F], F]:
        """Take a form that a page sent by POST; read it by ``edge.web.shell.form_of``."""
        return self._add("POST", path, Guard(role, is_page=True), include_in_schema=False, response_class=HTMLResponse)

    def api(self, method: str, path: str, *, role: Role, **more: Any) -> Callable[[F], F]:
        """Answer a call of the API; ``more`` goes to FastAPI, such as ``response_class`` or ``status_code``."""
        return self._add(method, path, Guard(role), **more)

    def websocket(self, path: str, *, role: Role) -> Callable[[F], F]:
        """Serve a WebSocket. Who stays on it asks ``doors.accounts.still(visitor.session)`` at least once a second."""
        return self.router.websocket(path, dependencies=[Depends(Guard(role))])

    def _add(self, method: str, path: str, guard: Guard, **more: Any) -> Callable[[F], F]:
        return self.router.api_route(path, methods=[method], dependencies=[Depends(guard)], response_model=None, **more)


def guard_of(route: BaseRoute) -> Guard | None:
    """Return the guard of a route; None if it has none."""
    if not isinstance(route, (APIRoute, APIWebSocketRoute)):
        return None
    return next((d.dependency for d in route.dependencies if isinstance(d.dependency, Guard)), None)


def guarded(app: FastAPI) -> Iterator[tuple[str, str, Guard]]:
    """Yield method, path and guard of every route. Raises TypeError for one that nobody guards."""
    for route in app.routes:
        guard = guard_of(route)
        if guard is None or not isinstance(route, (APIRoute, APIWebSocketRoute)):
            raise TypeError(f"a route without a guard: {route}")
        for method in sorted(route.methods or ()) if isinstance(route, APIRoute) else ["WEBSOCKET"]:
            yield method, route.path, guard
