#!/usr/bin/env python3
"""Speed, as ratios measured in one interleaved run: `scripts/bench.py pipeline [--json] [--smoke]`, or another bench."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))

Results: TypeAlias = dict[str, float]
"""Figures by name, as ``--json`` prints them."""


def machine() -> str:
    """One line on what this was measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    load = os.getloadavg()[0]
    return f"{model}, {os.cpu_count()} CPUs, Python {platform.python_version()}, load {load:.2f} at the start"


def spread(values: Sequence[float]) -> str:
    """Median and range of repeats."""
    return f"{statistics.median(values):.3f} ({min(values):.3f} to {max(values):.3f}, n={len(values)})"


def _pipeline(arguments: argparse.Namespace) -> Results:
    import bench_pipeline

    if arguments.smoke:
        bench_pipeline.COSTS_MS, bench_pipeline.SECONDS = (2.0,), 0.3
    return bench_pipeline.measure(arguments.repeats, spread)


def _acquire(arguments: argparse.Namespace) -> Results:
    import bench_acquire

    if arguments.smoke:
        bench_acquire.SETTLE_S, bench_acquire.LEAST_WINDOW_S = 0.1, 0.1
    return bench_acquire.measure(1.0 if arguments.smoke else arguments.seconds, arguments.repeats, spread)


def _regions(arguments: argparse.Namespace) -> Results:
    import bench_regions

    return bench_regions.measure(arguments.repeats, spread, smoke=arguments.smoke)


def _illumination(arguments: argparse.Namespace) -> Results:
    import bench_illumination

    if arguments.smoke:
        bench_illumination.WIDTH, bench_illumination.HEIGHT = 640, 480
    return bench_illumination.measure(arguments.repeats, spread, smoke=arguments.smoke)


def _engines(arguments: argparse.Namespace) -> Results:
    import bench_engines

    if arguments.smoke:
        bench_engines.SIZES, bench_engines.PAIRS = {"1mp": (1024, 1024)}, 1
    return bench_engines.measure(
        arguments.repeats,
        spread,
        model=arguments.model,
        threads=arguments.threads,
        against_anomalib=arguments.anomalib,
    )


def _fit(arguments: argparse.Namespace) -> Results:
    import bench_fit

    return bench_fit.measure(smoke=arguments.smoke, seeds=arguments.repeats)


def _memory(arguments: argparse.Namespace) -> Results:
    import bench_memory

    if arguments.smoke:
        bench_memory.WIDTH, bench_memory.HEIGHT, bench_memory.VECTORS, bench_memory.CALLS = 96, 80, 50, 2
    return bench_memory.measure(arguments.repeats, spread)


def _register(arguments: argparse.Namespace) -> Results:
    import bench_register

    if arguments.smoke:
        bench_register.POSES = 2
    return bench_register.measure(arguments.repeats, spread)


def _drift(arguments: argparse.Namespace) -> Results:
    import bench_drift

    if arguments.smoke:
        bench_drift.WIDTH, bench_drift.HEIGHT, bench_drift.FRAMES = 320, 240, 20
    return bench_drift.measure(arguments.repeats, spread)


def _page(arguments: argparse.Namespace) -> Results:
    import bench_page

    if arguments.smoke:
        bench_page.FRAMES, bench_page.SIDE, bench_page.MAPS, bench_page.SECONDS = 12, 256, 3, 0.3
    return bench_page.measure(arguments.repeats, spread, smoke=arguments.smoke)


BENCHES: dict[str, Callable[[argparse.Namespace], Results]] = {
    "pipeline": _pipeline,
    "acquire": _acquire,
    "regions": _regions,
    "illumination": _illumination,
    "engines": _engines,
    "fit": _fit,
    "memory": _memory,
    "register": _register,
    "drift": _drift,
    "page": _page,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--smoke", action="store_true", help="only show that it runs; its figures mean nothing")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats of each measurement")
    parser.add_argument("--seconds", type=float, default=60.0, help="acquire: length of the run at the camera's limit")
    parser.add_argument("--model", type=Path, help="engines: an ONNX model to measure instead of the bench's own")
    parser.add_argument("--threads", type=int, default=1, help="engines: CPU threads inside one inference")
    parser.add_argument("--anomalib", action="store_true", help="engines: also against anomalib; installs it on first use")
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.repeats = 1
    print(f"machine: {machine()}")
    results = BENCHES[arguments.bench](arguments)
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
