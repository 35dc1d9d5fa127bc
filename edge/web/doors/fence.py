"""Every request passes the fence before any route: the host's name, the same origin, no uploads, small bodies. Every answer
gets the headers that keep other sites out of the page.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge.config.web import UNIX, WebConfig

MOST_BODY_BYTES: Final = 256 * 1024
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_READS: Final = ("GET", "HEAD", "OPTIONS")
_BODIES: Final = ("application/json", "application/x-www-form-urlencoded")


class Fence:
    """The fence is ASGI middleware; it refuses with ``{what, received, expected, fix}`` before a route is looked for."""

    def __init__(self, app: ASGIApp, config: WebConfig) -> None:
        self._app = app
        self._hosts = None if config.bind.startswith(UNIX) and not config.hosts else _hosts(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": refusal[1]})
        elif refusal is not None:
            status, what, received, expected = refusal
            answer: Response = JSONResponse({"what": what, "received": received, "expected": expected, "fix": None}, status)
            await answer(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await self._app(scope, _limited(receive), _with_headers(send))
        else:
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str, str | None, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            return 421, "another host", host, f"{', '.join(sorted(self._hosts))}; or name it under hosts in web.yaml"
        if scope["type"] == "http" and scope["method"] in _READS:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if origin is None and site is None:
            if "cookie" in headers:
                return 403, "a request with a cookie and no origin", None, "an Origin header, as browsers send it"
        elif (origin is not None and _place(origin) != host) or site not in (None, "same-origin"):
            return 403, "a request from another site", origin or site, f"the page's own origin, {host}"
        if scope["type"] == "websocket":
            return None
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
            return 413, "the body is too large", length, f"at most {MOST_BODY_BYTES} bytes"
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _BODIES and (kind or length != "0"):
            return 415, "another kind of body", kind, "application/json; nothing can be uploaded"
        return None


def _hosts(config: WebConfig) -> frozenset[str]:
    own = {_name(config.bind)} & {"0.0.0.0", "::"}  # noqa: S104  (what a person bound to, in their config)
    names = {"127.0.0.1", "localhost", "::1"} if config.is_loopback or own else set()
    return frozenset({*names, *config.hosts, _name(config.bind)} - own)


def _place(origin: str) -> str | None:
    """Return host and port of an origin; None if it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:  # half an IPv6 address
        return None


def _name(host: str) -> str:
    return re.sub(r":\d*$", "", host).strip("[]").lower()


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending


def _limited(receive: Receive) -> Receive:
    """Count what comes without a length; a body that grows beyond the limit looks like a client that left."""
    count = 0

    async def receiving() -> Message:
        nonlocal count
        message = await receive()
        count += len(message.get("body", b""))
        return message if count <= MOST_BODY_BYTES else {"type": "http.disconnect"}

    return receiving
