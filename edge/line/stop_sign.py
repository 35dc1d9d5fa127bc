"""What tells a line to stop: an event, or a flag that a signal handler may set."""

from __future__ import annotations

import time
from typing import Protocol


class StopSign(Protocol):
    """``threading.Event`` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""

    def wait(self, timeout: float) -> bool:
        """The same, after ``timeout`` s at the latest."""


class StopFlag:
    """For signal handlers. ``Event.set`` takes a lock that isn't reentrant: a handler that runs while the same thread is
    inside ``Event.wait`` can wait for itself for ever. This sets an attribute.
    """

    _LOOK_S = 0.05

    def __init__(self) -> None:
        self._set = False

    def set(self) -> None:
        """Ask to stop."""
        self._set = True

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._set

    def wait(self, timeout: float) -> bool:
        """The same, after ``timeout`` s at the latest and 0.05 s after it was set."""
        end = time.monotonic() + timeout
        while not self._set and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, self._LOOK_S))
        return self._set
