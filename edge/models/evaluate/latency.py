"""How long a model takes for a frame, measured alone and after warming up."""

from __future__ import annotations

import time
from typing import Any, Final

import numpy as np

from edge.config.bundle import load_bundle
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.models.evaluate.judge import Inspector
from edge.models.sets.frame_set import FrameSet, SetFrame
from edge.preprocess.pixel_formats import to_depth
from edge.regions.to_inspection import to_inspection
from edge.storage.pictures import PictureError

FRAMES: Final = 40
_WARM: Final = 3


def latency(inspector: Inspector, source: FrameSet, frames: tuple[SetFrame, ...]) -> dict[str, Any]:
    """Milliseconds for one frame from decoded pixels to the map (``infer``), and from the map to the verdict (``judge``).

    Up to 40 frames, spread over the set, one after the other in this process; reading the file is not in it.
    """
    engine = open_engine(inspector.model, load_bundle(inspector.model.bundle))
    criteria, workspace = inspector.criteria(), ready_workspace(engine.bundle)
    infer: list[float] = []
    judge: list[float] = []
    chosen = np.unique(np.linspace(0, len(frames) - 1, FRAMES + _WARM).astype(int)).tolist()
    try:
        for index in chosen:
            try:
                frame = to_depth(source.read(frames[index]), *inspector.levels)
            except (OSError, PictureError):
                continue
            began = time.perf_counter()
            amap = to_map(frame, engine, workspace)
            mapped = time.perf_counter()
            to_inspection(frame, amap, criteria)
            judge.append(1e3 * (time.perf_counter() - mapped))
            infer.append(1e3 * (mapped - began))
    finally:
        engine.close()
    return {
        "engine": engine.name,
        "frames": max(len(infer) - _WARM, 0),
        "infer": _percentiles(infer),
        "judge": _percentiles(judge),
    }


def _percentiles(values: list[float]) -> dict[str, float] | None:
    kept = values[_WARM:] or values
    if not kept:
        return None
    p50, p95 = np.percentile(kept, [50, 95])
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}
