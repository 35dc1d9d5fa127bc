"""A source is recorded here without a model: frames and losses go through the ring to a folder."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.config.load import Loaded
from edge.errors import UserError
from edge.frames import Skip
from edge.line.passage import WAIT_S
from edge.line.ring import Ring, Slot
from edge.line.stages import acquire_loop
from edge.line.stop_sign import StopSign
from edge.line.supervise import Worker
from edge.preprocess.pixel_formats import decode_payload
from edge.sources.protocol import Source
from edge.storage.recording_writer import RecordingWriter


def record(
    loaded: Loaded,
    source: Source,
    folder: Path,
    frames: int,
    *,
    drops: bool,
    stop: StopSign,
    progress: Callable[[int], None],
) -> tuple[int, int]:
    """Write ``frames`` frames, or as many as came until ``stop`` or the source's end. Returns (frames written, frames
    lost).

    If none came, nothing is left behind: the next attempt finds the folder as this one did. With ``drops``, the oldest
    waiting frame is dropped when the disk can't keep up, and its loss is recorded in its place.

    Raises:
        UserError: the source or the folder can't be opened, or the disk is full; what was written until then is whole.
    """
    ring = Ring(loaded.config.ring.slots, drops=drops)
    worker = Worker("acquire", partial(acquire_loop, source, ring), restarts=loaded.config.supervise.restarts)
    levels = loaded.config.source.levels  # what the model will see is what it is fitted on
    written = lost = 0
    writer = RecordingWriter(folder, camera=loaded.config.camera, source=loaded.config.source.kind)
    worker.start()
    try:
        while written < frames and not stop.is_set() and worker.failed is None:
            try:
                item = ring.take(WAIT_S)
            except EOFError:
                break
            try:
                if isinstance(item, Skip):
                    writer.skip(item)
                    lost += item.count
                elif isinstance(item, Slot):
                    assert item.meta is not None
                    writer.frame(decode_payload(item.meta, item.view, *levels))
                    ring.release(item)
                    written += 1
                    progress(written)
            except OSError as error:
                raise UserError(
                    f"{folder}: the recording cannot be written any more: {error.strerror}",
                    received=f"{written} of {frames} frames are recorded",
                    fix="make room on that disk, or record elsewhere",
                ) from None
    finally:
        worker.stop()
        ring.close()
        worker.join(5.0)
        if written or lost:
            writer.close()
        else:
            writer.remove()
    if worker.failed is not None:
        raise worker.failed
    return written, lost
