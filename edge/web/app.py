"""The application is put together here: a new page or part of the API adds its routes to ``_ROUTES``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response

from edge import __version__
from edge.errors import UserError
from edge.web import static_files
from edge.web.api import (
    camera_calls,
    export_calls,
    frame_calls,
    label_calls,
    live_socket,
    record_calls,
    session_calls,
    shift_calls,
    tuning_calls,
)
from edge.web.background import Background
from edge.web.doors.fence import Fence
from edge.web.doors.routes import guarded
from edge.web.live.hub import Hub
from edge.web.pages import (
    admin_page,
    fleet_page,
    line_shift_page,
    live_page,
    log_page,
    login_page,
    review_page,
    tuning_page,
)
from edge.web.shell import page
from edge.web.site import Site

_ROUTES: Final = (
    static_files.routes,
    login_page.routes,
    fleet_page.routes,
    live_page.routes,
    tuning_page.routes,
    review_page.routes,
    line_shift_page.routes,
    log_page.routes,
    admin_page.routes,
    session_calls.routes,
    camera_calls.routes,
    record_calls.routes,
    tuning_calls.routes,
    frame_calls.routes,
    label_calls.routes,
    export_calls.routes,
    shift_calls.routes,
    live_socket.routes,
)
_DESCRIPTION: Final = (
    "What the lines of this machine say, for dashboards and scripts. It reads; nothing in it acts on a daemon. Programs "
    "that act on verdicts subscribe over ZeroMQ: a page's age is not a PLC's."
)


def make_app(site: Site) -> FastAPI:
    """Return the application. Raises TypeError if a route has no guard."""
    app = FastAPI(
        title="edge-inspect",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=None,  # ours has a guard, and no page that loads its scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_running,
    )
    app.state.site = site
    for routes in _ROUTES:
        app.router.routes.extend(routes.router.routes)
    list(guarded(app))
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(UserError, _mistaken)
    app.add_middleware(Fence, config=site.config)
    return app


@contextlib.asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    """Listen to the lines while the page is up, and end with it what runs beside it."""
    site: Site = app.state.site
    parts: tuple[Hub | Background, ...] = (site.hub, *site.background)
    for part in parts:
        await part.start()
    try:
        yield
    finally:
        for part in parts:
            await part.stop()
        await site.tuning.close()
        await site.review.close()


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 303 and error.headers is not None:
        return RedirectResponse(error.headers["Location"], 303)
    return _error_answer(
        request, error.status_code, {"what": error.detail, "received": None, "expected": None, "fix": None}
    )


def _not_valid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    what = ".".join(map(str, first["loc"][1:])) or "the request"
    return _error_answer(
        request, 422, {"what": what, "received": str(first.get("input"))[:80], "expected": first["msg"], "fix": None}
    )


def _mistaken(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    received = None if error.received is None else str(error.received)
    expected = None if error.expected is None else str(error.expected)
    problem = {"what": error.what, "received": received, "expected": expected, "fix": error.fix}
    if error.code is not None:
        problem["code"] = error.code
    return _error_answer(request, 503 if error.passes else 400, problem)


def _error_answer(request: Request, status: int, problem: dict[str, str | None]) -> Response:
    """Answer programs in JSON, and people by a page."""
    if request.url.path.startswith("/api/") or "text/html" not in request.headers.get("accept", ""):
        return JSONResponse(problem, status)
    return page(request, "error.html", title=str(status), status=status, problem=problem)
