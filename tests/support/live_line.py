"""A line in the test's own process: the real lock, sockets and messages, and records that the test makes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from edge.config.outputs import ZmqConfig
from edge.frames import Fault, Frame, Heartbeat, State
from edge.outputs.queued import Queued
from edge.outputs.zmq.preview import PreviewSink
from edge.outputs.zmq.publisher import ZmqSink
from edge.service.instance_lock import InstanceLock
from edge.wire.encode import Wire
from support.records import IDENTITY, META, inspection


class LiveLine:
    """What a daemon is to those who listen."""

    def __init__(self, folder: Path, camera: str, **identity: Any) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.camera = folder, camera
        self._lock = InstanceLock(folder, camera)
        self._wire = Wire(replace(IDENTITY, camera=camera, **identity))
        who = replace(IDENTITY, camera=camera, **identity)
        self.records = Queued(ZmqSink(ZmqConfig(), who, folder), 1000, "drop")
        self.preview = PreviewSink(f"ipc://{folder / 'preview'}", who)
        self.previews = Queued(self.preview, 1000, "drop")
        self.records.start()
        self.previews.start()
        (folder / "instance.json").write_bytes(orjson.dumps({"camera": camera}))
        endpoints = {"zmq": f"ipc://{folder / 'pub'}", "preview": f"ipc://{folder / 'preview'}"}
        (folder / "endpoints.json").write_bytes(orjson.dumps(endpoints))
        self.seq = 0
        self._state_seq = 0
        self._counts = {"pass": 0, "fail": 0, "invalid": 0}

    def inspect(self, verdict: str = "pass", *, size: tuple[int, int] = (120, 80), **changes: Any) -> int:
        """Publish one record, with its picture for whoever looks; return its seq."""
        frame = Frame(META, np.full((size[1], size[0]), 90, np.uint8))
        record = self._wire.inspection(self.seq, inspection(verdict=verdict, **changes), 1_700_000_000_000_000_000)
        self.records.accept(record, frame, None)
        self.previews.accept(record, frame, None)
        self._counts[verdict] += 1
        self.seq += 1
        return self.seq - 1

    def say(self, *faults: Fault, **changes: Any) -> None:
        """Publish a state."""
        state = State(self._state_seq, "ContinuousExecution", "streaming", {"name": "onnx"}, {"zmq": {"ok": True}}, faults)
        state = replace(state, **changes)
        self._state_seq += 1
        self.records.state(state)

    def beat(self) -> None:
        """Publish a heartbeat."""
        self.records.tick(Heartbeat(self.seq - 1, dict(self._counts), 2, 1.0))

    def close(self) -> None:
        self.records.close(2.0)
        self.previews.close(2.0)
        self._lock.release()


@contextlib.contextmanager
def live_line(folder: Path, camera: str = "cam1", **identity: Any) -> Iterator[LiveLine]:
    line = LiveLine(folder, camera, **identity)
    try:
        yield line
    finally:
        line.close()
