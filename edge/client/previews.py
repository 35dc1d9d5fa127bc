"""Listen to a daemon's previews: small JPEG pictures, each with the record of the same frame.

    with PreviewSubscriber("ipc:///run/edge/cam1/preview", "cam1") as previews:
        preview = previews.receive(1.0)

A daemon encodes previews only while someone subscribes: a program that stops looking closes its subscriber.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import zmq

from edge.client.subscriber import check_endpoint
from edge.wire.keys import ClientKeys
from edge.wire.read import WireError, read
from edge.wire.schema import VERSION

_FRAME: Final = re.compile(rb"\xff\xd8\xff\xfe..frame=(\d{1,6})x(\d{1,6})", re.DOTALL)
_WAITING: Final = 8
"""Pictures that wait here at most: whoever reads late wants the newest."""
_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview is a picture and its own record; the record's boxes are in pixels of the whole frame.

    ``raw`` is the record's JSON as it came, ``jpeg`` the picture, at most 960 px long.
    """

    record: dict[str, Any]
    raw: bytes
    jpeg: bytes

    @property
    def frame_size(self) -> tuple[int, int] | None:
        """Width and height of the frame in px, from the picture's comment; None from a daemon that writes none."""
        match = _FRAME.match(self.jpeg)
        return None if match is None else (int(match[1]), int(match[2]))


class PreviewSubscriber:
    """A preview subscriber is one connection, used by one thread. It connects again by itself."""

    def __init__(self, endpoint: str, camera: str, *, keys: ClientKeys | None = None) -> None:
        """Connect to ``endpoint``, ``outputs.zmq.preview`` of the line. ``keys`` are for a daemon with CURVE.

        Raises:
            UserError: ``endpoint`` is none.
        """
        check_endpoint(endpoint)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = socket = self._context.socket(zmq.SUB)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVHWM, _WAITING)
        socket.set(zmq.MAXMSGSIZE, _MAX_BYTES)
        socket.set(zmq.IPV6, int("[" in endpoint))
        socket.set(zmq.RECONNECT_IVL, 100)
        socket.set(zmq.RECONNECT_IVL_MAX, 1000)
        if keys is not None:
            socket.set(zmq.CURVE_PUBLICKEY, keys.public)
            socket.set(zmq.CURVE_SECRETKEY, keys.secret)
            socket.set(zmq.CURVE_SERVERKEY, keys.server)
        socket.subscribe(f"preview/{VERSION}/{camera}/".encode())
        socket.connect(endpoint)

    def receive(self, timeout_s: float) -> Preview | None:
        """Return the next preview; None if there was none within ``timeout_s``, or it was none of this schema."""
        if not self._socket.poll(int(timeout_s * 1000)):
            return None
        frames = self._socket.recv_multipart()
        if len(frames) != 3:
            return None
        try:
            return Preview(read(frames[1]), frames[1], frames[2])
        except WireError:
            return None

    def close(self) -> None:
        """Disconnect. May be called twice."""
        self._context.destroy(0)

    def __enter__(self) -> PreviewSubscriber:  # noqa: PYI034  (typing.Self came with Python 3.11)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
