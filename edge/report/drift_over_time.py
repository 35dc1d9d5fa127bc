"""A log's lines of drift become spans: from when to when which cause was in force, how large, and what it locked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

_TEXTS: Final = ("level", "cause", "group", "unit", "words")


@dataclass(slots=True)
class Span:
    """A span of one cause at one level. ``until_ns`` is None while it lasts. ``words`` are those of its beginning."""

    since_ns: int
    until_ns: int | None
    level: str
    cause: str
    group: str
    words: str
    locks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        names = ("since_ns", "until_ns", "level", "cause", "group", "words")
        return {name: getattr(self, name) for name in names} | {"locks": list(self.locks)}


@dataclass(slots=True)
class DriftOverTime:
    """The spans of a log are gathered line by line. A run that ends ends its span: the next one begins without."""

    spans: list[Span] = field(default_factory=list)
    _open: Span | None = None
    _run: str | None = None
    _last_ns: int = 0

    def record(self, run: str, made_ns: int) -> None:
        """Hear of a record, of which nothing counts but its run and its moment."""
        if run != self._run:
            self._close(self._last_ns)
            self._run = run
        self._last_ns = made_ns

    def add(self, line: Mapping[str, Any]) -> None:
        """Take a line of drift, which ``is_drift`` has found sound."""
        self.record(line["instance_id"], line["created_ns"])
        drift = line["drift"]
        known = self._open
        if drift is None:
            self._close(line["created_ns"])
            return
        locks = tuple(drift["locks"])
        if known is not None and (known.level, known.cause, known.locks) == (drift["level"], drift["cause"], locks):
            return
        self._close(line["created_ns"])
        self._open = Span(
            since_ns=line["created_ns"],
            until_ns=None,
            level=drift["level"],
            cause=drift["cause"],
            group=drift["group"],
            words=drift["words"],
            locks=locks,
        )
        self.spans.append(self._open)

    def within(self, first_ns: int | None, last_ns: int | None) -> list[Span]:
        """Return the spans that reach into a time; None: without a bound."""
        return [
            span
            for span in self.spans
            if (last_ns is None or span.since_ns <= last_ns)
            and (first_ns is None or span.until_ns is None or span.until_ns >= first_ns)
        ]

    def _close(self, until_ns: int) -> None:
        if self._open is not None:
            self._open.until_ns = until_ns
            self._open = None


def is_drift(drift: object) -> bool:
    """Return True if what is shown of a drift is what the schema says: a file may hold anything."""
    return (
        isinstance(drift, dict)
        and all(isinstance(drift.get(name), str) for name in _TEXTS)
        and isinstance(drift.get("locks"), list)
        and all(isinstance(lock, str) for lock in drift["locks"])
    )


def newest(spans: Sequence[Span], most: int) -> list[Span]:
    """Return the last spans that are more than a block beyond the limit; if there are none, the last of those."""
    real = [span for span in spans if span.level != "info"]
    return (real or list(spans))[-most:]
