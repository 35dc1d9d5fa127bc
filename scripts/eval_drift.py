#!/usr/bin/env python3
"""How well drift is noticed and named: `scripts/eval_drift.py [--json] [--seeds N] [--smoke]`.

The line is the shipped generator's `pinned` preset; its model is what `edge fit` makes. Changes come from another
implementation than the library's (`tests/support/other_corruptions.py`). A cause's first strength is where the frozen
model's false rejects rise by 5 points or its recall falls by 10, on 40 good and 40 bad frames, or else the strongest over
1.6; the others are 1.3 and 1.6 times that, up to the strongest. A change begins anywhere in a block; `detect_frames` are
frames of the camera, of which every fifth is measured, from there to the warning.

`unknown` is of two causes that the library then lacks. The false warnings are of statistics that vary with a time
constant of 500 frames and one standard deviation. `throughput_kept` is of whole lines on 3 MP, with and without in turns,
as `scripts/bench.py drift` has it with more repeats: on a busy machine it says little.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import bench_drift
from support.other_corruptions import TWO_WAY, disturbed

from edge.config.line import ModelConfig
from edge.disturb.corruptions import CORRUPTIONS
from edge.drift.baseline import Baseline, BaselineKey
from edge.drift.detector import Detector
from edge.drift.fit_template import fit_template
from edge.drift.floors import FLOORS
from edge.drift.ladder import PlaceLimits
from edge.drift.learn import learn, plan_signatures
from edge.drift.meter import Meter
from edge.drift.reference import make_reference
from edge.drift.signatures import Library
from edge.drift.statistics import NAMES
from edge.engines.open import open_engine
from edge.engines.registration import ready_workspace
from edge.engines.to_map import to_map
from edge.frames import AnomalyMap, Frame, FrameMeta
from edge.models.calibrate.thresholds import choose_high
from edge.models.fit.fit import fit_to_bundle
from edge.sources.synthetic.parts import make_scene

CAUSES = (
    "brightness", "gradient", "shadow", "contrast", "motion_blur", "defocus", "noise", "shift", "rotation", "occlusion",
)  # fmt: skip
LEFT_OUT = ("scale", "background")
FACTORS = (1.0, 1.3, 1.6)
EVERY = 5


class Line:
    """One line: its frames, its frozen model and its baseline."""

    def __init__(self, seed: int, *, smoke: bool) -> None:
        self.seed, self.side = seed, 96 if smoke else 192
        self.judged = 8 if smoke else 40
        self._scene = make_scene("pinned", seed, self.side, self.side)
        self.good = [self.frame(number) for number in range(260 if smoke else 500)]
        self.bad = [self.frame(number, 1.0) for number in range(5000, 5000 + self.judged)]
        self.meter = Meter(fit_template(self.good[::21], 8))
        series = np.array([self.meter.measure(frame) for frame in self.good])
        self.usual, self.reference = series, make_reference([series])
        plan = plan_signatures(210 if smoke else 4500)
        signatures = learn(self.meter, self.good[:: len(self.good) // 8], 8, self.reference.sigma, plan)
        key = BaselineKey("0" * 64, None, (self.side, self.side))
        places = PlaceLimits(0.05 * self.side)
        self.baseline = Baseline(key, self.meter.template, places, (series.astype(np.float32),), signatures)

    def frame(self, number: int, defect_rate: float = 0.0) -> Any:
        out = np.empty((self.side, self.side), np.uint8)
        self._scene.render(number, defect_rate, out)
        return out

    def strengths(self, folder: Path) -> dict[str, tuple[float, ...]]:
        """Three strengths of each cause, from where the frozen model breaks."""
        fitted = fit_to_bundle((_framed(frame) for frame in self.good[:60]), folder / "fitted", pose="fixed")
        with closing(open_engine(ModelConfig(bundle=fitted.folder, engine="onnx", threads=1), fitted)) as engine:
            workspace = ready_workspace(fitted)

            def rejected(frames: list[Any], high: float) -> float:
                maps = [to_map(_framed(frame), engine, workspace) for frame in frames]
                # a part out of place is rejected, too: its record is invalid
                return float(np.mean([not isinstance(m, AnomalyMap) or m.values.max() >= high for m in maps]))

            maps = [to_map(_framed(frame), engine, workspace) for frame in self.good[60:160]]
            high, _ = choose_high([float(m.values.max()) for m in maps if isinstance(m, AnomalyMap)], 0.001, None)
            good, bad = self.good[160 : 160 + self.judged], self.bad
            usual, before = rejected(bad, high), rejected(good, high)

            def breaks(cause: str, size: float) -> bool:
                if rejected([disturbed(cause, f, size, 5, n) for n, f in enumerate(good)], high) >= before + 0.05:
                    return True
                return rejected([disturbed(cause, f, size, 5, n) for n, f in enumerate(bad)], high) <= usual - 0.1

            found = {}
            for cause in (*CAUSES, *LEFT_OUT):
                row = CORRUPTIONS[cause].strengths
                first = next((size for size in row if breaks(cause, size)), row.strongest / FACTORS[-1])
                found[cause] = tuple(min(first * factor, row.strongest) for factor in FACTORS)
        return found


def naming(line: Line, strengths: dict[str, tuple[float, ...]]) -> list[dict[str, Any]]:
    """Each cause in each strength, up to the warning or 200 measured frames."""
    lacking = Library(line.baseline.signatures.without(LEFT_OUT), line.reference.jitter)
    rows, begins = [], np.random.default_rng(line.seed)
    for cause, sizes in strengths.items():
        for number, size in enumerate(sizes):
            signed = -size if cause in TWO_WAY and (line.seed + number) % 2 else size
            monitor = line.baseline.monitor(every=1)
            for values in line.usual[: 50 + begins.integers(50)]:
                monitor.see(values, 0)
            for measured in range(200):
                picture = line.good[(7 * measured) % len(line.good)]
                values = line.meter.measure(disturbed(cause, picture, signed, 100 * line.seed + number, measured))
                drift = monitor.see(values, measured)
                if monitor.warned:
                    break
            named = None if drift is None or not drift.causes else drift.causes[0]
            if cause in LEFT_OUT and monitor.block is not None:
                named = lacking.name(line.reference.frame_z(monitor.block.newest))[0]
            rows.append({
                "cause": cause, "size": round(signed, 3), "frames": EVERY * (measured + 1),
                "warned": monitor.warned,
                "named": named and named.cause, "group": named and named.group, "named_size": named and named.size,
            })  # fmt: skip
            print(rows[-1], file=sys.stderr)
    return rows


def false_warnings(time_constants: int, runs: int, frames: int, seed: int) -> float:
    """Share of runs with a warning; the reference is as long as so many time constants of 500 frames."""
    rng = np.random.default_rng([seed, time_constants])
    keep, reference = np.exp(-1 / 500), time_constants * 500
    values = np.empty((reference + 2500 + frames, runs, len(NAMES)), np.float32)
    state = rng.standard_normal(values.shape[1:])
    for step in values:
        step[:] = state
        state = keep * state + np.sqrt(1 - keep**2) * rng.standard_normal(state.shape)
    values *= (10 * FLOORS).astype(np.float32)
    warned = 0
    for run in range(runs):
        detector = Detector(make_reference([values[:reference, run].astype(np.float64)]))
        blocks = (detector.add(row, 0) for row in values[reference + 2500 :, run])
        warned += any(block is not None and block.warns(3) for block in blocks)
    return warned / runs


def ladder(line: Line) -> dict[str, Any]:
    """Measured frames until each breach locks and unlocks, and what 30 % real defects raise."""
    delays: dict[str, Any] = {}
    white = lambda frame: np.clip(frame.astype(np.float64) * 1.8, 0, 255).astype(np.uint8)  # noqa: E731
    changes = {
        "clipped": white,
        "out_of_focus": lambda frame: disturbed("defocus", frame, 2.6, 4, 0),
        "out_of_place": lambda frame: disturbed("shift", frame, 0.1 * line.side, 4, 0),
    }
    for breach, change in changes.items():
        monitor = line.baseline.monitor(every=1)
        spells = [change(frame) for frame in line.good[:50]], line.good[50:100]
        seen = [[monitor.see(line.meter.measure(frame), 0) for frame in spell] for spell in spells]
        locked = [[drift is not None and breach in drift.locks for drift in spell] for spell in seen]
        delays[f"{breach}_locks_after"] = locked[0].index(True) + 1 if True in locked[0] else None
        delays[f"{breach}_unlocks_after"] = locked[1].index(False) + 1 if False in locked[1] else None
    monitor, raised, locks = line.baseline.monitor(every=1), set(), 0
    for number in range(150 if line.side < 100 else 400):
        drift = monitor.see(line.meter.measure(line.frame(9000 + number, 0.3)), 0)
        if drift is not None:
            raised |= {cause.group for cause in drift.causes}
            locks += drift.locked
    return delays | {"defects_raise": sorted(raised), "defects_locked_frames": locks}


def cost(*, smoke: bool) -> dict[str, float]:
    """Throughput with drift over that without, in turns, and milliseconds of a measured frame: `scripts/bench.py drift`."""
    if smoke:
        bench_drift.FRAMES, bench_drift.WIDTH, bench_drift.HEIGHT = 10, 512, 384
    with contextlib.redirect_stdout(sys.stderr):
        return bench_drift.measure(1 if smoke else 3, str)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the figures alone, as JSON")
    parser.add_argument("--seeds", type=int, default=1, help="lines to evaluate; ten for a figure to quote")
    parser.add_argument("--smoke", action="store_true", help="a short form that only shows that it runs")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    figures = evaluate(arguments.seeds, smoke=arguments.smoke)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name}: {value}")


def evaluate(seeds: int, *, smoke: bool) -> dict[str, Any]:
    rows, ladders = [], []
    for seed in range(3, 3 + seeds):
        line = Line(seed, smoke=smoke)
        if smoke:
            strengths = {cause: (CORRUPTIONS[cause].strengths.steps[3],) for cause in (*CAUSES[:2], LEFT_OUT[0])}
        else:
            with tempfile.TemporaryDirectory() as folder:
                strengths = line.strengths(Path(folder))
        rows += naming(line, strengths)
        ladders.append(ladder(line))
    known = [row for row in rows if row["cause"] not in LEFT_OUT]
    first = [row for row in known if row["named"] == row["cause"]]
    runs, frames = (2, 2000) if smoke else (20, 20_000)
    speed = cost(smoke=smoke)
    return {
        "named_first": _share(known, lambda row: row["named"] == row["cause"]),
        "named_group": _share(known, lambda row: row["group"] == CORRUPTIONS[row["cause"]].group),
        "named_unknown": _share([row for row in rows if row not in known], lambda row: row["named"] == "unknown"),
        "size_within_1_5": _share(first, lambda row: 1 / 1.5 <= row["named_size"] / row["size"] <= 1.5),
        "warned": _share(rows, lambda row: row["warned"]),
        "detect_frames": max(row["frames"] for row in rows),
        "detect_frames_median": float(np.median([row["frames"] for row in rows])),
        "detected_within_300": _share(rows, lambda row: row["warned"] and row["frames"] <= 300),
        "false_warning_runs": {n: false_warnings(n, runs, frames, seeds) for n in (10, 20)},
        "ladder": ladders,
        "ms_per_frame": speed["ms_per_frame"],
        "ms_measured_frame": speed["measure_ms"],
        "throughput_kept": speed["throughput_kept"],
        "seeds": seeds,
    }


def _share(rows: list[dict[str, Any]], right: Any) -> float | None:
    return round(float(np.mean([right(row) for row in rows])), 3) if rows else None


def _framed(pixels: Any) -> Frame:
    height, width = pixels.shape
    return Frame(FrameMeta(0, "counted", width, height, "Mono8", 0, 0), pixels)


if __name__ == "__main__":
    main()
