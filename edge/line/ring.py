"""The frame ring has preallocated slots between camera and model, and is the only place where pixels are dropped.

Losses travel through it as ``Skip`` markers, in their place in the order. Live, the oldest *waiting* frame is dropped for a
new one and its marker takes its place; neighbours that one marker can stand for (``Skip.followed_by``) merge while they
wait. In replay nothing is dropped and nothing merges, so that a recording's markers come out as they were recorded.

The memory of all slots is allocated and touched when the first frame comes, and again when a larger one does, so that the
first backlog takes none: a line that runs for hours would seem to leak, by as many slots as were ever full at once.
"""

from __future__ import annotations

import mmap
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.frames import FrameMeta, Skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint is a mark in the order: the source had announced so many frames, and they all lie before it."""

    announced: int


class Slot:
    """A slot holds one frame: ``view`` is 1-D uint8 of exactly the frame's bytes, ``meta`` its identity."""

    __slots__ = ("_buffer", "meta", "view")

    def __init__(self) -> None:
        self._buffer: NDArray[np.uint8] = np.empty(0, np.uint8)
        self.view = self._buffer
        self.meta: FrameMeta | None = None

    def reserve(self, nbytes: int) -> None:
        """Make room for frames of up to so many bytes. Allocates only if that is more than ever before in this slot."""
        if self._buffer.nbytes < nbytes:
            self.view = self._buffer = np.empty(0, np.uint8)  # the old goes first: both need not fit
            self.view = self._buffer = np.empty(nbytes, np.uint8)
            self._buffer[:: mmap.PAGESIZE] = 0  # so that the system gives it now, and not in the first backlog

    def fit(self, nbytes: int, meta: FrameMeta) -> None:
        """Point ``view`` at the frame's bytes."""
        self.reserve(nbytes)
        self.view = self._buffer[:nbytes]
        self.meta = meta


