"""Admin lists users, tokens, sessions and the newest lines of the audit log, and ends what should end."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from edge.errors import UserError
from edge.report.moments import utc
from edge.web.doors.doors import doors_of
from edge.web.doors.guard import peer_of, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.shell import form_of, page

routes = Routes()


@routes.page("/admin", role=Role.ADMIN)
async def admin(request: Request) -> Response:
    doors = doors_of(request)
    return page(
        request,
        "admin.html",
        title="Admin",
        users=doors.accounts.users(),
        tokens=doors.accounts.tokens(),
        sessions=[(key, name, _when(made), _when(seen), peer) for key, name, made, seen, peer in doors.accounts.sessions()],
        audit=[(utc(int(str(line.get("time_ns", 0)))), line) for line in doors.audit.newest(50)],
        own=visitor_of(request).session,
    )


@routes.form("/admin/revoke", role=Role.ADMIN)
async def revoke_account(request: Request) -> Response:
    """End a user, a token or a session, and note who did."""
    form, accounts = await form_of(request), doors_of(request).accounts
    kind, name = form.get("kind", ""), form.get("name", "")
    ends = {"user": accounts.revoke_user, "token": accounts.revoke_token, "session": accounts.log_out}
    if kind not in ends:
        raise UserError("kind", received=kind[:40], expected="user, token or session")
    ends[kind](name)
    doors_of(request).audit.note("revoke", visitor_of(request).name, peer_of(request), kind=kind, name=name[:64])
    return RedirectResponse("/admin", 303)


def _when(moment_s: float) -> str:
    return utc(int(moment_s * 1e9))
