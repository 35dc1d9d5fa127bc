"""sd_notify(3) sends one datagram to the service manager: ten lines, where the packages add nothing."""

from __future__ import annotations

import os
import socket
import time
from typing import Final

SEND_S: Final = 0.2
START_EVERY_S: Final = 5.0
"""Time in s between two requests for more time to start."""
START_EXTEND_S: Final = 30.0
"""Time in s that each of them adds to the start timeout."""


def notify(message: str) -> None:
    """Send ``READY=1``, ``STATUS=...``, ``WATCHDOG=1`` ...; nothing happens where no service manager listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):  # abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(SEND_S)  # its queue may be full: a supervisor that waits here feeds nothing at all
        try:
            sock.sendto(message.encode(), address)
        except OSError:  # the manager's socket is gone: nobody to tell
            return


class StartProgress:
    """Asks systemd for more time to start while a build goes on, at most every 5 s, and says how far it is.

    The 30 s count from now, not from the last message: sd_notify(3).
    """

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, _share: float, text: str) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + START_EVERY_S
            notify(f"EXTEND_TIMEOUT_USEC={int(START_EXTEND_S * 1e6)}\nSTATUS={text}")


def watchdog_interval_s() -> float | None:
    """Return ``WATCHDOG_USEC`` in seconds, if it is meant for this process; None if no watchdog is asked for."""
    usec = os.environ.get("WATCHDOG_USEC")
    pid = os.environ.get("WATCHDOG_PID")
    if not usec or not usec.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / 1e6
