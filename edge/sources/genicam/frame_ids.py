"""Arithmetic on the camera's own frame ids shows what was lost between two, through wraps, restarts and nonsense."""

from __future__ import annotations

from dataclasses import dataclass

from edge.frames import FrameIdSource

_MOST_16_BIT = 65535
"""Highest id of GigE Vision 1.x: ids are 1 to 65535 and wrap to 1; 0 is never used."""
_LATE = 64
"""An id this little behind the newest one is a late or repeated frame, farther behind a new count."""
_LEAP = 1000
"""An id farther ahead of the newest one is believed when the next whole frame goes on from it; 10 s at 100 frames/s."""
_NO_IDS = (2**32 - 1, 2**64 - 1)
"""GenTL's invalid id, and what is left of it in 32 bits."""
_PATIENCE = 8
"""Number of whole frames in a row whose ids place none of them; with the last of these, frames are counted here."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """An arrival has one frame's unwrapped id, and how many ids lie between it and the frame before (0: none lost)."""

    frame_id: int
    missing: int


class FrameIds:
    """Frame ids are followed for one camera over stream starts; not thread-safe.

    Ids are published unwrapped, so they rise through a whole stream: after 65535 of a 16-bit camera comes 65536.
    A stream's first id is the first one seen: cameras begin at 0 (USB3 Vision), at 1, or anywhere, so frames lost
    before the first that arrived can't be known.

    ``source`` is ``counted`` while frames come without an id, or with one that never moves: they are numbered here.
    With the first whole frame whose id is another, a new count begins, the camera's.

    A camera that counts anew in mid-stream, or leaps far ahead, is believed when the next whole frame goes on from there: a
    stray id restarts nothing and loses nothing. Whole frames that no id could place until then are inside the gap before
    the one that is placed.
    """

    def __init__(self) -> None:
        self._closed = 0
        self._restart()

    def _restart(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._handed_on: int | None = None
        self._raw: int | None = None
        """Camera's own id of the newest frame that was placed."""
        self._wide = False
        self._behind: list[tuple[int, int]] = []
        """Ids behind the newest that rise among themselves, perhaps a new count: first and last of each such run."""
        self._ahead: int | None = None
        """Step of the frame before, if that was too far to be believed at once."""
        self._unplaced = 0
        self._doubts = 0
        """Number of buffers since the newest frame that was placed, and of whole ones among them."""
        self.source: FrameIdSource = "device"

    @property
    def announced(self) -> int:
        """Return last id - first id + 1, summed over streams, for everything that ``tell`` was called for."""
        if self._first is None or self._handed_on is None:
            return self._closed
        return self._closed + self._handed_on - self._first + 1

    def start(self) -> None:
        """Begin a stream: its ids have nothing to do with those before."""
        self._closed = self.announced
        self._restart()

    def arrived(self, raw: int | None, *, complete: bool = True) -> Arrival | None:
        """Place a frame by the id that its buffer carries; return None for a frame that is accounted for already, or will
        be.

        Args:
            raw: the buffer's id; None if it has none.
            complete: False for a buffer with bytes missing, whose id may be missing too (0, where the first packet was
                lost): it places the frame where that is close to the one before, and proves nothing else.
        """
        if raw in _NO_IDS:
            raw = None
        if not complete:
            return self._incomplete(raw or None)
        if self._first is None:
            return self._begin(raw)
        if self.source == "counted":
            if raw is None or raw == self._raw:
                return self._go_on(self._raw, 1)
            self.start()
            return self._begin(raw)
        step = 0 if raw is None else self._step(raw)
        believed = 0 < step <= _LEAP or (self._ahead is not None and 0 < step - self._ahead <= _LEAP)
        self._ahead = step if step > _LEAP else None
        return self._go_on(raw, step) if believed else self._doubted(raw)

    def tell(self, last_id: int) -> None:
        """Note that everything up to ``last_id`` has been handed on, as a frame or inside a skip."""
        self._handed_on = last_id

    def _begin(self, raw: int | None) -> Arrival:
        self.source = "counted" if raw is None else "device"
        self._raw = raw
        self._first = self._last = raw or 0
        self._wide = self._first > _MOST_16_BIT
        return Arrival(self._first, 0)

    def _go_on(self, raw: int | None, step: int) -> Arrival:
        self._raw = raw
        self._wide = self._wide or (raw or 0) > _MOST_16_BIT
        self._behind, self._ahead, self._unplaced, self._doubts = [], None, 0, 0
        self._last += step
        return Arrival(self._last, step - 1)

    def _incomplete(self, raw: int | None) -> Arrival | None:
        if self._first is None:
            return self._begin(raw)
        if self.source == "counted":
            return self._go_on(self._raw, 1)
        step = 0 if raw is None else self._step(raw)
        if 0 < step <= _LATE:
            return self._go_on(raw, step)
        self._unplaced += 1
        return None

    def _doubted(self, raw: int | None) -> Arrival | None:
        """Place a whole frame not newer than the newest, or far ahead: late, repeated, the first of a new count, or
        nonsense.
        """
        assert self._raw is not None
        never_moved = raw == self._raw and self._last == self._first
        if raw is not None and self._ahead is None:
            run = self._run_before(raw)
            first = raw if run is None else run[0]
            if run is not None and (first <= 1 or first < self._raw - _LATE):
                self.start()
                self._begin(first)
                self._go_on(raw, raw - first)
                return Arrival(raw, raw - first)  # the first itself is gone by now
            self._behind = [*(other for other in self._behind if other != run), (first, raw)]
        self._unplaced += 1
        self._doubts += 1
        if never_moved or self._doubts >= _PATIENCE:
            self.source = "counted"
            return self._go_on(raw, self._unplaced)
        return None

    def _run_before(self, raw: int) -> tuple[int, int] | None:
        """Return the run of ids behind the newest that this one goes on from; of several the lowest."""
        return min((run for run in self._behind if 0 < raw - run[1] <= _LATE), default=None)

    def _step(self, raw: int) -> int:
        """Return the step from the newest id to this one, over a wrap of 16 bits; 0 or less: this one is not newer."""
        assert self._raw is not None
        step = raw - self._raw
        if self._wide or self._run_before(raw) is not None:
            return step
        if raw == 0:  # not GigE Vision's way to wrap, but that of a counter cut off at 16 bits
            return 1 if step == -_MOST_16_BIT else step
        wrapped = step + _MOST_16_BIT
        if step < 0 and wrapped <= _MOST_16_BIT // 2:
            many_to_1 = raw == 1 and wrapped > _LATE  # no wrap hits 1 after losing many: more bits, and a new count
            return step if many_to_1 else wrapped
        if step >= _MOST_16_BIT - _LATE and self._last > _MOST_16_BIT:
            return step - _MOST_16_BIT  # late, from before the wrap
        return step
