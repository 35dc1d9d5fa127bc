"""The table of outputs, and the ones that a config asks for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from edge.config.load import Loaded
from edge.frames import RunIdentity
from edge.outputs.evidence.sink import EvidenceSink
from edge.outputs.jsonl.sink import JsonlSink
from edge.outputs.protocol import Output
from edge.outputs.queued import Queued
from edge.outputs.zmq.preview import PreviewSink
from edge.outputs.zmq.publisher import ZmqSink
from edge.regions.criteria import read_mask
from edge.storage.archive import archive
from edge.wire.keys import DoorKeys

QUEUE = 1000
"""Records that wait for a slow output before it loses some: 10 s at 100 frames per second."""


def live_outputs(loaded: Loaded, folder: Path, identity: RunIdentity) -> list[Output]:
    """The config's outputs, each behind a queue that drops rather than blocks."""
    config = loaded.config.outputs
    first: list[Output] = []  # the judge hands a record to those who act on it before those who keep it
    outputs: list[Output] = []
    log_first: Queued | None = None
    if config.jsonl is not None:
        place, texts = loaded.resolve(config.jsonl.dir), partial(archive, loaded, identity)
        lines = Queued(JsonlSink(config.jsonl, place, identity, archive=texts), QUEUE, "drop")
        outputs.append(lines)
        if config.jsonl.sync == "each" or config.jsonl.audit_required:  # but then nobody acts on what isn't in the log
            log_first = lines
    if config.evidence is not None:
        where, roi = loaded.resolve(config.evidence.dir), loaded.config.regions.roi
        sink = EvidenceSink(config.evidence, where, identity, roi, mask=read_mask(loaded)[0])
        outputs.append(Queued(sink, QUEUE, "drop"))
    if config.zmq is not None:
        curve = config.zmq.curve
        keys = DoorKeys(loaded.resolve(curve.server_key), loaded.resolve(curve.clients)) if curve else None
        first.append(Queued(ZmqSink(config.zmq, identity, folder, keys), QUEUE, "drop", after=log_first))
        if config.zmq.preview is not None:
            first.append(Queued(PreviewSink(config.zmq.preview, identity, keys), QUEUE, "drop"))
    # closed in this order: what waits for the log is closed after it
    return [*outputs, *first] if log_first else [*first, *outputs]
