"""Sources that set their own pace read time from a clock; tests give one that they turn by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock has ``now``, monotonic seconds, and ``sleep``, which waits for seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_until(self, due_s: float, timeout_s: float) -> bool:
        """Wait until ``due_s``, but at most for ``timeout_s``; return True if it has come."""
        wait_s = due_s - self.now()
        if wait_s <= 0:
            return True
        if wait_s > timeout_s:
            self.sleep(timeout_s)
            return False
        self.sleep(wait_s)
        return True


SYSTEM_CLOCK = Clock()
