"""Memory that was freed goes back to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def give_back_memory() -> None:
    """Let the C library give back what is free: glibc keeps it, and two models side by side leave 20 MB that only another
    reload would use. Takes some milliseconds, without the interpreter. Does nothing if the library can't.
    """
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