class Ring:
    """The ring has one producer (acquire, commit, skip, close) and one consumer (take); any thread may release a slot.

    ``drops``: True live, where a full ring drops its oldest waiting frame; False in replay, where the producer waits.
    """

    def __init__(self, slots: int, *, drops: bool) -> None:
        self.slots = slots
        self.drops = drops
        self.committed = 0
        self.dropped = 0
        self.copied_bytes = 0
        self._free = [Slot() for _ in range(slots)]
        self._largest = 0
        self._waiting: deque[Slot | Skip | Checkpoint] = deque()
        self._closed = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._freed = threading.Condition(self._lock)

    def acquire(self, nbytes: int, meta: FrameMeta, go_on: Callable[[], bool]) -> Slot | None:
        """Return a slot to fill with ``nbytes`` and to ``commit``.

        It returns None if the frame could not be kept; its loss is then already in the order. In replay this waits for a
        slot and asks ``go_on`` every 0.2 s; when that says no, the frame becomes a ``shutdown`` skip. So does a frame that
        comes when the ring is closed or abandoned, here or in ``commit``.

        Raises:
            MemoryError: there is no memory for a frame of this size; its loss, ``ring_full``, is in the order.
        """
        if nbytes > self._largest:
            self._make_room(nbytes, meta)
        with self._lock:
            while self._shut or (not self._free and not self.drops):
                if self._shut or not go_on():
                    self._append(Skip.of(meta, "shutdown"))
                    return None
                self._freed.wait(0.2)
            slot = self._free.pop() if self._free else self._drop_oldest()
            if slot is None:  # every slot is in work: cannot happen with 4 slots and three stages
                self._lose(meta)
                return None
        try:
            slot.reserve(self._largest)
            slot.fit(nbytes, meta)
        except MemoryError:  # of a slot that was in work when a larger frame came
            with self._lock:
                self._free.append(slot)
                self._lose(meta)
            raise
        return slot

    def commit(self, slot: Slot) -> None:
        """Pass on a filled slot, which now waits for the consumer."""
        with self._lock:
            if self._shut:
                assert slot.meta is not None
                self._free.append(slot)
                self._append(Skip.of(slot.meta, "shutdown"))
                return
            self.committed += 1
            self.copied_bytes += slot.view.nbytes
            self._waiting.append(slot)
            self._filled.notify()

    def skip(self, skip: Skip) -> None:
        """Put a loss at its place in the order, behind all that was committed before."""
        with self._lock:
            self._append(skip)

    def mark(self, announced: int) -> None:
        """Put a checkpoint behind all that was committed or skipped before; of two neighbours the later one counts."""
        with self._lock:
            if self._waiting and isinstance(self._waiting[-1], Checkpoint):
                self._waiting.pop()
            self._waiting.append(Checkpoint(announced))
            self._filled.notify()

    def wait(self, timeout_s: float) -> None:
        """Wait until there is something to take, or no more will come; at most ``timeout_s``."""
        with self._lock:
            if not self._waiting and not self._closed:
                self._filled.wait(timeout_s)

    def take(self, timeout_s: float) -> Slot | Skip | Checkpoint | None:
        """Return the next item in order, or None after ``timeout_s``. Raises EOFError when the ring is closed and empty."""
        if timeout_s > 0:
            self.wait(timeout_s)
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            if self._closed:
                raise EOFError
            return None

    def release(self, slot: Slot) -> None:
        """Give a slot back when the consumer and everyone after it are done with its pixels."""
        with self._lock:
            self._free.append(slot)
            self._freed.notify()

    def close(self) -> None:
        """Close the ring: no more frames will come, and what waits can still be taken."""
        with self._lock:
            self._closed = True
            self._filled.notify_all()
            self._freed.notify_all()

    def abandon(self) -> None:
        """Turn every frame that still waits or comes later into a ``shutdown`` skip: there is no time to inspect it."""
        with self._lock:
            self._abandoned = True
            self._freed.notify_all()
            waiting = list(self._waiting)
            self._waiting.clear()
            for entry in waiting:
                if isinstance(entry, Slot):
                    assert entry.meta is not None
                    self._free.append(entry)
                    self._append(Skip.of(entry.meta, "shutdown"))
                elif isinstance(entry, Skip):
                    self._append(entry)
                else:
                    self._waiting.append(entry)

    @property
    def _shut(self) -> bool:
        return self._closed or self._abandoned

    @property
    def fill(self) -> int:
        """Return the number of slots that are not free: waiting, being filled or in work."""
        return self.slots - len(self._free)

    def _make_room(self, nbytes: int, meta: FrameMeta) -> None:
        """Reserve memory in every free slot for frames of this size; slots in work get theirs when they are used again."""
        with self._lock:
            try:
                for slot in self._free:
                    slot.reserve(nbytes)
            except MemoryError:
                self._lose(meta)
                raise
            self._largest = nbytes

    def _lose(self, meta: FrameMeta) -> None:
        self.dropped += 1
        self._append(Skip.of(meta, "ring_full"))

    def _append(self, skip: Skip) -> None:
        last = self._waiting[-1] if self._waiting else None
        merged = last.followed_by(skip) if self.drops and isinstance(last, Skip) else None
        if merged is not None:
            self._waiting[-1] = merged
        else:
            self._waiting.append(skip)
        self._filled.notify()

    def _drop_oldest(self) -> Slot | None:
        index = next((i for i, entry in enumerate(self._waiting) if isinstance(entry, Slot)), None)
        if index is None:
            return None
        entry = self._waiting[index]
        assert isinstance(entry, Slot)
        assert entry.meta is not None
        self.dropped += 1
        marker = Skip.of(entry.meta, "ring_full")
        before = self._waiting[index - 1] if index > 0 else None
        after = self._waiting[index + 1] if index + 1 < len(self._waiting) else None
        if isinstance(after, Skip) and (merged := marker.followed_by(after)) is not None:
            marker = merged
            del self._waiting[index + 1]
        if isinstance(before, Skip) and (merged := before.followed_by(marker)) is not None:
            marker = merged
            del self._waiting[index]
            index -= 1
        self._waiting[index] = marker
        return entry


def meta_of(slot: Slot) -> FrameMeta:
    """Return the identity of the frame that lies in a slot."""
    assert slot.meta is not None
    return slot.meta
