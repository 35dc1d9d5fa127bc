"""Records pass through one output to the one behind it: in order, each once, past the first one while it stalls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from edge.frames import Record
from edge.wire.encode import overruled

MOST_OWED: Final = 1000
"""Number of overruled records that may wait until the first output works again: a megabyte or two."""


class Onward:
    """The judge calls ``add`` before the first output has a record; ``done`` follows when that output has written it, or
    failed to.

    ``overtake`` hands on everything at once, while the first output is inside a call that doesn't return: those are records
    that it didn't write. Whoever calls ``done`` or ``overtake`` makes sure that nobody calls the other meanwhile. Whoever
    calls ``done`` also calls ``free``, which hands on what the first output refused and nothing before it holds back. With
    ``required``, what wasn't written is handed on as ``invalid: log_lost``, and counted in ``overruled`` by its verdict.
    ``owed`` holds these by seq until they are ``settled``: the first output may hold nothing of them, or the verdict that
    nobody heard.
    """

    def __init__(self, to: Callable[[Record], None], *, required: bool) -> None:
        self._to = to
        self._required = required
        self._waiting: deque[tuple[Record, bool]] = deque()  # and whether the first output refused it
        self.overruled = {"pass": 0, "fail": 0}
        self.owed: dict[int, Record] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, record: Record, *, refused: bool = False) -> None:
        self._waiting.append((record, refused))

    def as_handed_on(self, record: Record) -> Record:
        """Return what the first output must write: if a record was handed on already, the version that was handed on."""
        handed_on = not self._waiting or self._waiting[0][0].seq > record.seq
        return overruled(record, "log_lost") if handed_on and self._required else record

    def done(self, record: Record, *, written: bool) -> None:
        """Hand on this record, unless that has happened, and those before it that the first output never got."""
        while self._waiting and self._waiting[0][0].seq <= record.seq:
            one, _ = self._waiting.popleft()
            self._hand_on(one, written=written and one.seq == record.seq)

    def settled(self, written: Record) -> None:
        """Note what the first output has written; the record as it was handed on is no longer owed."""
        owed = self.owed.get(written.seq)
        if owed is not None and owed.verdict == written.verdict:
            del self.owed[written.seq]

    def free(self) -> None:
        while self._waiting and self._waiting[0][1]:
            self._hand_on(self._waiting.popleft()[0], written=False)

    def overtake(self) -> None:
        while self._waiting:
            self._hand_on(self._waiting.popleft()[0], written=False)

    def _hand_on(self, record: Record, *, written: bool) -> None:
        if self._required and not written:
            overruled_record = overruled(record, "log_lost")
            if overruled_record is not record:
                self.overruled[record.verdict] += 1
                if len(self.owed) < MOST_OWED:
                    self.owed[overruled_record.seq] = overruled_record
            record = overruled_record
        self._to(record)
