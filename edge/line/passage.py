"""Frames pass from the ring through the infer stage to the judge here, and others can see what is on its way."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from edge.frames import Skip
from edge.line.in_flight import Inferred
from edge.line.ring import Checkpoint, Ring, Slot, meta_of

WAIT_S = 0.1
"""Longest wait of an idle stage between two beats, in s."""


T = TypeVar("T")


class Handoff(Generic[T]):
    """A handoff has one giver and one taker. Two SimpleQueues take 25 µs less from put to get than ``queue.Queue(1)`` after
    idling.
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._room.put(None)

    def put(self, item: T, timeout_s: float) -> bool:
        """Give an item; return False if the last one was not taken within ``timeout_s``."""
        try:
            self._room.get(timeout=timeout_s)
        except queue.Empty:
            return False
        self._items.put(item)
        return True

    def get(self, timeout_s: float) -> T | None:
        """Return the next item, or None after ``timeout_s``."""
        try:
            item = self._items.get(timeout=timeout_s)
        except queue.Empty:
            return None
        self._room.put(None)
        return item


class End:
    """The end is the last item on the way to the judge."""


Maps = Handoff[Inferred | Skip | Checkpoint | End]


class Passage:
    """A passage leads from the ring through the infer stage to the judge; others can see what the stage took and still
    holds.

    ``take`` and ``hand_over`` belong to the infer stage, and each thing taken is handed over once, in the same order.
    ``give_up`` belongs to whoever finds that stage hung: others then record what it holds as lost, and nothing happens when
    its call returns.
    """

    def __init__(self, ring: Ring, maps: Maps) -> None:
        self._ring = ring
        self._maps = maps
        self._held: deque[Slot | Skip | Checkpoint] = deque()
        self._given_up = False
        self._lock = threading.Lock()

    def take(self, timeout_s: float) -> Slot | Skip | Checkpoint | End | None:
        """Return the next item in order, or None after ``timeout_s``; ``End`` when no more will come."""
        if timeout_s > 0:
            self._ring.wait(timeout_s)  # without the lock: whoever gives the stage up need not wait for a frame
        with self._lock:
            if self._given_up:
                return End()
            try:
                item = self._ring.take(0.0)
            except EOFError:
                return End()
            if item is not None:
                self._held.append(item)
            return item

    def hand_over(self, item: Inferred | Skip | Checkpoint | End, beat: Callable[[], bool]) -> None:
        """Hand over an item when the judge has taken the last one. Nothing happens once the stage was given up."""
        while True:
            with self._lock:
                if self._given_up:
                    return
                if self._maps.put(item, WAIT_S):
                    if not isinstance(item, End):
                        self._held.popleft()
                    return
            beat()  # a slow judge is the judge's matter: this stage is alive

    def unreadable(self, slot: Slot, skip: Skip) -> None:
        """Replace the held slot by ``skip``, which will be handed over in its place, and release the slot."""
        with self._lock:
            if not self._given_up:
                self._held[self._held.index(slot)] = skip
        self._ring.release(slot)

    @property
    def left(self) -> list[Slot | Skip | Checkpoint]:
        """Return what the stage holds: it begins with what it held when it raised."""
        return list(self._held)

    def give_up(self) -> list[Skip | Checkpoint]:
        """Give the stage nothing from now on, and let it hand nothing over. Return what it held, each frame as a
        ``shutdown`` skip.
        """
        self._given_up = True
        with self._lock:
            held, self._held = self._held, deque()
        return [Skip.of(meta_of(item), "shutdown") if isinstance(item, Slot) else item for item in held]


def tell_losses(passage: Passage, ring: Ring, maps: Maps, go_on: Callable[[], bool]) -> None:
    """Take the place of an infer_loop that failed or hangs: turn what it held and what still waits into ``shutdown`` skips.

    The ring must be closed. ``go_on`` is asked while the judge does not take; when it says no, there is nobody left to hand
    them to.
    """
    ring.abandon()
    leaving: list[Skip | Checkpoint | End] = [*passage.give_up()]
    while True:
        try:
            item = ring.take(0.0)
        except EOFError:
            break
        if isinstance(item, Slot):
            leaving.append(Skip.of(meta_of(item), "shutdown"))
            ring.release(item)
        elif item is not None:
            leaving.append(item)
    leaving.append(End())
    for one in leaving:
        while not maps.put(one, WAIT_S):
            if not go_on():
                return
