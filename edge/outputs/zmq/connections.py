"""A publisher's socket keeps a list of its connections: what each subscribed to, how many there may be, and how to end one.

Libzmq tells with each subscription over which descriptor it came (``ZMQ_SRCFD``), and has no call that ends one session.
But a socket that is shut down on our side is a session that ends.
"""

from __future__ import annotations

import os
import resource
import socket as sockets
import stat
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass, field

import zmq

CONNECTIONS_MAX = 256
"""Most connections at once. Each takes a descriptor, of which a process has 1,024 unless the system allows more."""
OUR_OWN = 128
"""Descriptors that strangers can't take: those of the log, the evidence, a model that is loaded, the health server."""
_LEAST = 8
TOPICS_MAX_BYTES = 1024
"""Most bytes of topics that one connection may have subscribed to: a gateway has 60. Libzmq keeps 50 bytes for each topic
(measured), without a limit of its own."""


@dataclass(slots=True)
class Connection:
    """A connection is told apart by its inode, because descriptors are used again. ``user`` is its key (Z85)."""

    fd: int
    inode: int
    user: str | None = None
    topics: set[bytes] = field(default_factory=set)
    nbytes: int = 0

    @property
    def floods(self) -> bool:
        return self.nbytes > TOPICS_MAX_BYTES


class Connections:
    """All open connections are listed in the order in which they came. One thread uses the list."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], Connection] = {}
        self._most = connections_max()
        self._nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._spare = os.dup(self._nothing)
        """A number to look at a connection under: where all descriptors are taken there would be none to end one with."""

    def opened(self, fd: int) -> int:
        """Add an accepted connection. With too many of them one is ended: the first that never said what it wants to hear,
        otherwise the newest. Returns how many were ended.
        """
        connection = self._at(fd)
        if connection is None or len(self._known) <= self._most:
            return 0
        for gone in [known for known in self._known.values() if _inode(known.fd) != known.inode]:
            del self._known[gone.fd, gone.inode]
        if len(self._known) <= self._most:
            return 0
        self.cut(next((known for known in self._known.values() if not known.topics), connection))
        return 1

    def heard(self, frame: zmq.Frame, topic: bytes, *, came: bool) -> Connection | None:
        """Return the connection that subscribed (``came``) or cancelled; None if it is gone itself."""
        try:
            fd, user = int(frame.get("__fd")), _user(frame)
        except zmq.ZMQError:  # libzmq reports the end of a connection so
            return None
        connection = self._at(fd)
        if connection is None:
            return None
        connection.user = user
        if came and topic not in connection.topics:
            connection.topics.add(topic)
            connection.nbytes += len(topic) + 1
        elif not came and topic in connection.topics:
            connection.topics.remove(topic)
            connection.nbytes -= len(topic) + 1
        return connection

    def of(self, users: Container[str]) -> list[Connection]:
        return [known for known in self._known.values() if known.user is not None and known.user in users]

    def cut(self, connection: Connection) -> None:
        """End one connection; libzmq forgets what it had subscribed to. It may have ended already."""
        self._known.pop((connection.fd, connection.inode), None)
        with suppress(OSError):
            os.dup2(connection.fd, self._spare, inheritable=False)  # so that it stays what it is while we look
            if _inode(self._spare) == connection.inode:
                ours = sockets.socket(fileno=self._spare)
                try:
                    ours.shutdown(sockets.SHUT_RDWR)
                finally:
                    ours.detach()
        os.dup2(self._nothing, self._spare, inheritable=False)

    def close(self) -> None:
        """Give back what was kept to end connections with."""
        os.close(self._spare)
        os.close(self._nothing)

    def _at(self, fd: int) -> Connection | None:
        inode = _inode(fd)
        if inode is None:
            return None
        return self._known.setdefault((fd, inode), Connection(fd, inode))


def connections_max() -> int:
    """Return how many connections one endpoint may have: fewer where the process may open few files, for both endpoints
    together must leave what we need ourselves.
    """
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(_LEAST, (allowed - OUR_OWN) // 2))


def _user(frame: zmq.Frame) -> str | None:
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return None


def _inode(fd: int) -> int | None:
    """Return the inode of a socket; None if there is no socket with this number."""
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else None
