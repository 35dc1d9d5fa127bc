"""The nouns of spread work: a shard of frames, a task that works on one, what came of it, how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

SHARD_FRAMES = 256
"""Frames of a shard. The number doesn't depend on the workers, so neither does the result."""

At: TypeAlias = Callable[[int, str], None]
"""``at(index, name)``: the task is about to read or to work on this frame. Called for every frame."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Frames ``start`` to ``stop`` (exclusive) of the whole. ``skip``: frames that are left out, for they kill workers."""

    index: int
    start: int
    stop: int
    skip: tuple[int, ...] = ()


class Task(Protocol):
    """What is done with each shard. It is pickled to each worker once, so it holds paths and settings, not frames."""

    def __call__(self, shard: Shard, at: At) -> bytes:
        """The shard's result, which depends on the shard alone.

        Raises:
            UserError: passed on to whoever spread the work; nothing else is done.
        """


@dataclass(frozen=True, slots=True)
class LostFrame:
    """A frame that killed its worker twice, and how: ``signal 11``, or ``exit code 1``."""

    index: int
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class Spread:
    """``results`` in the order of the shards, and the frames that are missing from them."""

    results: tuple[bytes, ...]
    lost: tuple[LostFrame, ...]
    retries: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is. ``eta_s`` is None until something can be said."""

    frames: int
    total: int
    workers: int
    retries: int
    frames_per_s: float
    eta_s: float | None


def shards_of(total: int, size: int = SHARD_FRAMES) -> list[Shard]:
    """All shards of so many frames; the last one may be shorter."""
    return [Shard(i, start, min(start + size, total)) for i, start in enumerate(range(0, total, size))]
