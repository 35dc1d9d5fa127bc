"""pyimgano's extractor behind a pipe, run in its own environment by bench_regions.py; one JSON object per line.

Asked ``{map, controls, mask}``, it answers ``{seconds, boxes, scores}``: thread CPU time of one call, boxes with
exclusive right and bottom, the maximum and mean score of each region; the mask is saved under the path ``mask``.
Asked ``{}``, it tells the versions.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np
from pyimgano.defects import extract_defects_from_anomaly_map


@functools.lru_cache(maxsize=4)
def loaded(path: str) -> Any:
    return np.load(path)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if not request:
        return {"versions": f"pyimgano {version('pyimgano')}, OpenCV {cv2.__version__}, NumPy {np.__version__}"}
    values = loaded(request["map"])
    began = time.thread_time()
    found = extract_defects_from_anomaly_map(values, **request["controls"])
    seconds = time.thread_time() - began
    if request["mask"]:
        np.save(request["mask"], found["mask"])
    boxes = [(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in (r["bbox_xyxy"] for r in found["regions"])]
    return {"seconds": seconds, "boxes": boxes, "scores": [(r["score_max"], r["score_mean"]) for r in found["regions"]]}


cv2.setNumThreads(1)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
