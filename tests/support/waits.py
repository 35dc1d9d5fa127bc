"""Waiting for what another thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 90.0
"""How long a test waits for what must happen before it gives up: long enough for a machine with ten times its work."""


def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait for what another thread brings about."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.002)
