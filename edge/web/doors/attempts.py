"""Log-ins that failed are counted, per name and per peer: the sixth within a minute has to wait."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

MOST: Final = 5
WINDOW_S: Final = 60.0
_MOST_KEYS = 10_000


class Attempts:
    """Attempts are remembered for a minute; ``clock`` gives monotonic s."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def wait_s(self, *keys: str) -> float:
        """Return how long these keys must wait before the next try, in s; 0.0: not at all."""
        now = self._clock()
        waits = [0.0]
        for key in keys:
            failed = self._failed.get(key, deque())
            while failed and now - failed[0] > WINDOW_S:
                failed.popleft()
            if len(failed) >= MOST:
                waits.append(WINDOW_S - (now - failed[0]))
        return max(waits)

    def failed(self, *keys: str) -> None:
        if len(self._failed) > _MOST_KEYS:
            self._failed.clear()
        for key in keys:
            self._failed.setdefault(key, deque(maxlen=MOST)).append(self._clock())
