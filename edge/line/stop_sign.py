"""A stop sign asks a line to stop: an event, or a flag that a signal handler may set."""

from __future__ import annotations

import time
from typing import Protocol


class StopSign(Protocol):
    """Whatever asks a line to stop answers these two calls; ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Return True if the line should stop."""

    def wait(self, timeout: float) -> bool:
        """Return the same, after ``timeout`` s at the latest."""


class StopFlag:
    """A stop flag can be set in a signal handler.

    ``Event.set`` takes a lock that isn't reentrant: a handler that runs while the same thread is inside ``Event.wait`` can
    wait for itself for ever. A flag sets an attribute.
    """

    _LOOK_S = 0.05

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Ask to stop."""
        self._set = True

    def is_set(self) -> bool:
        """Return True if the line should stop."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """Return the same, after ``timeout`` s at the latest and 0.05 s after the flag was set."""
        end = time.monotonic() + timeout
        while not self._set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self._LOOK_S))
        return self._set
