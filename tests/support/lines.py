"""A whole line in a test: synthetic frames, a real model, real outputs, and engines that misbehave on purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from edge.config.load import Loaded, load_config
from edge.engines.protocol import Engine, Prediction
from edge.line.drift_watch import DriftWatch
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.run import run_line
from edge.outputs.open import live_outputs
from edge.sources.open import open_source
from edge.sources.protocol import Source
from edge.storage.log_files import read_records, segments
from edge.wire.read import stable
from support.graphs import write_identity_bundle

BASE = """\
camera: cam1
runtime_dir: run
source: {kind: synthetic, width: 64, height: 64, fps: null, frames: 50}
model: {bundle: bundle}
regions: {threshold: {high: 2.0}}
outputs: {zmq: null, jsonl: {dir: log, sync: none}}
"""


class Bent(Engine):
    """An engine whose ``before`` is called with the number of each inference; it may sleep or raise."""

    def __init__(self, engine: Engine, before: Callable[[int], None]) -> None:
        self.name, self.precision, self.bundle, self.why = engine.name, engine.precision, engine.bundle, engine.why
        self._engine = engine
        self._before = before
        self._count = 0

    def warm_up(self) -> None:
        self._engine.warm_up()

    def infer(self, image: Any) -> Prediction:
        self._count += 1
        self._before(self._count - 1)
        return self._engine.infer(image)

    def close(self) -> None:
        self._engine.close()


class Overlapped(Bent):
    """An engine with two frames in its hands, as one on a GPU has: ``submit`` starts, ``collect`` waits for the older."""

    depth = 2

    def __init__(self, engine: Engine, before: Callable[[int], None]) -> None:
        super().__init__(engine, before)
        self.most = 0
        self._submitted: list[tuple[int, Any]] = []
        self._number = -1

    def submit(self, image: Any) -> int:
        if len(self._submitted) == self.depth:
            raise RuntimeError("2 frames are on the device: collect one first")
        self._number += 1
        self._submitted.append((self._number, image.copy()))
        self.most = max(self.most, len(self._submitted))
        return self._number

    def collect(self, number: int) -> Prediction:
        if self._submitted[0][0] != number:
            raise RuntimeError("another frame's map")
        return self.infer(self._submitted.pop(0)[1])

    def abandon(self) -> None:
        self._submitted.clear()


def slow(seconds: float) -> Callable[[int], None]:
    return lambda _index: time.sleep(seconds)


def loaded(folder: Path, *overrides: str, text: str = BASE) -> Loaded:
    """The base config with overrides, beside a bundle that shows the picture's brightness."""
    if not (folder / "bundle").exists():
        write_identity_bundle(folder / "bundle")
    path = folder / "cam1.yaml"
    path.write_text(text)
    (folder / "run").mkdir(exist_ok=True)
    return load_config(path, overrides)


def make_line(
    config: Loaded,
    *,
    before: Callable[[int], None] | None = None,
    bent: type[Bent] = Bent,
    source: Source | None = None,
    more_outputs: list[Any] | None = None,
    watch: DriftWatch | None = None,
) -> Line:
    engine, criteria = open_model(config)
    if before is not None:
        engine = bent(engine, before)
    folder = config.path.parent
    return Line(
        config,
        source or open_source(config.config.source, "cam1", folder),
        engine,
        criteria,
        lambda identity: [*live_outputs(config.resolved, folder / "run", identity, config.texts), *(more_outputs or [])],
        drops=config.config.source.paced,
        watch=watch,
    )


def run(line: Line, stop: threading.Event | None = None) -> int:
    stop = stop or threading.Event()
    line.start(stop)
    return run_line(line, stop, lambda *_: None)


def records(folder: Path) -> list[dict[str, Any]]:
    """Every record in a folder of logs, headers left out."""
    return [record for path in segments(folder) or sorted(folder.glob("*.jsonl")) for record in read_records(path)]


def frame_ids(found: list[dict[str, Any]]) -> list[int]:
    """Ids of all frames that the records account for, in their order."""
    ids: list[int] = []
    for record in found:
        if record["kind"] == "skip":
            assert record["count"] == record["frame_id_last"] - record["frame_id_first"] + 1
            ids.extend(range(record["frame_id_first"], record["frame_id_last"] + 1))
        else:
            ids.append(record["frame_id"])
    return ids


def stable_lines(found: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(stable(record)) for record in found]
