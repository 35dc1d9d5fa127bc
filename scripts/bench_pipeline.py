"""The whole daemon against a bare loop over the same engine, and the way from received to published without an engine."""

from __future__ import annotations

import logging
import queue
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import structlog
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.config.bundle import load_bundle
from edge.config.bundle_spec import BundleSpec
from edge.config.load import load_config
from edge.config.outputs import ZmqConfig
from edge.engines.onnx import OnnxEngine
from edge.engines.protocol import Engine, Prediction
from edge.frames import Inspection, Payload, Record, RunIdentity, Skip
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.line.run import run_line
from edge.models.write import write_bundle
from edge.outputs.open import live_outputs
from edge.outputs.protocol import Output
from edge.outputs.queued import Queued
from edge.outputs.zmq.publisher import ZmqSink
from edge.sources.in_memory import MemorySource

SIDE = 512
COSTS_MS = (2.0, 10.0, 40.0)
SECONDS = 3.0
"""Length of one measurement."""


def cost_model(steps: int) -> onnx.ModelProto:
    """A map of the picture's size after ``steps`` matrix products on it: work that no optimiser removes."""
    weight = numpy_helper.from_array(np.eye(SIDE, dtype=np.float32) * np.float32(1.0001), "weight")
    nodes = [
        helper.make_node("Cast", ["frame"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Squeeze", ["cast", "axes"], ["x0"]),
        *(helper.make_node("MatMul", [f"x{k}", "weight"], [f"x{k + 1}"]) for k in range(steps)),
        helper.make_node("Div", [f"x{steps}", "scale"], ["map"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cost",
        [helper.make_tensor_value_info("frame", TensorProto.UINT8, [1, SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("map", TensorProto.FLOAT, [1, SIDE, SIDE])],
        [
            weight,
            numpy_helper.from_array(np.array([3]), "axes"),
            numpy_helper.from_array(np.array(255, np.float32), "scale"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def bare_loop(engine: OnnxEngine, frames: Sequence[NDArray[np.uint8]], count: int) -> float:
    """Frames per second of nothing but the engine and one comparison."""
    began = time.perf_counter()
    for index in range(count):
        prediction = engine.infer(frames[index % len(frames)])
        if prediction.map.max() >= 10.0:
            raise AssertionError("the bench's frames are good")
    return count / (time.perf_counter() - began)


def measure(repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, (SIDE, SIDE), np.uint8) for _ in range(8)]
    results: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        per_step = _time_of(_config(folder, 8), frames) / 8
        for cost in COSTS_MS:
            path = _config(folder, max(1, round(cost / per_step)))
            ratios, bare_ms = [], []
            for _ in range(repeats):
                bare, daemon = _pair(path, frames, cost)
                ratios.append(daemon / bare)
                bare_ms.append(1e3 / bare)
            key = f"ratio_{cost:.0f}ms"
            results[key] = round(statistics.median(ratios), 4)
            print(f"daemon / bare loop at {cost:4.0f} ms: {spread(ratios)}; bare loop {spread(bare_ms)} ms a frame")
        overhead: list[list[float]] = []
        ping: list[list[float]] = []
        for _ in range(repeats):
            ping.append(_ping(1.0))
            overhead.append(_overhead(_config(folder, 1), frames))
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            values = [float(np.quantile(o, share)) for o in overhead]
            pings = [float(np.quantile(p, share)) for p in ping]
            results[f"overhead_{name}_ms"] = round(statistics.median(values), 4)
            results[f"ping_{name}_ms"] = round(statistics.median(pings), 4)
            print(f"received -> published at 100 fps, no engine, {name}: {spread(values)} ms; ping {spread(pings)} ms")
    return results


def _config(folder: Path, steps: int) -> Path:
    bundle = folder / f"bundle-{steps}"
    if not bundle.exists():
        spec = BundleSpec.model_validate(
            {"name": "bench", "input": {"channels": 1, "size": (SIDE, SIDE)}, "resize": {"where": "none"}}
        )
        write_bundle(bundle, cost_model(steps), spec)
    path = folder / f"bench-{steps}.yaml"
    path.write_text(
        f"camera: bench\nruntime_dir: run\nsource: {{kind: synthetic}}\nmodel: {{bundle: bundle-{steps}}}\n"
        "regions: {threshold: {high: 10.0}}\noutputs: {zmq: {}, jsonl: {dir: log}}\n"
    )
    (folder / "run").mkdir(exist_ok=True)
    return path


def _time_of(path: Path, frames: Sequence[NDArray[np.uint8]]) -> float:
    engine, _ = open_model(load_config(path))
    assert isinstance(engine, OnnxEngine)
    bare_loop(engine, [f[:, :, None] for f in frames], 20)
    return 1e3 / bare_loop(engine, [f[:, :, None] for f in frames], 50)


def _pair(path: Path, frames: Sequence[NDArray[np.uint8]], cost_ms: float) -> tuple[float, float]:
    """Frames per second of the bare loop, before and after, and of the daemon between them."""
    count = int(SECONDS * 1e3 / cost_ms)
    loaded = load_config(path)
    engine, criteria = open_model(loaded)
    assert isinstance(engine, OnnxEngine)
    images = [f[:, :, None] for f in frames]
    before = bare_loop(engine, images, count // 2)
    source = _Stamped(frames, count)
    line = Line(
        loaded,
        source,
        engine,
        criteria,
        lambda identity: live_outputs(loaded.resolved, path.parent / "run", identity, loaded.texts),
        drops=False,
    )
    line.start(threading.Event())
    while not line.over:
        line.turn()
        line.workers[2].join(0.1)
    daemon = count / (time.perf_counter() - source.began)
    line.stop()
    assert line.tally.inspections == count, line.tally.verdicts
    after = bare_loop(engine, images, count - count // 2)
    engine.close()
    return 2 / (1 / before + 1 / after), daemon


class _Stamped(MemorySource):
    """Says when its first frame was read: opening sockets and files is no part of a frame's cost."""

    began = 0.0

    def read(self, timeout_s: float) -> Payload | Skip | None:
        self.began = self.began or time.perf_counter()
        return super().read(timeout_s)


class _NoEngine(Engine):
    """A map of 256x256, as most models give, at no cost: what is left is the daemon's own."""

    name, precision, why = "none", "fp32", "none"

    def __init__(self, folder: Path) -> None:
        self.bundle = load_bundle(folder)
        self._map = np.zeros((256, 256), np.float32)

    def infer(self, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Prediction:  # noqa: ARG002
        return Prediction(self._map, None, None)


class _StampedZmq(ZmqSink):
    """The real publisher, and when each record had left it."""

    stamps: list[float]

    def write(self, record: Record, kept: object) -> None:
        super().write(record, kept)
        if isinstance(record.body, Inspection):
            self.stamps.append((time.monotonic_ns() - record.body.meta.received_mono_ns) / 1e6)


def _overhead(path: Path, frames: Sequence[NDArray[np.uint8]]) -> list[float]:
    """Milliseconds from received to published, frame by frame."""
    loaded = load_config(path)
    engine, criteria = open_model(loaded)
    engine.close()
    sinks: list[_StampedZmq] = []
    run = path.parent / "run"

    def outputs(identity: RunIdentity) -> list[Output]:
        sink = _StampedZmq(ZmqConfig(), identity, run)
        sink.stamps = []
        sinks.append(sink)
        return [
            Queued(sink, 1000, "drop"),
            *(o for o in live_outputs(loaded.resolved, run, identity, loaded.texts) if o.name == "jsonl"),
        ]

    source = MemorySource(frames, int(100 * SECONDS), fps=100.0)
    line = Line(loaded, source, _NoEngine(engine.bundle.folder), criteria, outputs, drops=True)
    stop = threading.Event()
    line.start(stop)
    run_line(line, stop, lambda *_: None)
    return sinks[0].stamps


def _ping(seconds: float) -> list[float]:
    """Milliseconds of a round trip through two queues to a second thread, at 100 a second."""
    there: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    back: queue.SimpleQueue[int] = queue.SimpleQueue()

    def echo() -> None:
        while (item := there.get()) is not None:
            back.put(item)

    thread = threading.Thread(target=echo)
    thread.start()
    times = []
    for _ in range(int(100 * seconds)):
        time.sleep(0.01)
        began = time.monotonic_ns()
        there.put(began)
        back.get()
        times.append((time.monotonic_ns() - began) / 1e6)
    there.put(None)
    thread.join()
    return times
