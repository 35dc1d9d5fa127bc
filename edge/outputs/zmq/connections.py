"""A publisher's socket keeps a list of its connections: what each subscribed to, how many there may be, and how to end one.

Libzmq tells with each subscription over which descriptor it came (``ZMQ_SRCFD``), and has no call that ends one session.
But a socket that is shut down on our side is a session that ends.
"""

from __future__ import annotations

import os
import socket as sockets
import stat
from collections.abc import Container
from dataclasses import dataclass, field

import zmq

CONNECTIONS_MAX = 256
"""Most connections at once. Each takes a descriptor, of which a process has 1,024 unless the system allows more."""
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

    def opened(self, fd: int) -> int:
        """Add an accepted connection. With too many of them one is ended: the first that never said what it wants to hear,
        otherwise the newest. Returns how many were ended.
        """
        connection = self._at(fd)
        if connection is None or len(self._known) <= CONNECTIONS_MAX:
            return 0
        for gone in [known for known in self._known.values() if _inode(known.fd) != known.inode]:
            del self._known[gone.fd, gone.inode]
        if len(self._known) <= CONNECTIONS_MAX:
            return 0
        self.cut(next((known for known in self._known.values() if not known.topics), connection))
        return 1

    def heard(self, frame: zmq.Frame, topic: bytes, *, came: bool) -> Connection | None:
        """Return the connection that subscribed (``came``) or cancelled; None if it is gone itself."""
        try:
            fd, user = int(frame.get("__fd")), _user(frame)
        except zmq.ZMQError:  # told by libzmq at the end of a connection
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
        try:
            copy = os.dup(connection.fd)  # so that the number stays ours while we look
        except OSError:
            return
        try:
            if _inode(copy) == connection.inode:
                with sockets.socket(fileno=os.dup(copy)) as ours:
                    ours.shutdown(sockets.SHUT_RDWR)
        except OSError:
            pass
        finally:
            os.close(copy)

    def _at(self, fd: int) -> Connection | None:
        inode = _inode(fd)
        if inode is None:
            return None
        return self._known.setdefault((fd, inode), Connection(fd, inode))


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
