"""A publisher's socket and all that guards it: who may bind, who may connect, and what a connection may cost.

One per sink, made, used and closed in its thread.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket as sockets
import stat
import time
from collections import Counter
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import zmq

from edge.errors import UserError
from edge.wire.keys import DoorKeys, allowed, read_pair

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

log = structlog.get_logger()

LINGER_MS = 100
INBOUND_MAX_BYTES = 128
"""A subscription is a topic; more than this is no subscriber, and its connection is closed."""
INBOUND_MAX_BYTES_CURVE = 512
"""The same with keys, whose handshake takes 330."""
SUBSCRIBED_MAX_BYTES = 64 * 1024
"""Topics subscribed to at any moment, all together: a thousand subscribers have 60 KB. libzmq keeps 50 bytes for each of
these (measured), without a limit of its own."""
HANDSHAKE_MS = 3000
"""A connection that hasn't said by then what it is, is closed."""
KEYS_LOOK_S = 0.5
"""How often the list of allowed keys is looked at."""
EXIT_LOCKED = 6
_IPC_PATH_MAX = 107  # sockaddr_un.sun_path without its last zero
_AT_ONCE = 1000  # inbound messages looked at between two records
_DOMAIN = "edge"
_REFUSED_TOLD = 100

_FIX = {
    errno.EADDRINUSE: "stop the program that has it, or choose another; tcp port 0 takes any free one",
    errno.EADDRNOTAVAIL: "use an address that this machine has, 127.0.0.1 say",
    errno.EACCES: "choose a port above 1023 or a folder that this user may write",
    errno.EINVAL: "write ipc://PATH or tcp://127.0.0.1:PORT",
}


class Door:
    """A bound XPUB socket that never blocks and tells of each subscription. ``key`` names the endpoint in errors.

    Raises:
        UserError: in use, no such address, a path that is too long, not writable or not ours to take; keys that are
            missing or that others may read.
    """

    def __init__(
        self, endpoint: str, hwm: int, key: str, keys: DoorKeys | None = None, banned: set[str] | None = None
    ) -> None:
        """``banned``: keys that flooded (Z85), kept by whoever may open the door again; whoever floods is added."""
        self._hwm = hwm
        self._key = key
        self._keys = keys
        self._banned: set[str] = set() if banned is None else banned
        self._guests: _Guests | None = None
        self._lock: int | None = None
        self._bytes = 0
        self._bytes_of: Counter[str] = Counter()
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        if endpoint.startswith("ipc://"):
            self._lock = _own_path(endpoint, key)
        self._bind(endpoint)
        # opened again, it must be where subscribers look for it
        self.endpoint: str = self.socket.get_string(zmq.LAST_ENDPOINT)
        """Where it is bound, with the port that was chosen for port 0."""

    def changes(self) -> list[tuple[bool, bytes]]:
        """Who came (True) and went (False) since the last call, each with its topic prefix."""
        found = []
        for _ in range(_AT_ONCE):
            if self._flooded or not int(self.socket.get(zmq.EVENTS)) & zmq.POLLIN:
                break
            frame = self.socket.recv(zmq.NOBLOCK, copy=False)
            message = frame.bytes
            if not frame.more and message[:1] in (b"\0", b"\1"):
                came = message[:1] == b"\1"
                found.append((came, message[1:]))
                self._bytes = max(self._bytes + (len(message) if came else -len(message)), 0)
                if came and self._guests is not None:
                    self._bytes_of[str(frame.get("User-Id"))] += len(message)
        return found

    def refresh(self) -> bool:
        """End all sessions if a key was revoked or somebody subscribes without end; True when that was done.

        Libzmq can't end a single session. Who may comes back within a second, and sees a gap; a key that flooded may not.
        """
        if self._flooded:
            flooder = max(self._bytes_of, key=lambda name: self._bytes_of[name], default=None)
            log.warning("subscription_flood", topic_bytes=self._bytes, key=flooder)
            self._banned |= {flooder} if flooder is not None else set()
        elif self._guests is None or not self._guests.someone_left():
            return False
        self._unbind()
        self._bind(self.endpoint)
        return True

    def close(self) -> None:
        """End all sessions and give everything back. May be called twice."""
        self._unbind()
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None

    @property
    def _flooded(self) -> bool:
        return self._bytes > SUBSCRIBED_MAX_BYTES

    def _bind(self, endpoint: str) -> None:
        self._bytes, self._bytes_of = 0, Counter()
        self._context = zmq.Context()
        try:
            self.socket = self._context.socket(zmq.XPUB)
            _set_limits(self.socket, self._hwm)
            self.socket.set(zmq.IPV6, int("[" in endpoint))
            self.socket.set(zmq.MAXMSGSIZE, INBOUND_MAX_BYTES if self._keys is None else INBOUND_MAX_BYTES_CURVE)
            if self._keys is not None:
                self._guests = _Guests(self._context, self._keys, self._banned)
                self._guests.guard(self.socket)
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            number = error.errno or 0
            raise UserError(
                f"{self._key}: {endpoint} cannot be bound: {zmq.strerror(number)} ({errno.errorcode.get(number, number)})",
                fix=_FIX.get(number),
            ) from None
        except BaseException:
            self.close()
            raise

    def _unbind(self) -> None:
        if self._guests is not None:
            self._guests.close()
        if self._context is not None:
            self._context.destroy(LINGER_MS)
        self._guests = self._context = None


