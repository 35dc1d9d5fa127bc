#!/usr/bin/env python3
"""Speed, as ratios measured in one interleaved run: `scripts/bench.py pipeline [--json]`, `acquire`, `regions`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench", choices=["pipeline", "acquire", "regions", "illumination", "engines"])
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats of each measurement")
    parser.add_argument("--seconds", type=float, default=60.0, help="acquire: length of the run at the camera's limit")
    parser.add_argument("--model", type=Path, help="engines: an ONNX model to measure instead of the bench's own")
    parser.add_argument("--threads", type=int, default=1, help="engines: CPU threads inside one inference")
    parser.add_argument("--anomalib", action="store_true", help="engines: also against anomalib; installs it on first use")
    arguments = parser.parse_args()
    print(f"machine: {machine()}")
    if arguments.bench == "acquire":
        import bench_acquire

        results = bench_acquire.measure(arguments.seconds, arguments.repeats, spread)
    elif arguments.bench == "regions":
        import bench_regions

        results = bench_regions.measure(arguments.repeats, spread)
    elif arguments.bench == "illumination":
        import bench_illumination

        results = bench_illumination.measure(arguments.repeats, spread)
    elif arguments.bench == "engines":
        import bench_engines

        results = bench_engines.measure(
            arguments.repeats,
            spread,
            model=arguments.model,
            threads=arguments.threads,
            against_anomalib=arguments.anomalib,
        )
    else:
        import bench_pipeline

        results = bench_pipeline.measure(arguments.repeats, spread)
    if arguments.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
