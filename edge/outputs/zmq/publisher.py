"""Records, state and heartbeat go out over ZeroMQ by one XPUB socket, made, used and closed in the output's thread.

Loss toward a slow subscriber is the subscriber's alone and shows there as a gap in ``seq``: each has a queue of 50
messages, and XPUB_NODROP stays off, which would let one stalled subscriber starve the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import zmq

from edge.config.outputs import ZmqConfig
from edge.frames import Heartbeat, Record, RunIdentity, State
from edge.outputs.protocol import Run
from edge.outputs.sink import Sink
from edge.outputs.zmq.door import Door, keys_of
from edge.wire.encode import Wire, topic
from edge.wire.keys import DoorKeys

SEND_HWM = 50


class ZmqSink(Sink):
    """The sink publishes ``[topic, JSON]``. The last state is sent again whenever someone subscribes to it."""

    name = "zmq"
    idle_s = 0.05  # how late a new subscriber gets the state, at most

    subscribers = 0
    """Return the number of live subscriptions to the records."""

    def __init__(
        self,
        config: ZmqConfig,
        identity: RunIdentity,
        folder: Path,
        keys: DoorKeys | None = None,
        key: str = "outputs.zmq.bind",
    ) -> None:
        """Take ``folder``, the runtime folder, where the ipc socket lies unless the config says otherwise.

        ``keys`` are the files of ``config.curve`` with resolved paths. ``key`` names the endpoint in errors.
        """
        self._wire = Wire(identity)
        self._records = topic("inspection", identity.camera)
        self._states = topic("state", identity.camera)
        self._heartbeats = topic("heartbeat", identity.camera)
        self._last_state: bytes | None = None
        self._door = Door(config.bind or f"ipc://{folder / 'pub'}", SEND_HWM, key, keys)
        self.endpoint: str | None = None
        """Where the socket is bound, once it is; for port 0 with the port that was chosen."""

    @classmethod
    def of(cls, config: ZmqConfig, run: Run) -> ZmqSink:
        """Make the publisher of a live line."""
        return cls(config, run.identity, run.folder, keys_of(config))

    @property
    def detail(self) -> Mapping[str, object]:
        return {"endpoint": self.endpoint}

    def open(self) -> None:
        self._door.open()
        self.endpoint = self._door.endpoint

    def write(self, record: Record, _kept: object) -> None:
        self._send(self._records, record.line)

    def state(self, state: State) -> None:
        self._last_state = self._wire.state(state, time.time_ns())
        if self._door.is_open:
            self._send(self._states, self._last_state)

    def tick(self, heartbeat: Heartbeat) -> None:
        if self._door.is_open:
            self._send(self._heartbeats, self._wire.heartbeat(heartbeat, time.time_ns(), time.monotonic_ns()))

    def idle(self) -> None:
        """Look at who came and went, and who may no longer listen."""
        if self._door.refresh():
            self.subscribers = 0
        wanted = False
        for came, prefix in self._door.changes():
            if self._records.startswith(prefix):
                self.subscribers += 1 if came else -1
            wanted = wanted or (came and self._states.startswith(prefix))
        if wanted and self._last_state is not None:
            self._send(self._states, self._last_state)

    def recover(self) -> None:
        """Begin anew in the same place."""
        self.subscribers = 0
        self._door.shut()
        self.open()

    def close(self) -> None:
        self.subscribers = 0
        self._door.close()

    def _send(self, about: bytes, body: bytes) -> None:
        # send_multipart checks every part in Python first: 10 µs a message
        self._door.socket.send(about, zmq.SNDMORE | zmq.NOBLOCK)
        self._door.socket.send(body, zmq.NOBLOCK)
