"""How good ``edge fit``'s default model is on the shipped generator, and what it costs.

60 good frames to fit, 60 to set the threshold, 200 good and 200 bad ones to judge, 512x512, on the presets ``pinned`` and
``hard``. The threshold is what ``edge calibrate`` takes by default: of 60 frames their highest maximum and 2 %. Every frame
goes the live way: registration, graph, map moved back. A frame's score is the highest value of its map outside a border of
2 px, as ``border_px: 2`` has it.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.config.line import ModelConfig
from edge.config.sources import SyntheticConfig
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit import fit_to_bundle
from edge.sources.synthetic.parts import synthetic_part

BORDER = 2
FALSE_REJECTS = 0.001
"""The default of ``edge calibrate``. The rule for 0.02 takes the highest of 60 maxima itself, which one frame in 61 exceeds
in the long run, but more than one in 50 in three sets of ten."""
_STEP = 7
"""Every seventh good pixel counts in the pixel AUROC: 500 million wouldn't change its third decimal."""


def measure(*, smoke: bool, seeds: int) -> dict[str, Any]:
    """Medians over so many seeds: of ``pinned`` by their names, of ``hard`` after ``hard_``; their ranges are printed.

    ``smoke``: one seed of few small frames.
    """
    cv2.setNumThreads(1)
    results: dict[str, Any] = {}
    for preset in ("pinned", "hard"):
        runs = [_run(preset, seed, smoke=smoke) for seed in range(1 if smoke else seeds)]
        for key in runs[0]:
            values = [run[key] for run in runs]
            results[key if preset == "pinned" else f"{preset}_{key}"] = round(float(np.median(values)), 4)
            print(f"{preset} {key}: {np.median(values):.4f} ({min(values):.4f} to {max(values):.4f}, n={len(values)})")
    return results


def _run(preset: str, seed: int, *, smoke: bool) -> dict[str, float]:
    side, fit_count, judged = (128, 12, 8) if smoke else (512, 60, 200)
    config = SyntheticConfig(kind="synthetic", preset=preset, seed=seed, width=side, height=side, defect_rate=0.0)
    bad = config.model_copy(update={"defect_rate": 1.0})
    frames = [_frame(config, k) for k in range(2 * fit_count)]
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        bundle = fit_to_bundle(frames[:fit_count], Path(folder) / "fitted", pose="fixed")
        fit_s = time.process_time() - began
        with closing(open_engine(ModelConfig(bundle=bundle.folder, engine="onnx", threads=1), bundle)) as engine:
            workspace = ready_workspace(bundle)

            def scored(frame: Frame) -> Any:
                amap = to_map(frame, engine, workspace)
                assert isinstance(amap, AnomalyMap), amap
                return amap.values

            maxima = [_highest(scored(frame)) for frame in frames[fit_count:]]
            high, _ = choose_high(maxima, FALSE_REJECTS, None)
            good, good_pixels, spent = [], [], 0.0
            for index in range(2 * fit_count, 2 * fit_count + judged):
                frame = _frame(config, index)
                began = time.process_time()
                values = scored(frame)
                spent += time.process_time() - began
                good.append(_highest(values))
                good_pixels.append(_inside(values)[::_STEP].copy())
            faulty, bad_pixels = [], []
            for index in range(2 * fit_count, 2 * fit_count + judged):
                part = synthetic_part(bad, index)
                values = scored(_as_frame(part.pixels, index))
                faulty.append(_highest(values))
                mask = _inside(part.mask) > 0
                bad_pixels.append(_inside(values)[mask].copy())
                good_pixels.append(_inside(values)[~mask][::_STEP].copy())
    return {
        "image_auroc": auroc(good, faulty),
        "pixel_auroc": auroc(np.concatenate(good_pixels), np.concatenate(bad_pixels)),
        "false_rejects": float(np.mean(np.array(good) >= high)),
        "recall": float(np.mean(np.array(faulty) >= high)),
        "fit_s": fit_s,
        "ms_per_frame": 1000 * spent / judged,
    }


def auroc(good: Any, bad: Any) -> float:
    """Probability that a bad value lies above a good one, ties half (Mann and Whitney)."""
    good, bad = np.sort(good), np.asarray(bad)
    below = np.searchsorted(good, bad, "left").astype(np.float64)
    upto = np.searchsorted(good, bad, "right")
    return float((below + upto).sum() / 2 / (len(good) * len(bad)))


def _highest(values: Any) -> float:
    return float(values[BORDER:-BORDER, BORDER:-BORDER].max())


def _inside(values: Any) -> Any:
    return values[BORDER:-BORDER, BORDER:-BORDER].reshape(-1)


def _frame(config: SyntheticConfig, index: int) -> Frame:
    return _as_frame(synthetic_part(config, index).pixels, index)


def _as_frame(pixels: Any, index: int) -> Frame:
    height, width = pixels.shape
    return Frame(FrameMeta(index, "counted", width, height, "Mono8", 0, 0, frame_ref=f"{index:03d}.png"), pixels)
