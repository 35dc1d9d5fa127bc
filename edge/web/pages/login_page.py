"""Visitors log in and out here, and the first one enters by a link that works once."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from edge.web.doors.doors import doors_of
from edge.web.doors.guard import COOKIE, peer_of, visitor_of
from edge.web.doors.log_in import give_cookie, try_log_in
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import form_of, page

routes = Routes()


@routes.page("/login", role=Role.OPEN)
async def login(request: Request, next: str = "/") -> Response:  # noqa: A002  (the query's word)
    return page(request, "login.html", title="Log in", next=next, wrong=None)


@routes.form("/login", role=Role.OPEN)
async def log_in(request: Request) -> Response:
    form = await form_of(request)
    to = form.get("next", "/")
    secret, wrong, status = await try_log_in(request, form.get("name", ""), form.get("password", ""))
    if secret is None:
        return page(request, "login.html", title="Log in", next=to, wrong=wrong, status=status)
    return _enter(request, secret, to)


@routes.page("/enter", role=Role.OPEN)
async def enter(request: Request, key: str = "") -> Response:
    """Show a button, because programs that look at links before people do must not use it up."""
    return page(request, "enter.html", title="Enter", key=key, wrong=None)


@routes.form("/enter", role=Role.OPEN)
async def enter_now(request: Request) -> Response:
    doors, form, peer = doors_of(request), await form_of(request), peer_of(request)
    secret = doors.accounts.enter(form.get("key", ""), peer)
    if secret is None:
        wrong = "this link was used or is too old; edge web prints a new one when it starts without users"
        return page(request, "enter.html", title="Enter", key="", wrong=wrong, status=403)
    doors.audit.note("enter", "owner", peer)
    return _enter(request, secret, "/")


@routes.form("/logout", role=Role.OPEN)
async def log_out(request: Request) -> Response:
    visitor = visitor_of(request)
    if visitor.session is not None:
        doors_of(request).accounts.log_out(visitor.session)
        doors_of(request).audit.note("logout", visitor.name, peer_of(request))
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE)
    return response


def _enter(request: Request, secret: str, to: str) -> Response:
    # a path of our own alone: //evil and /\\evil would be another site's
    own = to.startswith("/") and not to.startswith(("//", "/\\"))
    return give_cookie(request, RedirectResponse(to if own else "/", 303), secret)
