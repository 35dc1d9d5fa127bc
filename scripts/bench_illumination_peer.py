"""pyimgano's illumination steps and tiles behind a pipe, run in its own environment by bench_illumination.py.

Asked ``{picture, knobs, out}``, it answers ``{seconds}`` of one call and saves the result under ``out``; asked ``{maps,
positions, side, shape, out}``, the same of one stitch; asked ``{frame, side, stride}``, how many tile ``{calls}`` one frame
costs a model. Paths hold arrays; seconds are thread CPU time. Asked ``{}``, it tells the versions.
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
from pyimgano.inference.tiling import Tile, TiledDetector, stitch_maps
from pyimgano.preprocessing.industrial_presets import IlluminationContrastKnobs, apply_illumination_contrast


@functools.lru_cache(maxsize=8)
def loaded(path: str) -> Any:
    return np.load(path)


class Counting:
    """A detector that only counts the tiles it is shown."""

    def __init__(self) -> None:
        self.tiles = 0

    def decision_function(self, tiles: Any) -> Any:
        self.tiles += len(tiles)
        return np.zeros(len(tiles))

    def predict_anomaly_map(self, tiles: Any) -> Any:
        self.tiles += len(tiles)
        return np.zeros((len(tiles), *np.shape(tiles[0])[:2]), np.float32)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    if "knobs" in request:
        picture, knobs = loaded(request["picture"]), IlluminationContrastKnobs(**request["knobs"])
        return timed(lambda: apply_illumination_contrast(picture, knobs=knobs), request["out"])
    if "maps" in request:
        maps, side = list(loaded(request["maps"])), request["side"]
        tiles = [Tile(y0=y, x0=x, y1=y + side, x1=x + side, tile_size=side) for x, y in request["positions"]]
        return timed(lambda: stitch_maps(tiles, maps, out_shape=tuple(request["shape"]), reduce="hann"), request["out"])
    if "frame" in request:
        counting, picture = Counting(), loaded(request["frame"])
        tiled = TiledDetector(detector=counting, tile_size=request["side"], stride=request["stride"], map_reduce="hann")
        tiled.decision_function([picture])
        tiled.get_anomaly_map(picture)
        return {"calls": counting.tiles}
    return {"versions": f"pyimgano {version('pyimgano')}, OpenCV {cv2.__version__}, NumPy {np.__version__}"}


def timed(call: Any, out: str | None) -> dict[str, Any]:
    began = time.thread_time()
    result = call()
    seconds = time.thread_time() - began
    if out:
        np.save(out, result)
    return {"seconds": seconds}


cv2.setNumThreads(1)
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
