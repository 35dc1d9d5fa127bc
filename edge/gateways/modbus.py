"""A Modbus TCP server answers PLCs, read-only, with registers that are worked out for each request.

It is written here and not taken from pymodbus, whose server answers only the first of several requests that come in one
segment (https://github.com/pymodbus-dev/pymodbus/issues/1949) and keeps connections that say nothing for ever.

Modbus knows no passwords: it belongs on the machine's own network. It is no safety function.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from edge.errors import ExitCode, UserError, may_pass
from edge.gateways.modbus_frames import HEAD_BYTES, Head, answer, request_head

SESSIONS: Final = 32
"""Connections at once. One more closes the one that matters least: those that never asked a whole question go first, then
the one that was silent longest."""
IDLE_S: Final = 60.0
"""A connection that asks nothing for longer, in s, is closed: a PLC that was switched off says no goodbye."""
HALF_S: Final = 5.0
"""Time in s for the rest of a request after its first byte, and for an answer to be taken."""
_BACKLOG_BYTES: Final = 16 * 1024
"""Answers that a client leaves untaken; beyond that it must take some before it is heard again."""


@dataclass(eq=False)
class _Session:
    writer: asyncio.StreamWriter
    asked: int = 0
    heard_s: float = field(default_factory=time.monotonic)


class ModbusServer:
    """The server belongs to one event loop."""

    def __init__(
        self,
        registers: Callable[[], list[int]],
        *,
        sessions: int = SESSIONS,
        idle_s: float = IDLE_S,
        half_s: float = HALF_S,
    ) -> None:
        """Take ``registers``, called for each request; it must not block."""
        self._registers = registers
        self._most = sessions
        self._idle_s = idle_s
        self._half_s = half_s
        self._sessions: set[_Session] = set()
        self._server: asyncio.Server | None = None

    @property
    def sessions(self) -> int:
        """Return the number of open connections."""
        return len(self._sessions)

    async def listen(self, host: str, port: int) -> int:
        """Begin to answer; return the port, which is any free one for 0.

        Raises:
            UserError: the address or port can't be had. It ``passes`` where another program has it, or the network isn't
            up yet.
        """
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=4096)
        except OSError as error:
            raise _not_bound(host, port, error) from None
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """End all connections. May be called twice."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for session in list(self._sessions):
            session.writer.transport.abort()
        while self._sessions:
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(writer)
        self._sessions.add(session)
        if len(self._sessions) > self._most:
            least = min(self._sessions - {session}, key=lambda s: (s.asked > 0, s.heard_s))
            self._sessions.discard(least)  # now: several may come before its task ends
            least.writer.transport.abort()
        writer.transport.set_write_buffer_limits(high=_BACKLOG_BYTES)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BACKLOG_BYTES)  # the kernel's own is megabytes
        try:
            while True:
                await self._answer_one(session, reader)
        except (asyncio.TimeoutError, EOFError, OSError, ValueError):
            pass  # gone, silent, or no Modbus: nothing that could be answered
        finally:
            self._sessions.discard(session)
            writer.transport.abort()

    async def _answer_one(self, session: _Session, reader: asyncio.StreamReader) -> None:
        """Answer the next request; those that came with it wait in the reader and are next."""
        begun = await asyncio.wait_for(reader.readexactly(1), self._idle_s)
        request = await asyncio.wait_for(_rest(begun, reader), self._half_s)
        session.heard_s = time.monotonic()
        session.asked += 1
        session.writer.write(answer(*request, self._registers))
        await asyncio.wait_for(session.writer.drain(), self._half_s)
        await asyncio.sleep(0)  # a client with a thousand requests in one segment is not the only one


async def _rest(begun: bytes, reader: asyncio.StreamReader) -> tuple[Head, bytes]:
    head = request_head(begun + await reader.readexactly(HEAD_BYTES - 1))
    return head, await reader.readexactly(head.following)


def _not_bound(host: str, port: int, error: OSError) -> UserError:
    number = error.errno
    if number == errno.EACCES:
        fix = "take one above 1023, or give CAP_NET_BIND_SERVICE, as edge-gateway@.service does"
        return UserError(f"--port: this user may not open port {port}", received=f"{host}:{port}", fix=fix)
    if number == errno.EADDRINUSE:
        return UserError(
            f"--port: another program has port {port}",
            received=f"{host}:{port}",
            fix=f"another port; ss -ltnp 'sport = :{port}' shows who has it",
            exit_code=ExitCode.LOCKED,
            passes=True,
        )
    if isinstance(error, socket.gaierror) or number == errno.EADDRNOTAVAIL:
        return UserError(
            "--bind: no address of this machine",
            received=host,
            expected="an address that `ip addr` shows, or 0.0.0.0 for all",
            exit_code=ExitCode.LOCKED,
            passes=True,
        )
    text = f"--bind: cannot listen on {host}:{port}: {error.strerror or error}"
    return UserError(text, exit_code=ExitCode.LOCKED if may_pass(error) else ExitCode.CONFIG, passes=may_pass(error))


async def serve(
    server: ModbusServer,
    host: str,
    port: int,
    *,
    ready: Callable[[int], None],
    each_second: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Answer PLCs until ``stop``. ``ready`` gets the port once it is open; ``each_second`` is called from then on.

    Raises:
        UserError: as ``listen``, or what ``each_second`` raises.
    """
    port = await server.listen(host, port)
    try:
        ready(port)
        while not stop.is_set():
            each_second()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(stop.wait(), 1.0)
    finally:
        await server.close()
