"""A camera's web server on loopback, which asks for a password as cameras do."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias

USER, PASSWORD, REALM, NONCE = "admin", "s3cr3t/p@w:d", "camera", "0a4f113b"
Answer: TypeAlias = Callable[[BaseHTTPRequestHandler], None]


@contextmanager
def http_camera(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """``answer`` writes each response. Gives the server's address without a path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:  # the client is gone
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def send(
    handler: BaseHTTPRequestHandler, data: bytes, *, kind: str = "image/jpeg", code: int = 200, **headers: str
) -> None:
    handler.send_response(code)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(data)))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def let_in(handler: BaseHTTPRequestHandler, *schemes: str) -> bool:
    """Whether the request has the right password; asks for it otherwise, by each of ``schemes`` in this order."""
    given = handler.headers.get("Authorization", "")
    if given.startswith("Basic ") and "Basic" in schemes:
        if base64.b64decode(given[6:]).decode() == f"{USER}:{PASSWORD}":
            return True
    elif given.startswith("Digest ") and _is_right(handler, dict(re.findall(r'(\w+)="?([^",]+)"?', given))):
        return True
    handler.send_response(401)
    for scheme in schemes:
        challenge = f'Digest realm="{REALM}", nonce="{NONCE}", qop="auth", algorithm=MD5'
        handler.send_header("WWW-Authenticate", f'Basic realm="{REALM}"' if scheme == "Basic" else challenge)
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return False


def _is_right(handler: BaseHTTPRequestHandler, given: dict[str, str]) -> bool:
    """RFC 2617, 3.2.2.1."""

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    user, uri = md5(f"{USER}:{REALM}:{PASSWORD}"), md5(f"GET:{handler.path}")
    expected = md5(f"{user}:{NONCE}:{given.get('nc')}:{given.get('cnonce')}:auth:{uri}")
    return given.get("response") == expected and given.get("uri") == handler.path
