"""The camera's own frame ids as arithmetic: what was lost between two of them, through wraps and restarts."""

from __future__ import annotations

from dataclasses import dataclass

from edge.frames import FrameIdSource

_MOST_16_BIT = 65535
"""GigE Vision 1.x: ids are 1 to 65535 and wrap to 1; 0 is never used."""
_LATE = 64
"""An id this little behind the newest one is a late or repeated frame, farther behind a new count."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One frame's unwrapped id, and how many ids lie between it and the frame before (0: none lost)."""

    frame_id: int
    missing: int


class FrameIds:
    """Follows the ids of one camera over stream starts; not thread-safe.

    Ids are published unwrapped, so they rise through a whole stream: after 65535 of a 16-bit camera comes 65536.
    A stream's first id is the first one seen: cameras begin at 0 (USB3 Vision), at 1, or anywhere, so frames lost
    before the first that arrived can't be known.
    """

    def __init__(self) -> None:
        self._closed = 0
        self._restart()

    def _restart(self) -> None:
        self._first: int | None = None
        self._last = 0
        self._told: int | None = None
        self._raw = 0
        self._wide = False
        self.source: FrameIdSource = "device"

    @property
    def announced(self) -> int:
        """Last id - first id + 1, summed over streams, of what ``tell`` was called for."""
        if self._first is None or self._told is None:
            return self._closed
        return self._closed + self._told - self._first + 1

    def start(self) -> None:
        """A stream begins: its ids have nothing to do with those before."""
        self._closed = self.announced
        self._restart()

    def arrived(self, raw: int | None) -> Arrival | None:
        """Place a frame by the id that its buffer carries; None for a frame that is accounted for already, or can't be.

        ``raw`` None: the buffer has no id. If the stream's first one hasn't, frames are counted here and no gaps are
        claimed; later on, such a frame shows as a gap when the next id arrives.
        """
        if self._first is None:
            self.source = "counted" if raw is None else "device"
            return self._begin(0 if raw is None else raw)
        if self.source == "counted":
            return self._go_on(self._raw + 1, 1)
        if raw is None:
            return None
        self._wide = self._wide or raw > _MOST_16_BIT
        step = raw - self._raw
        if step > 0:
            return self._go_on(raw, step)
        wrapped = step % _MOST_16_BIT
        if not self._wide and raw > 0 and 0 < wrapped <= _MOST_16_BIT // 2:
            return self._go_on(raw, wrapped)
        if raw <= 1 or step < -_LATE:
            self.start()
            return self._begin(raw)
        return None

    def tell(self, last_id: int) -> None:
        """Everything up to ``last_id`` has been handed on, as a frame or inside a skip."""
        self._told = last_id

    def _begin(self, raw: int) -> Arrival:
        self._first = self._last = self._raw = raw
        self._wide = raw > _MOST_16_BIT
        return Arrival(raw, 0)

    def _go_on(self, raw: int, step: int) -> Arrival:
        self._raw = raw
        self._last += step
        return Arrival(self._last, step - 1)
