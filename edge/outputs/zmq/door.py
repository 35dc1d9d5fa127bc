"""The door is a publisher's socket and all that guards it: who may bind, who may connect, and what a connection may cost.

Each sink has one, made, used and closed in its thread.
"""

from __future__ import annotations

import time

import structlog
import zmq
from zmq.utils.monitor import recv_monitor_message

from edge.config.outputs import ZmqConfig
from edge.errors import UserError
from edge.outputs.zmq.connections import Connection, Connections
from edge.outputs.zmq.guests import DOMAIN, Bans, Guests
from edge.outputs.zmq.listener import ListeningSocket
from edge.wire.keys import DoorKeys

log = structlog.get_logger()

LINGER_MS = 100
INBOUND_MAX_BYTES = 128
"""Most bytes of an inbound message: a subscription is a topic; whoever sends more is no subscriber, and is disconnected."""
INBOUND_MAX_BYTES_CURVE = 512
"""Most bytes of an inbound message with keys, whose handshake takes 330."""
HANDSHAKE_MS = 3000
"""Time in ms after which a connection that hasn't said what it is, is closed."""
_AT_ONCE = 1000  # inbound messages looked at between two records
_TELL_S = 60.0
"""Time in s between two warnings of the same kind, so that a flood doesn't fill the journal."""


class Door:
    """A door is an XPUB socket that never blocks and reports each subscription. ``key`` names the endpoint in errors.

    Its name is taken with the first ``open`` and given back by ``close`` alone: whoever looks for it afterwards must find
    us, not somebody who waited for the port to be free.
    """

    def __init__(self, endpoint: str, hwm: int, key: str, keys: DoorKeys | None = None) -> None:
        self.endpoint = endpoint
        """Where the socket is bound, once it is; for port 0 with the port that was chosen."""
        self._hwm = hwm
        self._key = key
        self._keys = keys
        self._bans = Bans()
        self._listener: ListeningSocket | None = None
        self._guests: Guests | None = None
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._tell_at: dict[str, float] = {}

    def open(self) -> None:
        """Take the name, unless it is ours already, and let subscribers in.

        Raises:
            UserError: as ``ListeningSocket``; keys that are missing or that others may read.
        """
        if self._listener is None:
            self._listener = ListeningSocket(self.endpoint, self._key)
        # opened again, it must be where subscribers look for it
        self.endpoint = self._listener.endpoint
        self._context, self._connections = zmq.Context(), Connections()
        try:
            self.socket = self._context.socket(zmq.XPUB)
            _set_limits(self.socket, self._hwm)
            self.socket.set(zmq.IPV6, int("[" in self.endpoint))
            self.socket.set(zmq.MAXMSGSIZE, INBOUND_MAX_BYTES if self._keys is None else INBOUND_MAX_BYTES_CURVE)
            # Also without keys, when nobody is asked about it: whoever speaks a ZMTP before 3.0 (2013), in which a
            # connection can't be told from another one, is refused.
            self.socket.set_string(zmq.ZAP_DOMAIN, DOMAIN)
            if self._keys is not None:
                self._guests = Guests(self._context, self._keys, self._bans)
                self._guests.guard(self.socket)
            self._monitor = _monitor(self._context, self.socket)
            self.socket.set(zmq.USE_FD, self._listener.copy())
            self.socket.bind(self.endpoint)
        except zmq.ZMQError as error:
            self.shut()
            raise UserError(f"{self._key}: {self.endpoint} cannot be bound: {error.strerror}", passes=True) from None
        except BaseException:
            self.shut()
            raise

    @property
    def is_open(self) -> bool:
        return self._context is not None

    def changes(self) -> list[tuple[bool, bytes]]:
        """Return who came (True) and went (False) since the last call, each with its topic prefix."""
        found = []
        for _ in range(_AT_ONCE):
            if not int(self.socket.get(zmq.EVENTS)) & zmq.POLLIN:
                break
            frame = self.socket.recv(zmq.NOBLOCK, copy=False)
            message = frame.bytes
            if frame.more or message[:1] not in (b"\0", b"\1"):
                continue
            came, topic = message[:1] == b"\1", message[1:]
            found.append((came, topic))
            connection = self._connections.heard(frame, topic, came=came)
            if connection is not None and came:
                self._judge(connection)
        return found

    def refresh(self) -> bool:
        """End the sessions of keys that were revoked, and those beyond how many there may be.

        Returns True if all sessions were ended because the thread that answers for keys has died.

        Raises:
            UserError: the list of keys can't be read. All sessions are ended.
        """
        while self._monitor.poll(0):
            fd = int(recv_monitor_message(self._monitor)["value"])
            if self._connections.opened(fd):
                self._tell("too_many_connections")
        if self._guests is None:
            return False
        if not self._guests.answers:
            self.shut()
            self.open()
            return True
        for connection in self._connections.of(self._guests.left()):
            self._connections.cut(connection)
        return False

    def shut(self) -> None:
        """End all sessions, and keep the name."""
        if self._guests is not None:
            self._guests.close()
        if self._context is not None:
            self._context.destroy(LINGER_MS)
            self._connections.close()
        self._guests = self._context = None

    def close(self) -> None:
        """End all sessions and give everything back. May be called twice."""
        self.shut()
        if self._listener is not None:
            self._listener.close()
        self._listener = None

    def _judge(self, connection: Connection) -> None:
        """End a session that may not stay, and no other one."""
        if connection.floods:
            self._tell("subscription_flood", topic_bytes=connection.nbytes, key=connection.user)
            if connection.user is not None:
                self._bans.add(connection.user)
            self._connections.cut(connection)
        elif self._guests is not None and not self._guests.welcomes(connection.user):
            self._connections.cut(connection)

    def _tell(self, event: str, **values: object) -> None:
        now = time.monotonic()
        if now >= self._tell_at.get(event, 0.0):
            self._tell_at[event] = now + _TELL_S
            log.warning(event, endpoint=self.endpoint, **values)


def keys_of(config: ZmqConfig) -> DoorKeys | None:
    """Return the files of ``config.curve``; None if there are no keys."""
    return None if config.curve is None else DoorKeys(config.curve.server_key, config.curve.clients)


def _monitor(context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes]) -> zmq.Socket[bytes]:
    """Make a socket that reports each accepted connection. It has no limit, because a full one would hold up libzmq."""
    address = "inproc://accepted"
    socket.monitor(address, zmq.EVENT_ACCEPTED)
    monitor = context.socket(zmq.PAIR)
    monitor.set(zmq.RCVHWM, 0)
    monitor.set(zmq.LINGER, 0)
    monitor.connect(address)
    return monitor


def _set_limits(socket: zmq.Socket[bytes], hwm: int) -> None:
    socket.set(zmq.SNDHWM, hwm)
    # A flood over TCP, until it is noticed, takes 7 MB with these, 300 MB with 50 and 600 MB with 1,000 (measured): libzmq
    # takes in all that comes before it gives back control.
    socket.set(zmq.RCVHWM, 2)
    socket.set(zmq.RCVBUF, 16 * 1024)
    socket.set(zmq.LINGER, LINGER_MS)
    socket.set(zmq.XPUB_VERBOSER, 1)  # a second subscriber to the same topic is reported too, and so is its end
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    # A subscriber whose cable was cut is dropped once 5 s of data went unanswered. Not by ZMTP heartbeats: libzmq 4.3.5
    # aborts the process (an assertion, !_io_error) when one is due to a peer that went while its inbound queue was full,
    # after a flood say.
    socket.set(zmq.TCP_MAXRT, 5000)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.set(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.set(zmq.TCP_KEEPALIVE_CNT, 3)
