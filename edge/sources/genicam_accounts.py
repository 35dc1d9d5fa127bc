"""What becomes of each frame that a camera's ids speak of: a payload, or a place inside a skip, in the camera's order."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from edge.frames import FrameMeta, Payload, Skip
from edge.sources.frame_ids import FrameIds

if TYPE_CHECKING:
    from edge.sources.genicam_buffer import RawFrame


class Accounts:
    """Turns buffers into payloads and skips, and counts them. One thread puts and takes."""

    def __init__(self, part_id: str | None, log: Any) -> None:
        self._part_chunk = part_id
        self._log = log
        self._ids = FrameIds()
        self._waiting: deque[tuple[int, Payload | Skip]] = deque()
        self._named: set[str] = set()
        self._last_part: int | None = None
        self.announced = 0
        self.counters: Counter[str] = Counter()

    @property
    def waiting(self) -> bool:
        """Something can be taken."""
        return bool(self._waiting)

    def start(self) -> None:
        """A stream begins or ends: ids have nothing to do with those before. What waits is forgotten, and not announced."""
        self._waiting.clear()
        self._ids.start()
        self._last_part = None

    def put(self, frame: RawFrame) -> None:
        """Line up the loss before this frame, if any, and the frame, or its own loss."""
        arrival = self._ids.arrived(frame.frame_id)
        if arrival is None:
            self.counters["unplaced_ids"] += 1
            return
        frame_id, source = arrival.frame_id, self._ids.source
        if arrival.missing:
            first, last = frame_id - arrival.missing, frame_id - 1
            parts = self._parts_between(arrival.missing, frame.part_id)
            gap = Skip("frame_id_gap", arrival.missing, first, last, frame.received_ns, source, *parts)
            self._waiting.append((last, gap))
        self._last_part = frame.part_id
        if frame.data is None:
            assert frame.reason is not None
            self._warn_once(frame.reason, frame.problem, frame_id)
            self._waiting.append((frame_id, Skip(frame.reason, 1, frame_id, frame_id, frame.received_ns, source)))
            return
        if self._part_chunk is not None and frame.part_id is None:
            self.counters["chunk_errors"] += 1
            self._warn_once("chunk_missing", f"no {self._part_chunk} in the frame: its record has no part id", frame_id)
        meta = FrameMeta(
            frame_id,
            source,
            frame.width,
            frame.height,
            frame.pixel_format,
            frame.received_ns,
            frame.received_mono_ns,
            frame.camera_ns,
            frame.timestamp_source,
            frame.part_id,
        )
        self._waiting.append((frame_id, Payload(meta, frame.data)))

    def take(self) -> Payload | Skip:
        """The next in line; from now on it counts, and is announced."""
        last_id, item = self._waiting.popleft()
        self._ids.tell(last_id)
        self.announced = self._ids.announced
        if isinstance(item, Skip):
            self.counters[item.reason] += item.count
        else:
            self.counters["frames"] += 1
        return item

    def _parts_between(self, missing: int, part_id: int | None) -> tuple[int | None, int | None]:
        """Part ids of the frames lost between two that arrived, where the parts on both sides say one part per frame."""
        before = self._last_part
        if before is None or part_id is None or part_id - before != missing + 1:
            return None, None
        return before + 1, part_id - 1

    def _warn_once(self, event: str, problem: str, frame_id: int) -> None:
        if problem not in self._named:
            self._named.add(problem)
            self._log.warning(event, frame_id=frame_id, problem=problem)
