"""The graph of ``edge fit --method memory`` against its backbone alone, on one thread, one call each in turn.

Frames are 400 x 350 grey, the bank holds 4,000 vectors. What is over the backbone's time is the comparison. Times are the
thread's own CPU time, so that a busy machine changes them little.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

from edge.models.backbone.layers import cut_after
from edge.models.backbone.open import open_backbone
from edge.models.fit.memory import METHOD
from edge.models.fit.protocol import MethodOptions

WIDTH, HEIGHT = 400, 350
VECTORS = 4000
FRAMES = 12
"""To fit on; 12 frames have 6,600 places at stride 16."""
CALLS = 40
"""Of each graph in one repeat."""
LAST = {"lite0": "stride32", "gabor": "cells"}


def measure(repeats: int, spread: Callable[[Sequence[float]], str]) -> dict[str, float]:
    """Median CPU milliseconds of the whole graph, by backbone, and its ratio to the backbone's alone."""
    results: dict[str, float] = {}
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (HEIGHT, WIDTH, 1), np.uint8) for _ in range(FRAMES)]
    for name, last in LAST.items():
        memory = METHOD.empty((HEIGHT, WIDTH, 1), MethodOptions(backbone=Path(name), vectors=VECTORS))
        for frame in frames:
            memory.add(frame)
        fitted = memory.model()
        whole = _session(fitted.graph)
        alone = _session(cut_after(open_backbone(Path(name), 1).model, [last]))
        times: dict[str, list[float]] = {"whole": [], "alone": []}
        for _ in range(repeats):
            for key, milliseconds in _interleaved({"whole": whole, "alone": alone}, frames[0]).items():
                times[key].append(milliseconds)
        ratios = [a / b for a, b in zip(times["whole"], times["alone"], strict=True)]
        vectors = fitted.provenance["vectors"]
        print(f"{name}, {vectors} vectors, {WIDTH}x{HEIGHT}: {spread(times['whole'])} ms on one thread")
        print(f"{name} alone: {spread(times['alone'])} ms; with the comparison {spread(ratios)} times that")
        results[f"{name}_ms"] = statistics.median(times["whole"])
        results[f"{name}_over_backbone"] = statistics.median(ratios)
    return results


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model.SerializeToString(), options)


def _interleaved(sessions: dict[str, ort.InferenceSession], frame: Any) -> dict[str, float]:
    """The median of each, in CPU milliseconds."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(CALLS):
        for name, session in sessions.items():
            start = time.thread_time_ns()
            session.run(None, {"frame": frame[None]})
            times[name].append((time.thread_time_ns() - start) / 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}