class _Guests:
    """The list of keys that may connect, and the thread that answers libzmq's question about each handshake.

    The domain is named and enforced: without an answer nobody gets in. pyzmq's domain ``*`` would match no socket that
    has one.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: DoorKeys, banned: AbstractSet[str]) -> None:
        from zmq.auth.thread import ThreadAuthenticator  # asyncio, 60 ms, for those who use keys

        self._clients = keys.clients
        self._banned = banned
        self._public, self._secret = read_pair(keys.server_key)
        self._seen = _look(keys.clients)
        self._names, wrong = allowed(keys.clients)
        self._next_look = time.monotonic() + KEYS_LOOK_S
        self._refused: set[bytes] = set()
        self._thread: ThreadAuthenticator = ThreadAuthenticator(context)
        self._thread.configure_curve_callback(_DOMAIN, self)
        self._thread.start()
        for text in wrong:
            log.warning("key_unreadable", error=text)
        log.info("keys", allowed=sorted(self._names.values()), folder=str(keys.clients))

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """To be called before ``bind``."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)
        socket.set_string(zmq.ZAP_DOMAIN, _DOMAIN)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    def callback(self, _domain: str, key: bytes) -> bool:
        """Whether ``key`` (Z85) may connect; called in the authenticator's thread, once per handshake."""
        welcome = key in self._names and key.decode() not in self._banned
        if not welcome and key not in self._refused and len(self._refused) < _REFUSED_TOLD:
            self._refused.add(key)
            reason = "it flooded" if key in self._names else "the key is not on the list"
            log.warning("client_refused", key=key.decode(), reason=reason)
        return welcome

    def someone_left(self) -> bool:
        """Read the list again if it changed; whether a key is gone from it."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + KEYS_LOOK_S
        if not self._thread.is_alive():
            return True
        seen = _look(self._clients)
        if seen == self._seen:
            return False
        try:
            names, wrong = allowed(self._clients)
        except UserError as error:
            names, wrong = {}, [error.what]
        for text in wrong:
            log.warning("key_unreadable", error=text)
        gone = sorted(name for key, name in self._names.items() if key not in names)
        came = sorted(name for key, name in names.items() if key not in self._names)
        log.info("keys_changed", allowed=came, revoked=gone)
        self._seen, self._names = seen, names
        self._refused.clear()
        return bool(gone)

    def close(self) -> None:
        self._thread.stop()


def _look(folder: Path) -> object:
    """Whatever differs when a file of the folder was added, removed or written."""
    try:
        with os.scandir(folder) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return None
    return sorted((name, s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats)


def _set_limits(socket: zmq.Socket[bytes], hwm: int) -> None:
    socket.set(zmq.SNDHWM, hwm)
    # A flood over TCP, until it is noticed, takes 7 MB with these, 300 MB with 50 and 600 MB with 1,000 (measured): libzmq
    # takes in all that comes before it gives back control.
    socket.set(zmq.RCVHWM, 2)
    socket.set(zmq.RCVBUF, 16 * 1024)
    socket.set(zmq.LINGER, LINGER_MS)
    socket.set(zmq.XPUB_VERBOSER, 1)  # a second subscriber to the same topic is told of too, and so is its end
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    # A subscriber whose cable was cut is dropped once 5 s of data went unanswered. Not by ZMTP heartbeats: libzmq 4.3.5
    # aborts the process (an assertion, !_io_error) when one is due to a peer that went while its inbound queue was full,
    # after a flood say.
    socket.set(zmq.TCP_MAXRT, 5000)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)


def _own_path(endpoint: str, key: str) -> int:
    """What libzmq would get wrong: it deletes whatever lies at the path, another daemon's live socket included.

    Returns a descriptor that holds ``PATH.lock``, so that of two daemons that start at once one is refused.
    """
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
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise UserError(f"{key}: {endpoint}: {path} is there and is no socket", fix="choose another path")
    except FileNotFoundError:
        pass
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        taken = _answers(path)
    except BlockingIOError:
        taken = True
    if taken:
        os.close(lock)
        raise UserError(
            f"{key}: {endpoint} cannot be bound: another program has it",
            fix=_FIX[errno.EADDRINUSE],
            exit_code=EXIT_LOCKED,
        )
    return lock


def _answers(path: Path) -> bool:
    """Whether somebody listens at the socket ``path``; one that nobody has open was left by a process that was killed."""
    with sockets.socket(sockets.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
