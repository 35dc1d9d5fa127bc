"""Every frame that a camera's ids speak of becomes a payload, or a place inside a skip, in the camera's order."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from edge.frames import FrameMeta, Payload, Skip
from edge.sources.genicam.frame_ids import FrameIds
from edge.sources.genicam.part_ids import PartIds
from edge.sources.repeats import Repeats

if TYPE_CHECKING:
    from edge.sources.genicam.buffer import RawFrame


_COUNTED = ("frames", "frame_id_gap", "incomplete", "bad_payload", "timeouts", "reconnects")
"""Counters that are there from the start; rarer ones appear when they first count."""
_IN_A_ROW: Final = 3
"""Number of unusable frames in a row that make a problem: one is a loss like others, so many will not pass by
themselves."""

REPEATED: Final = "the camera repeats its last picture"

PROBLEM_S: Final = 10.0
"""Time in s that a problem lasts after it was last seen: a network that spoils three frames of four has one problem, not
many."""

_MOST_NAMED: Final = 64
"""Number of problems that the log names, each once: for pictures that are cut short, each length is another problem."""


class Accounts:
    """Accounts turn buffers into payloads and skips, and count them. One thread puts and takes."""

    def __init__(self, part_id: str | None, log: Any, max_repeats: int | None = None) -> None:
        """Take ``max_repeats``, the frames in a row that may repeat the one before bit for bit; None: any number."""
        self._repeats = None if max_repeats is None else Repeats(max_repeats)
        self._part_chunk = part_id
        self._log = log
        self._ids = FrameIds()
        self._waiting: deque[tuple[int, Payload | Skip]] = deque()
        self._named: set[str] = set()
        self._parts = PartIds()
        self._unusable = self._partless = 0
        """Frames in a row that could not be used, and usable ones in a row without a part id."""
        self._problem: tuple[str, float] | None = None
        """Text of the last problem, and when it was seen last."""
        self._seen = False
        """True if the newest frame shows it."""
        self.announced = 0
        self.counters: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))

    @property
    def problem(self) -> str | None:
        """Return what is wrong with every frame though frames come, now or until ``PROBLEM_S`` ago. Any thread may call
        this.
        """
        problem = self._problem
        return None if problem is None or (not self._seen and time.monotonic() - problem[1] >= PROBLEM_S) else problem[0]

    @property
    def waiting(self) -> bool:
        """Return True if something can be taken."""
        return bool(self._waiting)

    def start(self) -> None:
        """Begin or end a stream: ids have nothing to do with those before. What waits is forgotten, and not announced."""
        self._waiting.clear()
        self._ids.start()
        self._parts.start()
        self._unusable = self._partless = 0
        self._problem, self._seen = None, False

    def put(self, frame: RawFrame) -> None:
        """Line up the loss before this frame, if any, and the frame, or its own loss."""
        if self._repeats is not None and frame.data is not None and self._repeats.too_many(frame.data):
            frame = replace(frame, data=None, reason="bad_payload", problem=REPEATED)
        self._judge(frame)
        arrival = self._ids.arrived(frame.frame_id, complete=frame.reason != "incomplete")
        if arrival is None:
            self.counters["unplaced_ids"] += 1
            return
        frame_id, source = arrival.frame_id, self._ids.source
        if arrival.missing:
            first, last = frame_id - arrival.missing, frame_id - 1
            parts = self._parts.of_lost(first, last, frame_id, frame.part_id)
            gap = Skip(
                reason="frame_id_gap",
                count=arrival.missing,
                frame_id_first=first,
                frame_id_last=last,
                received_ns=frame.received_ns,
                frame_id_source=source,
                part_id_first=parts[0],
                part_id_last=parts[1],
            )
            self._waiting.append((last, gap))
        # where frames are counted here, one that is lost unseen would shift the part ids of those after it
        part_id = self._parts.of(frame_id, frame.part_id) if source == "device" else frame.part_id
        if frame.data is None:
            assert frame.reason is not None
            self._warn_once(frame.reason, frame.problem, frame_id)
            loss = Skip(
                reason=frame.reason,
                count=1,
                frame_id_first=frame_id,
                frame_id_last=frame_id,
                received_ns=frame.received_ns,
                frame_id_source=source,
                part_id_first=part_id,
                part_id_last=part_id,
            )
            self._waiting.append((frame_id, loss))
            return
        missing = [name for name, value in ((self._part_chunk, frame.part_id), *frame.chunks) if name and value is None]
        if missing:
            self.counters["chunk_errors"] += 1
            self._warn_once("chunk_missing", f"no {', '.join(missing)} in the frame: its record lacks it", frame_id)
        meta = FrameMeta(
            frame_id=frame_id,
            frame_id_source=source,
            width=frame.width,
            height=frame.height,
            pixel_format=frame.pixel_format,
            received_ns=frame.received_ns,
            received_mono_ns=frame.received_mono_ns,
            camera_ns=frame.camera_ns,
            timestamp_source=frame.timestamp_source,
            part_id=frame.part_id,
            chunks=frame.chunks,
        )
        self._waiting.append((frame_id, Payload(meta, frame.data)))

    def take(self) -> Payload | Skip:
        """Return the next in line; from now on it counts, and is announced."""
        last_id, item = self._waiting.popleft()
        self._ids.tell(last_id)
        self.announced = self._ids.announced
        if isinstance(item, Skip):
            self.counters[item.reason] += item.count
        else:
            self.counters["frames"] += 1
        return item

    def _judge(self, frame: RawFrame) -> None:
        if frame.data is None:
            self._unusable += 1
        else:
            self._unusable = 0
            self._partless = self._partless + 1 if self._part_chunk is not None and frame.part_id is None else 0
        text = None
        if self._unusable >= _IN_A_ROW:
            text = f"no frame can be used: {frame.problem}"
        elif self._partless >= _IN_A_ROW:
            text = f"no frame has a part id: {self._part_chunk} does not come with it"
        if text is not None:
            self._problem = text, time.monotonic()
        self._seen = text is not None

    def _warn_once(self, event: str, problem: str, frame_id: int) -> None:
        if problem not in self._named and len(self._named) < _MOST_NAMED:
            self._named.add(problem)
            self._log.warning(event, frame_id=frame_id, problem=problem)
