"""Listen to a daemon: to its records, to what a listener must notice about their coming, and by the rule for acting on
them.

    with Subscriber("tcp://127.0.0.1:5556", "cam1") as line:
        if not line.decide(part_id=42, within_s=0.2).accept:
            reject()

    with Subscriber("tcp://127.0.0.1:5556") as line:
        for event in line:
            if isinstance(event, Received) and event.kind == "inspection":
                print(event.message["verdict"])

For programs beside the line; needs neither the daemon nor its config.
"""

from __future__ import annotations

import errno
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from types import TracebackType

import zmq
from zmq.utils.monitor import recv_monitor_message

from edge.client.events import STALE_S, Event, Listener, Refused, Unreadable
from edge.client.pass_rule import WITHIN_MAX_S, Decision, Latest, PassRule, Wanted
from edge.errors import UserError
from edge.wire.keys import ClientKeys

_MAX_BYTES = 16 * 1024 * 1024
_KINDS = (b"inspection/", b"state/", b"heartbeat/")
_BACKLOG = 1000
_BACKLOG_BYTES = 4 * 1024 * 1024
_LOOK_MS = 20
_RETRY_S = 1.0
_LOOK_AT_PATH_S = 0.2
_HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Subscriber:
    """A subscriber is a connection to one daemon's endpoint, read in a thread of its own. It connects again by itself.

    A subscriber that comes later hears from then on; of what was before it gets only the last state. If nobody receives
    events, the first 1,000 messages wait, or the first 4 MB; what comes after them is a gap. ``decide`` and ``latest``
    don't need ``receive`` to be called, and hear everything. No message ends the thread that reads; if it ends all the
    same, nothing is accepted any more and ``decide``, ``latest`` and ``receive`` say why.
    """

    def __init__(
        self,
        endpoint: str,
        camera: str | None = None,
        *,
        keys: ClientKeys | None = None,
        stale_s: float = STALE_S,
        keep_s: float = WITHIN_MAX_S,
    ) -> None:
        """Connect to ``endpoint``; hear ``camera`` only, if it is given. ``keys`` are for a daemon with CURVE.

        ``keep_s`` is the longest window that ``decide`` will be asked for, 60 s at most; what it reads of each record in
        twice that time takes 300 bytes. Give 0 if only ``latest`` or ``receive`` is called.

        Raises:
            UserError: ``endpoint`` is none.
        """
        check_endpoint(endpoint)
        now = time.monotonic()
        self._endpoint = endpoint
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._open(keys)
        self._news = threading.Condition()
        self._backlog: deque[tuple[bytes, bytes, float]] = deque()
        self._backlog_bytes = 0
        self._refused: str | None = None
        self._refusal: str | None = None
        self._ended: str | None = None
        self._began = now
        self._keep_s = min(keep_s, WITHIN_MAX_S)
        self._rule = None if camera is None else PassRule(camera, stale_s=stale_s, now=now, keep_s=self._keep_s)
        self._listener = Listener(camera, stale_s=stale_s, now=now)
        self.stale_s = stale_s
        """Silence in s after which nothing that the daemon said counts any more."""
        self._events: deque[Event] = deque()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name="subscriber", daemon=True)
        self._thread.start()

    def decide(
        self,
        part_id: int,
        within_s: float,
        *,
        recipe_id: str | None = None,
        config_sha256: str | None = None,
        allow_simulated: bool = False,
    ) -> Decision:
        """Decide whether this part may pass. Accepts nothing but a fresh pass for it, and returns as soon as that is
        decided.

        The part's record must have come at most ``within_s`` before this call or come at most ``within_s`` after it (60 at
        most). Rejected is: no record in that time, a second one for the same part, a gap right before it, a restart of the
        daemon in that time, no heartbeat for ``stale_s``, fail, invalid, another schema; a record that another recipe than
        ``recipe_id`` made, or another config than ``config_sha256`` (its first 8 digits or more), where they are given; and
        simulated records unless ``allow_simulated``, which is for the bench. From any thread, for any part, as often as you
        like.

        Raises:
            UserError: the subscriber was made without ``camera``.
            ValueError: ``within_s`` is longer than what is kept, or ``config_sha256`` is no such hash.
        """
        if not 0 <= within_s <= self._keep_s:
            raise ValueError(f"within_s: {within_s} is not between 0 and {self._keep_s:g}")
        wanted = Wanted(allow_simulated, recipe_id, config_sha256)
        rule, called = self._the_rule(), time.monotonic()
        with self._news:
            while True:
                now = time.monotonic()
                if self._ended is not None:
                    return Decision(False, "stale", self._ended)
                decision = rule.decide(part_id, called, within_s, now, wanted)
                if decision is not None:
                    return decision
                self._news.wait(called + within_s - now)

    def latest(
        self,
        max_age_s: float,
        *,
        recipe_id: str | None = None,
        config_sha256: str | None = None,
        allow_simulated: bool = False,
    ) -> Latest:
        """Apply the same rule to the latest record, whichever part it is of, as long as it is at most ``max_age_s`` old.

        The last heartbeat and state come with it, all of one moment, for callers that show what goes on.
        """
        wanted = Wanted(allow_simulated, recipe_id, config_sha256)
        rule = self._the_rule()
        with self._news:
            latest = rule.latest(max_age_s, time.monotonic(), wanted)
        return latest if self._ended is None else replace(latest, decision=Decision(False, "stale", self._ended))

    @property
    def refused(self) -> str | None:
        """Return why the daemon can't be heard, until it is; None while nothing is known to be wrong."""
        return self._refusal

    def receive(self, timeout_s: float) -> Event | None:
        """Return the next event, or None if there was none within ``timeout_s``. One thread may call this."""
        end = time.monotonic() + timeout_s
        while not self._events:
            with self._news:
                message = self._backlog.popleft() if self._backlog else None
                if message is not None:
                    self._backlog_bytes -= len(message[1])
                elif self._refused is not None:
                    self._events.append(Refused(self._refused))
                    self._refused = None
            if message is not None:
                # what was silent when it came: also for one who never catches up
                self._events.extend(self._listener.silence(message[2]))
                self._events.extend(self._hear(*message))
                continue
            # only now: a heartbeat that has come already ends a silence before it is reported
            now = time.monotonic()
            self._events.extend(self._listener.silence(now))
            if now >= end or self._events:
                break
            with self._news:
                if not self._backlog:
                    self._news.wait(min(end - now, self.stale_s / 10))
        return self._events.popleft() if self._events else None

    def __iter__(self) -> Iterator[Event]:
        """Yield events for ever."""
        while True:
            event = self.receive(60.0)
            if event is not None:
                yield event

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._closing.set()
        self._thread.join()
        self._context.destroy(0)

    def __enter__(self) -> Subscriber:  # noqa: PYI034  (typing.Self came with Python 3.11)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _hear(self, topic: bytes, body: bytes, now: float) -> list[Event]:
        try:
            return self._listener.hear(topic, body, now)
        except Exception as error:  # noqa: BLE001  (whatever a message holds, the next one is heard)
            return [Unreadable(topic[:200].decode("utf-8", "replace"), f"{type(error).__name__}: {error}")]

    def _the_rule(self) -> PassRule:
        if self._rule is None:
            raise UserError("a subscriber that decides needs to know the camera", fix='Subscriber(endpoint, "cam1")')
        return self._rule

    def _open(self, keys: ClientKeys | None) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.SUB)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, 0)  # read all the time; a full queue and a heartbeat due are an abort in libzmq 4.3.5
        socket.set(zmq.MAXMSGSIZE, _MAX_BYTES)
        socket.set(zmq.IPV6, int("[" in self._endpoint))
        socket.set(zmq.RECONNECT_IVL, 100)
        socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        # a publisher whose cable was cut is dropped, and connected again, after 3 s
        socket.set(zmq.HEARTBEAT_IVL, 1000)
        socket.set(zmq.HEARTBEAT_TIMEOUT, 3000)
        if keys is not None:
            socket.set(zmq.CURVE_PUBLICKEY, keys.public)
            socket.set(zmq.CURVE_SECRETKEY, keys.secret)
            socket.set(zmq.CURVE_SERVERKEY, keys.server)
        for kind in _KINDS:
            socket.subscribe(kind)
        self._monitor = socket.get_monitor_socket(_HANDSHAKE_FAILED)
        try:
            socket.connect(self._endpoint)
        except zmq.ZMQError as error:
            self._context.destroy(0)
            raise _no_endpoint(self._endpoint, str(error).partition(" (addr=")[0]) from None
        return socket

    def _read(self) -> None:
        """Run the reading thread."""
        try:
            self._read_on()
        except Exception as error:  # noqa: BLE001  (whoever asks gets it, and nothing counts any more)
            with self._news:
                self._ended = f"the thread that reads has ended: {type(error).__name__}: {error}"
                self._refused = self._ended
                self._news.notify_all()

    def _read_on(self) -> None:
        """Read on; a message's age counts from the last moment without one, because this process may have been stopped."""
        empty_at = time.monotonic()
        retry_at = float("inf")
        look_at = empty_at + _LOOK_AT_PATH_S
        while not self._closing.is_set():
            if not self._socket.poll(0):
                empty_at = time.monotonic()
                if self._monitor.poll(0):
                    retry_at = min(retry_at, empty_at + _RETRY_S)
                    self._note_refusal()
                if empty_at >= retry_at:
                    retry_at = float("inf")
                    self._connect_again()
                if empty_at >= look_at:
                    look_at = empty_at + _RETRY_S
                    self._look_at_path()
                if not self._socket.poll(_LOOK_MS):
                    continue
            frames = self._socket.recv_multipart()
            now = time.monotonic()
            look_at = now + self.stale_s
            if len(frames) == 2:
                self._take(frames[0], frames[1], empty_at, now)

    def _take(self, topic: bytes, body: bytes, came: float, now: float) -> None:
        with self._news:
            self._refusal = None
            if len(self._backlog) < _BACKLOG and self._backlog_bytes < _BACKLOG_BYTES:
                self._backlog.append((topic, body, now))
                self._backlog_bytes += len(body)
            if self._rule is not None:
                try:
                    self._rule.hear(topic, body, came, now)
                except Exception as error:  # noqa: BLE001  (whatever a message holds, the next one is heard)
                    self._rule.doubt(f"{type(error).__name__}: {error}")
            self._news.notify_all()

    def _note_refusal(self) -> None:
        event = recv_monitor_message(self._monitor)["event"]
        known = "the daemon doesn't know this key; `edge keys allow` puts it on the list"
        other = "no handshake: one side has keys and the other none, or the server key is another daemon's"
        self._refuse(known if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH else other)

    def _look_at_path(self) -> None:
        """Say why libzmq can't connect to an ipc path, which it tries again and again without a word."""
        path = self._endpoint.removeprefix("ipc://")
        if path == self._endpoint:
            return
        number = _why_not(path)
        if number == errno.EACCES:
            self._refuse(f"{path}: this user may not connect: permission denied; join the group that the socket belongs to")
        elif number is not None and time.monotonic() - self._began > self.stale_s:
            self._refuse(f"{path}: {os.strerror(number)}: no daemon publishes there")

    def _refuse(self, text: str) -> None:
        if text == self._refusal:
            return
        with self._news:
            self._refusal = self._refused = text
            self._news.notify_all()

    def _connect_again(self) -> None:
        """Connect again after a refusal: libzmq gives up for good, but keys may be allowed later."""
        with suppress(zmq.ZMQError):  # it is gone already
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)


def check_endpoint(endpoint: str) -> None:
    """Raise UserError unless ``endpoint`` is ``tcp://HOST:PORT`` or ``ipc://PATH``."""
    scheme, separator, rest = endpoint.partition("://")
    if not separator or scheme not in ("tcp", "ipc") or not rest:
        raise _no_endpoint(endpoint, None)
    if scheme == "tcp":
        host, _, port = rest.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and 0 < int(port) <= 65535):
            raise _no_endpoint(endpoint, f"port {port!r}" if host else "no port")


def _why_not(path: str) -> int | None:
    """Return the errno of connecting to a socket ``path``, as far as its place and mode show it; None if they show
    nothing.
    """
    try:
        os.stat(path)
    except OSError as error:
        return error.errno
    # connect(2) wants the right to write
    return None if os.access(path, os.W_OK, effective_ids=True) else errno.EACCES


def _no_endpoint(endpoint: str, received: str | None) -> UserError:
    return UserError(
        f"{endpoint!r} is no endpoint to connect to",
        received=received,
        expected="tcp://HOST:PORT or ipc://PATH",
        fix="take the one that stands in endpoints.json in the daemon's runtime folder",
    )
