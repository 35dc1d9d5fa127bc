"""What is taken out of somebody else's queue is never younger than the last moment at which it was empty."""

from __future__ import annotations

import pytest

from edge.sources import arrival
from edge.sources.arrival import ForeignQueue


def at(monkeypatch: pytest.MonkeyPatch, utc: int, mono: int, boot: int) -> None:
    monkeypatch.setattr(arrival, "_now", lambda: (utc, mono, boot))


def test_frames_came_no_earlier_than_the_queue_was_seen_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, 1000, 10, 50)
    queue = ForeignQueue()
    looking = queue.looking()
    at(monkeypatch, 1900, 910, 950)
    assert queue.earliest() == (1000, 10)
    queue.seen_empty(looking)
    assert queue.earliest() == (1000, 10)
    queue.seen_empty(queue.looking())
    assert queue.earliest() == (1900, 910)


def test_a_suspended_machine_ages_what_waited_though_the_monotonic_clock_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at(monkeypatch, 1000, 10, 50)
    queue = ForeignQueue()
    at(monkeypatch, 1000 + 60_000_000_000, 10 + 5_000_000, 50 + 60_000_000_000)
    _, mono = queue.earliest()
    assert (10 + 5_000_000) - mono == 60_000_000_000
