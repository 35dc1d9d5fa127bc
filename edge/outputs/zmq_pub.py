"""Records, state and heartbeat over ZeroMQ: one XPUB socket, made, used and closed in the output's thread.

Loss toward a slow subscriber is the subscriber's alone and shows there as a gap in ``seq``: each has a queue of 50
messages, and XPUB_NODROP stays off, which would let one stalled subscriber starve the others.
"""

from __future__ import annotations

import errno
import os
import socket as sockets
import stat
import time
from collections.abc import Mapping
from pathlib import Path

import zmq

from edge.config import ZmqConfig
from edge.errors import UserError
from edge.frames import Heartbeat, Record, RunIdentity, State
from edge.wire import Wire, topic

SEND_HWM = 50
LINGER_MS = 100
INBOUND_MAX_BYTES = 4096
"""A subscription is a topic; more than this is no subscriber, and its connection is closed."""
_IPC_PATH_MAX = 107  # sockaddr_un.sun_path without its last zero
_AT_ONCE = 1000  # inbound messages looked at between two records

_FIX = {
    errno.EADDRINUSE: "stop the program that has it, or choose another; tcp port 0 takes any free one",
    errno.EADDRNOTAVAIL: "use an address that this machine has, 127.0.0.1 say",
    errno.EACCES: "choose a port above 1023 or a folder that this user may write",
    errno.EINVAL: "write ipc://PATH or tcp://127.0.0.1:PORT",
}


class ZmqSink:
    """Publishes ``[topic, JSON]``. The last state is sent again whenever someone subscribes to it."""

    name = "zmq"
    idle_s = 0.05  # how late a new subscriber gets the state, at most

    def __init__(self, config: ZmqConfig, identity: RunIdentity, folder: Path) -> None:
        """``folder``: the runtime folder, where the ipc socket lies unless the config says otherwise."""
        self._bind = config.bind or f"ipc://{folder / 'pub'}"
        self._wire = Wire(identity)
        self._records = topic("inspection", identity.camera)
        self._states = topic("state", identity.camera)
        self._heartbeats = topic("heartbeat", identity.camera)
        self._last_state: bytes | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self.endpoint: str | None = None
        """Where it is bound, once it is: with the port that was chosen for port 0."""
        self.subscribers = 0
        """Live subscriptions to the records."""

    @property
    def detail(self) -> Mapping[str, object]:
        return {"endpoint": self.endpoint}

    def open(self) -> None:
        self._context = zmq.Context()
        self._socket = open_xpub(self._context, self._bind, SEND_HWM, "outputs.zmq.bind")
        # a reopened socket must come back to where subscribers look for it
        self._bind = self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT)

    def write(self, record: Record, _kept: object) -> None:
        self._send(self._records, record.line)

    def state(self, state: State) -> None:
        self._last_state = self._wire.state(state, time.time_ns())
        self._send(self._states, self._last_state)

    def tick(self, heartbeat: Heartbeat) -> None:
        self._send(self._heartbeats, self._wire.heartbeat(heartbeat, time.time_ns()))

    def idle(self) -> None:
        """Look at who came and went."""
        assert self._socket is not None
        wanted = False
        for came, prefix in subscriptions(self._socket):
            if self._records.startswith(prefix):
                self.subscribers += 1 if came else -1
            wanted = wanted or (came and self._states.startswith(prefix))
        if wanted and self._last_state is not None:
            self._send(self._states, self._last_state)

    def recover(self) -> None:
        self.close()
        self.open()

    def close(self) -> None:
        self.subscribers = 0
        if self._context is not None:
            self._context.destroy(LINGER_MS)
        self._context = self._socket = None

    def _send(self, about: bytes, body: bytes) -> None:
        assert self._socket is not None
        # send_multipart checks every part in Python first: 10 µs a message
        self._socket.send(about, zmq.SNDMORE | zmq.NOBLOCK)
        self._socket.send(body, zmq.NOBLOCK)


def open_xpub(context: zmq.Context[zmq.Socket[bytes]], endpoint: str, hwm: int, key: str) -> zmq.Socket[bytes]:
    """A bound XPUB socket that never blocks and tells of each subscription. ``key`` names the endpoint in errors.

    Raises:
        UserError: in use, no such address, a path that is too long, not writable or not ours to take.
    """
    socket = context.socket(zmq.XPUB)
    socket.set(zmq.SNDHWM, hwm)
    socket.set(zmq.LINGER, LINGER_MS)
    socket.set(zmq.XPUB_VERBOSER, 1)  # a second subscriber to the same topic is told of too, and so is its end
    socket.set(zmq.MAXMSGSIZE, INBOUND_MAX_BYTES)
    # a subscriber that froze or whose cable was cut is dropped after 3 s (measured) instead of hours
    socket.set(zmq.HEARTBEAT_IVL, 1000)
    socket.set(zmq.HEARTBEAT_TIMEOUT, 3000)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)
    try:
        if endpoint.startswith("ipc://"):
            _check_path(endpoint, key)
        else:
            _check_port(endpoint, key)
            socket.set(zmq.IPV6, int("[" in endpoint))
        socket.bind(endpoint)
    except zmq.ZMQError as error:
        socket.close()
        number = error.errno or 0
        raise UserError(
            f"{key}: {endpoint} cannot be bound: {zmq.strerror(number)} ({errno.errorcode.get(number, number)})",
            fix=_FIX.get(number),
        ) from None
    except UserError:
        socket.close()
        raise
    return socket


def subscriptions(socket: zmq.Socket[bytes]) -> list[tuple[bool, bytes]]:
    """Who came (True) and went (False) since the last call, each with its topic prefix."""
    found = []
    for _ in range(_AT_ONCE):
        if not int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
            break
        message = socket.recv_multipart(zmq.NOBLOCK)
        if len(message) == 1 and message[0][:1] in (b"\0", b"\1"):
            found.append((message[0][:1] == b"\1", message[0][1:]))
    return found


def _check_port(endpoint: str, key: str) -> None:
    port = endpoint.rpartition(":")[2]
    # pyzmq binds 99999 as 34463
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise UserError(f"{key}: {endpoint}: no such port", received=port, expected="0 to 65535; 0 takes any free one")


def _check_path(endpoint: str, key: str) -> None:
    """What libzmq would get wrong: it deletes whatever lies at the path, another daemon's live socket included."""
    path = Path(endpoint.removeprefix("ipc://"))
    size = len(os.fsencode(path))
    if size > _IPC_PATH_MAX:
        raise UserError(
            f"{key}: {endpoint}: the path is too long for a socket",
            received=f"{size} bytes",
            expected=f"at most {_IPC_PATH_MAX}",
            fix="choose a shorter runtime_dir or bind",
        )
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"{key}: {endpoint}: there is no folder {folder}", fix="make the folder, or choose another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(
            f"{key}: {endpoint}: the folder {folder} is not writable", fix="choose a folder that this user may write"
        )
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise UserError(f"{key}: {endpoint}: {path} is there and is no socket", fix="choose another path")
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:  # a socket that nobody has open, left behind by a process that was killed
            return
    raise UserError(f"{key}: {endpoint} cannot be bound: another program has it", fix=_FIX[errno.EADDRINUSE])
