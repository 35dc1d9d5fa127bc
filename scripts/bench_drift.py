"""A line that watches for drift against the same line that doesn't, at 3 MP: frames per second, in turns."""

from __future__ import annotations

import logging
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import structlog
from bench_pipeline import SIDE, cost_model
from numpy.typing import NDArray

from edge.config.bundle_spec import BundleSpec
from edge.config.load import load_config
from edge.drift.fit_template import fit_template
from edge.drift.ladder import PlaceLimits
from edge.drift.learn import learn, plan_signatures
from edge.drift.meter import Meter
from edge.drift.monitor import DriftMonitor
from edge.drift.reference import make_reference
from edge.drift.signatures import Library
from edge.line.drift_watch import DriftWatch
from edge.line.line import Line
from edge.line.recipe import open_model
from edge.models.write import write_bundle
from edge.outputs.open import live_outputs
from edge.sources.in_memory import MemorySource
from edge.sources.synthetic.parts import make_scene

WIDTH, HEIGHT = 2048, 1536
FRAMES = 120
"""Frames of one run."""
STEPS = 4
"""Matrix products of the model: some 10 ms, so that what is measured beside it weighs."""
EVERY = 5
_REFERENCE = 200


def measure(repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    cv2.setNumThreads(1)
    frames = _frames(8)
    meter, make_watch = _watch(frames)
    took = []
    for k in range(4 * len(frames)):
        began = time.thread_time()
        meter.measure(frames[k % len(frames)])
        took.append(1e3 * (time.thread_time() - began))
    _run(frames, None)
    kept, cpu_ms = [], []
    for _ in range(repeats):
        (before, cpu_before), (on, cpu_on), (after, cpu_after) = (
            _run(frames, watch) for watch in (None, make_watch(), None)
        )
        kept.append(on / (2 / (1 / before + 1 / after)))
        cpu_ms.append(((cpu_before + cpu_after) / 2, cpu_on))
    amortised = statistics.median(took) / EVERY
    print(f"throughput with drift on / off at {WIDTH}x{HEIGHT}: {spread(kept)}")
    off_ms, on_ms = (statistics.median(values) for values in zip(*cpu_ms, strict=True))
    print(f"CPU time of a frame, all threads: {off_ms:.1f} ms off, {on_ms:.1f} ms on")
    print(f"one frame measured: {spread(took)} ms of CPU time, {amortised:.2f} ms a frame with every: {EVERY}")
    return {
        "throughput_kept": round(statistics.median(kept), 4),
        "cpu_off_ms": round(off_ms, 2),
        "cpu_on_ms": round(on_ms, 2),
        "measure_ms": round(statistics.median(took), 2),
        "ms_per_frame": round(amortised, 2),
    }


def _frames(count: int) -> list[NDArray[np.uint8]]:
    scene, frames = make_scene("pinned", 1, HEIGHT, WIDTH), []
    for number in range(count):
        frames.append(np.empty((HEIGHT, WIDTH), np.uint8))
        scene.render(number, 0.0, frames[-1])
    return frames


def _watch(frames: list[NDArray[np.uint8]]) -> tuple[Meter, Callable[[], DriftWatch]]:
    """A meter, and what makes a watch: its reference is of the frames' own statistics, with a little noise."""
    meter = Meter(fit_template(frames, 8))
    measured = np.array([meter.measure(frame) for frame in frames])
    rng = np.random.default_rng(0)
    series = measured[np.arange(_REFERENCE) % len(frames)] + rng.normal(0, 0.01, (_REFERENCE, measured.shape[1]))
    reference = make_reference([series])
    signatures = learn(meter, frames[:2], 8, reference.sigma, plan_signatures(40))

    def make() -> DriftWatch:
        monitor = DriftMonitor(reference, Library(signatures), PlaceLimits(100.0), every=EVERY)
        return DriftWatch(monitor, lambda frame: meter.measure(frame.pixels, frame.bits), "bench")

    return meter, make


def _config(folder: Path) -> Path:
    spec = BundleSpec.model_validate(
        {
            "name": "bench",
            "input": {"channels": 1, "size": (SIDE, SIDE)},
            "resize": {"where": "host", "kernel": "area", "size": (SIDE, SIDE)},
        }
    )
    write_bundle(folder / "bundle", cost_model(STEPS), spec)
    path = folder / "bench.yaml"
    path.write_text(
        "camera: bench\nruntime_dir: run\nsource: {kind: synthetic}\nmodel: {bundle: bundle, engine: onnx}\n"
        "regions: {threshold: {high: 10.0}}\noutputs: {zmq: {}, jsonl: {dir: log}}\n"
    )
    (folder / "run").mkdir()
    return path


def _run(frames: Sequence[NDArray[np.uint8]], watch: DriftWatch | None) -> tuple[float, float]:
    """Frames per second of one run, and the process's CPU time in ms for each; each run has a log of its own."""
    with tempfile.TemporaryDirectory() as temp:
        path = _config(Path(temp))
        loaded = load_config(path)
        engine, criteria = open_model(loaded)
        line = Line(
            loaded,
            MemorySource(frames, FRAMES),
            engine,
            criteria,
            lambda identity: live_outputs(loaded.resolved, path.parent / "run", identity, loaded.texts),
            drops=False,
            watch=watch,
        )
        began, cpu_began = time.perf_counter(), time.process_time()
        line.start(threading.Event())
        while not line.over:
            line.turn()
            line.workers[2].join(0.02)
        rate = FRAMES / (time.perf_counter() - began)
        cpu_ms = 1e3 * (time.process_time() - cpu_began) / FRAMES
        line.stop()
        engine.close()
    assert line.tally.inspections == FRAMES, line.tally.verdicts
    assert watch is None or watch.status().counters["measured"] == FRAMES // EVERY
    return rate, cpu_ms
