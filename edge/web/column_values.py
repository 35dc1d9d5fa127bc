"""Values of a line that anybody may have written become values that a column of SQLite can hold, or None."""

from __future__ import annotations

from typing import Final

MOST_NUMBER: Final = (1 << 63) - 1


def whole(value: object) -> int | None:
    """Return an integer of at most 63 bits; None for all else, booleans and numbers with a fraction among it."""
    return value if type(value) is int and -MOST_NUMBER <= value <= MOST_NUMBER else None


def real(value: object) -> float | None:
    """Return a number as a float; None for all else."""
    return value if type(value) is float else float(value) if type(value) is int else None


def text(value: object) -> str | None:
    """Return a string; None for all else."""
    return value if isinstance(value, str) else None
