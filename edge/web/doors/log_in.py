"""A log-in is tried in one way, by forms and by programs: counted, noted in the audit log, answered with a cookie."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.doors import doors_of
from edge.web.doors.guard import COOKIE, peer_of


async def try_log_in(request: Request, name: str, password: str) -> tuple[str | None, str, int]:
    """Return a new session's secret; or None, why in words, and the status: 403 for a wrong pair, 429 after too many."""
    doors, peer = doors_of(request), peer_of(request)
    name, password = _sendable(name), _sendable(password)
    keys = (f"name {name[:64]}", f"peer {peer}")
    async with doors.one_log_in:
        wait_s = doors.attempts.wait_s(*keys)
        if wait_s:
            return None, f"too many tries; the next one counts in {wait_s:.0f} s", 429
        secret = None
        try:
            secret = await asyncio.to_thread(doors.accounts.log_in, name, password, peer)
        finally:
            if secret is None:
                doors.attempts.failed(*keys)
    if secret is None:
        doors.audit.note("login_failed", name[:64], peer)
        return None, "name and password don't fit", 403
    doors.audit.note("login", name, peer)
    return secret, "", 200


def _sendable(text: str) -> str:
    """Half a surrogate pair, which JSON can name, has no bytes: it becomes a question mark, as in a form."""
    return text.encode("utf-8", "replace").decode()


def give_cookie(request: Request, response: Response, secret: str) -> Response:
    """Put a session's secret into the answer: for this site alone, out of reach of scripts."""
    response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=request.url.scheme == "https")
    return response
