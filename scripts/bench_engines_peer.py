"""anomalib's OpenVINO inferencer behind a pipe, run in its own environment by bench_engines.py.

Asked ``{model, folder, precision, threads}``, it loads; asked ``{frame, clock}``, it answers ``{seconds}`` of one
``predict`` on the array of that path. Grey frames are made RGB in that time, for it takes no others. Asked ``{}``, it tells
the versions.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import time
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
import openvino as ov
from anomalib.deploy import OpenVINOInferencer

_loaded: list[Any] = []


@functools.lru_cache(maxsize=2)
def array(path: str, _changed: float) -> Any:
    return np.load(path)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "model" in request:
        os.chdir(request["folder"])  # it writes a cache into the folder that it is run in
        cv2.setNumThreads(request["threads"])
        model = ov.Core().read_model(request["model"])
        if model.input(0).get_partial_shape()[2].is_static:
            return {"error": "the model fixes its picture's size, and its inferencer does not resize"}
        config = {
            "INFERENCE_PRECISION_HINT": request["precision"],
            "INFERENCE_NUM_THREADS": request["threads"],
            "PERFORMANCE_HINT": "LATENCY",
        }
        _loaded[:] = [OpenVINOInferencer(request["model"], "CPU", config)]
        return {}
    if "frame" in request:
        frame = array(request["frame"], os.stat(request["frame"]).st_mtime_ns)
        clock = getattr(time, request["clock"])
        began = clock()
        _loaded[0].predict(frame if frame.ndim == 3 else cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB))
        return {"seconds": clock() - began}
    return {"versions": f"anomalib {version('anomalib')}, OpenVINO {version('openvino')}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
