"""Frames of chosen verdicts as a recording that ``edge replay`` reads, with an overlay beside each fail.

A recording of one camera that goes on over restarts: ``frames.jsonl`` holds each frame's record as well. When the folder
exceeds its quota the oldest pictures and their overlays are deleted; a replay then begins after them.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import structlog
from numpy.typing import NDArray

from edge.config import EvidenceConfig
from edge.controls import RoiConfig
from edge.errors import UserError
from edge.frames import Frame, Heartbeat, Inspection, Record, RunIdentity, Skip, State
from edge.outputs import Judged
from edge.outputs.quota import Quota
from edge.overlay import draw_overlay
from edge.pictures import encode_jpeg, write_whole
from edge.recording import RecordingWriter

log = structlog.get_logger()

BUFFERS: Final = 8
"""Frames that may wait to be written. With all in use the next one is lost, and counted."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A frame whose pixels are a view of ``buffer``, which goes back to the pool when they are written."""

    buffer: NDArray[np.uint8]
    frame: Frame


class EvidenceSink:
    """Runs in its output's thread, ``keep`` excepted.

    Skips are recorded where ``keep`` names ``invalid``, which is their verdict. A frame whose verdict was ``invalid:
    late`` is recorded as late, so that its replay says so, too.
    """

    name = "evidence"

    def __init__(
        self, config: EvidenceConfig, folder: Path, identity: RunIdentity, roi: RoiConfig | None, buffers: int = BUFFERS
    ) -> None:
        self._config = config
        self._folder = folder
        self._camera = identity.camera
        self._roi = roi
        self._free: deque[NDArray[np.uint8]] = deque(np.empty(0, np.uint8) for _ in range(buffers))
        self._buffers = buffers
        self._writer: RecordingWriter | None = None
        self._quota: Quota | None = None
        self.detail: Mapping[str, Any] = {"dir": str(folder)}

    def open(self) -> None:
        """Raises UserError where the folder can't be written, or belongs to another camera."""
        self._writer = RecordingWriter(self._folder, camera=self._camera, source="evidence", append=True)
        overlays = self._folder / "overlays"
        try:
            overlays.mkdir(exist_ok=True)
            for torn in overlays.glob("*.tmp"):
                torn.unlink()
            self._quota = Quota({self._folder / "frames": ".png", overlays: ".jpg"}, int(self._config.quota_gb * 1e9))
        except OSError as error:
            raise UserError(f"{overlays}: cannot be written: {error.strerror}") from None
        self._make_room()

    def keep(self, record: Record, frame: Frame, _judged: Judged | None) -> _Kept | None:
        """Copy a frame that is wanted; None for another one. In the judge's thread.

        Raises:
            OSError: every buffer waits to be written.
        """
        if record.verdict not in self._config.keep:
            return None
        try:
            buffer = self._free.popleft()
        except IndexError:
            text = f"frames come faster than they are written: {self._buffers} wait already"
            raise OSError(errno.ENOBUFS, text) from None
        pixels = frame.pixels
        if buffer.nbytes < pixels.nbytes:
            buffer = np.empty(pixels.nbytes, np.uint8)
        copy: Any = buffer[: pixels.nbytes].view(pixels.dtype).reshape(pixels.shape)
        np.copyto(copy, pixels)
        late = isinstance(record.body, Inspection) and record.body.reason == "late"
        meta = replace(frame.meta, late=True) if late else frame.meta
        return _Kept(buffer, Frame(meta, copy, frame.bits))

    def discard(self, kept: _Kept) -> None:
        """The buffer of a frame that will not be written."""
        self._free.append(kept.buffer)

    def write(self, record: Record, kept: _Kept | None) -> None:
        """Record one frame or one loss. Raises OSError where the disk is full, say; the recording stays whole."""
        assert self._writer is not None
        if isinstance(record.body, Skip):
            if "invalid" in self._config.keep:
                self._writer.skip(record.body)
                self._make_room()
        elif kept is not None:
            self._write_frame(record, record.body, kept)
            self._free.append(kept.buffer)

    def state(self, state: State) -> None:
        """Nothing: states aren't evidence."""

    def tick(self, heartbeat: Heartbeat) -> None:
        """Nothing."""

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _write_frame(self, record: Record, inspection: Inspection, kept: _Kept) -> None:
        assert self._writer is not None
        assert self._quota is not None
        number = self._writer.frame(kept.frame, record.line)
        nbytes = (self._folder / "frames" / f"{number:08d}.png").stat().st_size
        try:
            if self._config.overlays and record.verdict == "fail":
                overlay = encode_jpeg(draw_overlay(kept.frame, inspection, self._roi, seq=record.seq))
                write_whole(self._folder / "overlays" / f"{number:08d}.jpg", overlay)
                nbytes += len(overlay)
        finally:
            self._quota.add(number, nbytes)
            self._make_room()

    def _make_room(self) -> None:
        """The index says first what is about to be deleted, so that no replay takes a missing picture for a damaged one."""
        assert self._writer is not None
        assert self._quota is not None
        first = self._quota.first_to_keep(self._writer.index_bytes, self._writer.next_number)
        if first is not None:
            self._writer.forget_before(first)
            deleted = self._quota.delete_before(first)
            log.debug("evidence_deleted", dir=str(self._folder), frames=deleted, before=first)
