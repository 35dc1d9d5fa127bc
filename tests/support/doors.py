"""Keys and floods for the ZeroMQ door."""

from __future__ import annotations

from pathlib import Path

from edge.storage.key_list import allow, new_pair
from edge.wire.keys import ClientKeys, DoorKeys, client_keys

FLOOD = """
import sys, zmq
socket = zmq.Context().socket(zmq.XSUB)
socket.connect(sys.argv[1])
number = 0
while True:
    socket.send(b"\\1flood/%0100d" % number)
    number += 1
"""


class Keys:
    """A daemon's keys and those of some clients; ``plc`` and ``hmi`` are on the list."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clients = folder, folder / "clients"
        for name in ("server", "plc", "hmi", "stranger"):
            new_pair(folder, name)
        self.allow("plc")
        self.allow("hmi")
        self.door = DoorKeys(folder / "server.key_secret", self.clients)

    def allow(self, name: str) -> None:
        allow(self.clients, self.folder / f"{name}.key")

    def of(self, name: str, server: str = "server") -> ClientKeys:
        return client_keys(self.folder / f"{name}.key_secret", self.folder / f"{server}.key")
