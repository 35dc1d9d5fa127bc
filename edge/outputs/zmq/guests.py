"""Guests connect with a key: here are the list, its changes, bans that end, and the thread that answers libzmq's
question.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import zmq

from edge.errors import UserError
from edge.wire.keys import DoorKeys, allowed, read_pair

if TYPE_CHECKING:
    from zmq.auth.thread import ThreadAuthenticator

log = structlog.get_logger()

LOOK_S = 0.5
"""Time in s between two looks at the list of allowed keys."""
BAN_S = 60.0
"""Time in s that a key stays out after it flooded."""
DOMAIN = "edge"
_MOST_REFUSED_LOGGED = 100


class Bans:
    """Bans keep keys (Z85) out for a while, and outlive the sessions."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def add(self, key: str) -> None:
        self._until[key] = time.monotonic() + BAN_S

    def __contains__(self, key: str) -> bool:
        return time.monotonic() < self._until.get(key, 0.0)


class Guests:
    """Only guests, the keys on the list, may connect.

    The domain is named and enforced: without an answer nobody gets in. pyzmq's domain ``*`` would match no socket that
    has one.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: DoorKeys, bans: Bans) -> None:
        from zmq.auth.thread import ThreadAuthenticator  # asyncio, 60 ms, for those who use keys

        self._clients = keys.clients
        self._bans = bans
        self._public, self._secret = read_pair(keys.server_key)
        self._seen = _look(keys.clients)
        self._names, wrong = allowed(keys.clients)
        self._next_look = time.monotonic() + LOOK_S
        self._refused: set[bytes] = set()
        self._thread: ThreadAuthenticator = ThreadAuthenticator(context)
        self._thread.configure_curve_callback(DOMAIN, self)
        self._thread.start()
        for text in wrong:
            log.warning("key_unreadable", error=text)
        log.info("keys", allowed=sorted(self._names.values()), folder=str(keys.clients))

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Protect the socket; call this before ``bind``."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_SECRETKEY, self._secret)
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)

    @property
    def answers(self) -> bool:
        return self._thread.is_alive()

    def welcomes(self, user: str | None) -> bool:
        """Return True if whoever has connected may stay."""
        return user is not None and user.encode() in self._names and user not in self._bans

    def callback(self, _domain: str, key: bytes) -> bool:
        """Return True if ``key`` (Z85) may connect; called in the authenticator's thread, once per handshake."""
        welcome = self.welcomes(key.decode())
        if not welcome and key not in self._refused and len(self._refused) < _MOST_REFUSED_LOGGED:
            self._refused.add(key)
            reason = f"it flooded, and is out for {BAN_S:g} s" if key in self._names else "the key is not on the list"
            log.warning("client_refused", key=key.decode(), reason=reason)
        return welcome

    def left(self) -> set[str]:
        """Read the list again if it changed, and return the keys that are gone from it.

        Raises:
            UserError: the list can't be read. Nobody may connect then, and nobody may stay.
        """
        now = time.monotonic()
        if now < self._next_look:
            return set()
        self._next_look = now + LOOK_S
        seen = _look(self._clients)
        if seen == self._seen:
            return set()
        before = self._names
        try:
            self._names, wrong = allowed(self._clients)
        except UserError:
            self._names = {}
            raise
        for text in wrong:
            log.warning("key_unreadable", error=text)
        gone = {key: name for key, name in before.items() if key not in self._names}
        came = sorted(name for key, name in self._names.items() if key not in before)
        log.info("keys_changed", allowed=came, revoked=sorted(gone.values()))
        self._seen = seen
        self._refused.clear()
        return {key.decode() for key in gone}

    def close(self) -> None:
        self._thread.stop()


def _look(folder: Path) -> object:
    """Return a value that differs when a file of the folder was added, removed or written."""
    try:
        with os.scandir(folder) as entries:
            stats = [(entry.name, entry.stat()) for entry in entries]
    except OSError:
        return None
    return sorted((name, s.st_ino, s.st_mtime_ns, s.st_size) for name, s in stats)
