"""Time as the sources that set their own pace see it; tests give one that they turn by hand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """``now``: monotonic seconds. ``sleep``: waits for seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def wait_until(self, due_s: float, timeout_s: float) -> bool:
        """Whether ``due_s`` has come; waits for it, but at most for ``timeout_s``."""
        wait_s = due_s - self.now()
        if wait_s <= 0:
            return True
        if wait_s > timeout_s:
            self.sleep(timeout_s)
            return False
        self.sleep(wait_s)
        return True


SYSTEM_CLOCK = Clock()
