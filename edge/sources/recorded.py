"""Recorded frames serve as a source: a folder of pictures, one picture, a video file, a recording, or one exported to
MCAP.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import structlog

from edge.errors import UserError, text_of
from edge.frames import Payload, Skip, SourceState
from edge.sources.clock import SYSTEM_CLOCK, Clock
from edge.sources.protocol import Source, SourceStatus
from edge.storage.frames_on_disk import Item, open_reel
from edge.storage.recording import is_of_one_run, is_recording

log = structlog.get_logger()


PICTURE_S: Final = 120.0
"""Time in s that one picture may take and be no hang: of a line-scan camera it may have a billion pixels."""


class RecordedSource:
    """The source gives the frames of ``path`` in order, then EOFError; ids, stamps and losses of a recording come out as
    recorded.

    Pictures of a folder are counted from 0 in natural order, and ``frame_ref`` is the path under the folder. What can't
    be read becomes ``Skip("unreadable")``, and the next one follows. ``received_ns`` is the time of the replay.

    Args:
        pace: ``original`` keeps the recorded time between frames; ``max`` gives them as fast as they are taken.
        fps: pace of frames that carry no times of their own.
        bits: as ``open_reel``'s.
    """

    simulated = True

    def __init__(
        self,
        path: Path,
        pace: Literal["original", "max"] = "original",
        fps: float = 10.0,
        *,
        bits: int | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.path = path
        self.total: int | None = None
        """Number of frames, lost ones included, for progress bars; known after ``open``, None if a video doesn't say."""
        self.left_out = ""
        """What lies in a folder beside its pictures and can't be read, in words; known after ``open``."""
        self.masks = ""
        """Which of a folder's pictures are masks by their names, and so no frames, in words; known after ``open``."""
        self._pace = pace
        self._fps = fps
        self._bits = bits
        self._clock = clock
        self._items: Iterator[Item] = iter(())
        self._waiting: Item | None = None
        self._taken = 0
        self._began_s: float | None = None
        self._announced = 0
        self._unreadable = 0
        self._state: SourceState = "opening"
        self._detail = str(path)
        self._busy_until_ns = 0

    def open(self) -> None:
        reel = open_reel(self.path, self._fps, self._bits)
        self.total, self._detail, self.left_out, self.masks = reel.total, reel.what, reel.left_out, reel.masks
        self._items = islice(reel.begin(), self._taken, None)  # opened again after a fault, it goes on where it was
        self._state = "streaming"

    def read(self, timeout_s: float) -> Payload | Skip | None:
        self._busy_until_ns = time.monotonic_ns() + int(PICTURE_S * 1e9)
        try:
            return self._read(timeout_s)
        finally:
            self._busy_until_ns = min(self._busy_until_ns, time.monotonic_ns())

    def _read(self, timeout_s: float) -> Payload | Skip | None:
        if self._waiting is None:
            self._waiting = next(self._items, None)
        if self._waiting is None:
            self._state = "ended"
            raise EOFError
        due_s, load = self._waiting
        if self._pace == "original":
            if self._began_s is None:
                self._began_s = self._clock.now() - due_s
            if not self._clock.wait_until(self._began_s + due_s, timeout_s):
                return None
        self._waiting = None
        self._taken += 1
        try:
            entry = load()
        except Exception as error:  # noqa: BLE001  (no memory, say: its place in the order is taken all the same)
            log.warning("frame_unreadable", source=self._detail, cause=text_of(error))
            entry = Skip("unreadable", 1, None, None, time.time_ns(), "counted")
        if isinstance(entry, Skip):
            self._announced += entry.count
            self._unreadable += entry.reason == "unreadable"
            return replace(entry, received_ns=time.time_ns())
        self._announced += 1
        meta = replace(entry.meta, received_ns=time.time_ns(), received_mono_ns=time.monotonic_ns())
        little: Any = entry.pixels.astype(entry.pixels.dtype.newbyteorder("<"), copy=False)
        return Payload(meta, little.reshape(-1).view(np.uint8))

    def close(self) -> None:
        self._items, self._waiting = iter(()), None
        self._state = "ended"

    def status(self) -> SourceStatus:
        counters = {"unreadable": self._unreadable}
        return SourceStatus(self._state, self._detail, self._announced, counters, busy_until_ns=self._busy_until_ns)


def is_evidence(source: Source) -> bool:
    """Return True if its frames are evidence: chosen ones, with gaps between them."""
    if not isinstance(source, RecordedSource):
        return False
    try:
        return is_recording(source.path) and not is_of_one_run(source.path)
    except UserError:  # as below
        return False


def of_one_camera(source: Source) -> bool:
    """Return True if its frames come from one run of one camera, as far as is known.

    Those of a folder of pictures need not, nor evidence of many runs.
    """
    if not isinstance(source, RecordedSource):
        return True
    try:
        return is_recording(source.path) and is_of_one_run(source.path)
    except UserError:  # whatever is wrong with it, ``open`` will tell
        return False
