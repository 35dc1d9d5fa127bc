"""Moments are read and written for people here: their own clock on terminals, UTC in what programs read."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Final

from edge.errors import UserError

_MOST_NS: Final = (1 << 63) - 1
_OF_TODAY: Final = re.compile(r"\d{1,2}:\d\d(:\d\d)?")


def utc(ns: int) -> str:
    """Write a moment as ``2026-11-21T18:20:07Z``."""
    return datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def clock_time(ns: int, *, in_utc: bool) -> str:
    """Write a moment for people as ``2026-11-21 18:20:07``, in UTC or in this machine's time zone."""
    when = datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc)
    return (when if in_utc else when.astimezone()).strftime("%Y-%m-%d %H:%M:%S")


def zone_text(ns: int, *, in_utc: bool) -> str:
    """Name the zone that ``clock_time`` writes in at that moment: ``UTC``, or ``local time, UTC+09:00``."""
    if in_utc:
        return "UTC"
    offset = datetime.fromtimestamp(ns // 1_000_000_000, timezone.utc).astimezone().strftime("%z")
    return f"local time, UTC{offset[:3]}:{offset[3:5]}"


def moment_ns(text: str, option: str, now_ns: Callable[[], int], *, in_utc: bool = False) -> int:
    """Read ``2026-11-21``, ``2026-11-21T18:20``, ``18:20`` of today, or how long ago: ``90m``, ``12h``, ``7d``.

    What doesn't name its zone is this machine's time, or UTC with ``in_utc``.

    Raises:
        UserError: neither.
    """
    unit_s = {"m": 60, "h": 3600, "d": 86400}.get(text[-1:])
    if unit_s is not None and text[:-1].isdecimal() and len(text) < 10:
        return _representable_ns(now_ns() - int(text[:-1]) * unit_s * 1_000_000_000, option, text)
    expected = "2026-11-21, 2026-11-21T18:20, 18:20 of today, or 90m, 12h, 7d ago"
    try:
        if _OF_TODAY.fullmatch(text):
            now = datetime.fromtimestamp(now_ns() / 1e9, timezone.utc)
            text = f"{now if in_utc else now.astimezone():%Y-%m-%d}T{text:0>5}"
        when = datetime.fromisoformat(text.replace("Z", "+00:00"))
        when = when if when.tzinfo else when.replace(tzinfo=timezone.utc) if in_utc else when.astimezone()
    except (ValueError, OverflowError):  # the second for a year that this machine's zone has no rules for
        raise UserError(option, received=text, expected=expected) from None
    return _representable_ns(round(when.timestamp()) * 1_000_000_000, option, text)


def _representable_ns(ns: int, option: str, text: str) -> int:
    """Return ``ns``. Raises UserError for a moment that 64 bits of ns don't reach."""
    if not -_MOST_NS <= ns <= _MOST_NS:
        raise UserError(option, received=text, expected="a moment between the years 1678 and 2262")
    return ns
