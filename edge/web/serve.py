"""The page is served here: its socket is opened, uvicorn runs until a signal comes, and systemd hears that it is ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from edge.config.web import UNIX, LoadedWeb, WebConfig
from edge.errors import ExitCode, UserError, may_pass
from edge.service.sd_notify import notify
from edge.web.app import make_app
from edge.web.site import Site

MOST_MESSAGE_BYTES = 64 * 1024
"""Most bytes of a message that a browser may send over a WebSocket."""
_TURN_S = 1.0


def serve_page(loaded: LoadedWeb, say: Callable[[str], None]) -> None:
    """Serve the page until SIGTERM or SIGINT. ``say`` hears where it is, and the first visitor's link.

    Raises:
        UserError: the folder, the address or the certificate can't be used.
    """
    config = loaded.config
    site = Site.open(loaded, background=True)
    try:
        listening = _listen(config)
        try:
            server = _Server(_settings(config, site))
            say(f"page on {address(config, listening)}")
            if not site.doors.accounts.users() and not config.anonymous:
                link = f"{address(config, listening)}/enter?key={site.doors.accounts.new_link()}"
                say(f"no users yet: {link} lets you in once")
            asyncio.run(_run(server, listening))
        finally:
            listening.close()
            if config.bind.startswith(UNIX):
                Path(config.bind.removeprefix(UNIX)).unlink(missing_ok=True)
    finally:
        site.close()


def address(config: WebConfig, listening: socket.socket) -> str:
    """Return the URL, with the port that was chosen."""
    if config.bind.startswith(UNIX):
        return config.bind
    host = config.bind.rpartition(":")[0]
    return f"{'http' if config.tls is None else 'https'}://{host}:{listening.getsockname()[1]}"


def _listen(config: WebConfig) -> socket.socket:
    try:
        if config.bind.startswith(UNIX):
            path = Path(config.bind.removeprefix(UNIX))
            path.unlink(missing_ok=True)
            listening = socket.socket(socket.AF_UNIX)
            listening.bind(str(path))
            path.chmod(0o660)
        else:
            host, _, port = config.bind.rpartition(":")
            family, _, _, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(place)
        listening.listen(128)
    except OSError as error:
        raise UserError(
            f"bind: {config.bind}: {error.strerror or error}",
            fix="another program may have this address: --bind 127.0.0.1:0 takes any free port",
            exit_code=ExitCode.LOCKED if may_pass(error) else ExitCode.CONFIG,
        ) from None
    return listening


def _settings(config: WebConfig, site: Site) -> uvicorn.Config:
    peers = config.behind_proxy.peers if config.behind_proxy is not None else ()
    settings = uvicorn.Config(
        make_app(site),
        ws="websockets-sansio",
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(peers),
        forwarded_allow_ips="*" if config.bind.startswith(UNIX) and peers else list(peers),
        ws_max_size=MOST_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        limit_concurrency=256,
        timeout_graceful_shutdown=2,
        ssl_certfile=None if config.tls is None else config.tls.cert,
        ssl_keyfile=None if config.tls is None else config.tls.key,
    )
    try:
        settings.load()
    except OSError as error:  # ssl.SSLError is one
        raise UserError(f"tls: {error.filename or config.tls}: {error.strerror or error}", expected="PEM files") from None
    return settings


class _Server(uvicorn.Server):
    """Signals are ours: uvicorn would raise them again after its end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _run(server: _Server, listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: setattr(server, "should_exit", True))
    watching = asyncio.create_task(_tell_systemd(server))
    try:
        await server.serve(sockets=[listening])
    finally:
        watching.cancel()


async def _tell_systemd(server: _Server) -> None:
    while not server.started:
        await asyncio.sleep(0.05)
    notify("READY=1")
    while True:
        if os.environ.get("WATCHDOG_USEC"):
            notify("WATCHDOG=1")
        await asyncio.sleep(_TURN_S)
