#!/usr/bin/env python3
"""A daemon left alone for many frames: `scripts/soak.py --frames 20000 [--visits] [--json]`.

The daemon on generated parts at a camera's pace, with all outputs on and one subscriber, watched from outside: memory slope
and growth, file descriptors, threads, latency drift, losses. With `--visits` its config is reloaded again and again,
subscribers come and go, every page of its health server is read, and `edge fleet` watches it all the time.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from soak_visitors import Visitors, visitor_figures

from edge.client import Received, Subscriber
from edge.config.load import load_config
from edge.config.sources import SyntheticConfig
from edge.service.daemon import run_daemon
from edge.service.logs import set_up_logs
from edge.sources.in_memory import MemorySource
from edge.sources.synthetic.parts import synthetic_part
from edge.storage.log_files import read_records, segments

ROOT = Path(__file__).parents[1]
SETTLED = 5000
"""Frames after which memory is to stay where it is; of a shorter run its first quarter."""
PICTURES = 64
CONFIG = """\
camera: soak
runtime_dir: run
deadline_ms: 5000
source: {{kind: synthetic, preset: easy, seed: 1, fps: {fps}, frames: {frames}, defect_rate: 0.02}}
ring: {{slots: 128}}
model: {{bundle: {bundle}}}
regions: {{smooth: {{kind: median, size: 3}}, threshold: {{high: 6.0, low: 4.0}}, min_area_px: 8}}
outputs:
  zmq: {{}}
  jsonl: {{dir: log, rotate_mb: 1, quota_gb: 0.003, sync: interval}}
  evidence: {{dir: evidence, quota_gb: 0.004}}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at one moment; ``frames``: accounted for until then."""

    frames: int
    rss_kb: int
    fds: int
    threads: int


def soak(frames: int, fps: float, folder: Path, *, visits: bool = False) -> tuple[dict[str, Any], list[Sample]]:
    """Run it, and what it came to; with ``visits`` among reloads, subscribers and scrapes."""
    config = folder / "soak.yaml"
    bundle = ROOT / "configs" / "bundles" / "synthetic-part"
    config.write_text(CONFIG.format(fps=fps, frames=frames, bundle=bundle))
    (folder / "run").mkdir()
    began = time.monotonic()
    with (folder / "stderr").open("wb") as stderr:
        command = [sys.executable, __file__, "--child", str(config)]
        process = subprocess.Popen(command, stdout=stderr, stderr=stderr)
    visitors = Visitors(process.pid, config, folder / "run") if visits else None
    try:
        samples, latencies, counters = watch(process, folder / "run" / "endpoints.json", frames, visitors)
        code = process.wait(30)
    finally:
        if visitors is not None and visitors.is_alive():
            visitors.close()
        if process.poll() is None:
            process.kill()
            process.wait()
    if code != 0:
        sys.exit(f"the daemon ended with {code}:\n{(folder / 'stderr').read_text()[-2000:]}")
    seconds = round(time.monotonic() - began, 1)
    return summary(frames, samples, latencies, counters) | visitor_figures(visitors) | {"seconds": seconds}, samples


def child(path: Path) -> int:
    """The daemon, its camera a memory of pictures: one that a busy machine makes late loses nothing before the ring."""
    set_up_logs("info")
    loaded = load_config(path)
    source = loaded.config.source
    assert isinstance(source, SyntheticConfig)
    pictures = [synthetic_part(source, index).pixels for index in range(PICTURES)]
    return run_daemon(loaded, source=MemorySource(pictures, source.frames, fps=source.fps))


def watch(
    process: subprocess.Popen[bytes], endpoints: Path, frames: int, visitors: Visitors | None = None
) -> tuple[list[Sample], list[float], dict[str, Any]]:
    """Samples with each heartbeat, the total latency of each frame that was heard of, and the newest counters."""
    while not endpoints.exists():
        if process.poll() is not None:
            return [], [], {}
        time.sleep(0.01)
    if visitors is not None:
        visitors.start()
    samples: list[Sample] = []
    latencies: list[float] = []
    counters: dict[str, Any] = {"records": 0, "gaps": 0}
    with Subscriber(json.loads(endpoints.read_text())["zmq"]) as line:
        while True:
            over = process.poll() is not None  # asked before: what it said last still waits to be heard
            event = line.receive(0.2)
            if event is None and over:
                break
            if not isinstance(event, Received):
                counters["gaps"] += type(event).__name__ == "Gap"
            elif event.kind == "inspection":
                latencies.append(event.message["latency_ms"]["total"])
                counters["records"] += 1
            elif event.kind == "heartbeat":
                counters |= event.message["counters"]
                done = accounted(event.message["counters"])
                if (sample := look(process.pid, done)) is not None and done < frames:  # at its end it gives things back
                    samples.append(sample)
    return samples, latencies, counters


def look(pid: int, frames: int) -> Sample | None:
    """None where the process has just ended."""
    proc = Path(f"/proc/{pid}")
    try:
        rss_kb = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        return Sample(frames, rss_kb, len(os.listdir(proc / "fd")), len(os.listdir(proc / "task")))
    except (OSError, IndexError):
        return None


def accounted(counters: dict[str, int]) -> int:
    """Frames in records: verdicts and skips."""
    verdicts = sum(counters[name] for name in ("pass", "fail", "invalid"))
    return verdicts + sum(count for name, count in counters.items() if name.startswith("skipped_"))


def summary(frames: int, samples: list[Sample], latencies: list[float], counters: dict[str, Any]) -> dict[str, Any]:
    """The result's figures. ``lost``: frames without an inspection, and records that an output lost."""
    settled = [s for s in samples if s.frames >= min(SETTLED, frames / 4)]
    at, rss = (np.array([getattr(s, name) for s in settled], float) for name in ("frames", "rss_kb"))
    edge = max(len(settled) // 10, 1)
    part = max(len(latencies) // 5, 1)
    first, last = (statistics.median(values) for values in (latencies[:part], latencies[-part:]))
    inspected = sum(counters[name] for name in ("pass", "fail", "invalid"))
    return {
        "frames": frames,
        "lost": frames - inspected + counters["output_lost"],
        "output_lost": counters["output_lost"],
        "rss_slope_kb_per_1000": round(1000 * theil_sen(at, rss), 2),
        "rss_growth_mb": round(float(np.median(rss[-edge:]) - np.median(rss[:edge])) / 1024, 3),
        "rss_mb": round(float(rss[-1]) / 1024, 1),
        "fds": settled[-1].fds,
        "fds_growth": settled[-1].fds - settled[0].fds,
        "threads": settled[-1].threads,
        "threads_growth": settled[-1].threads - settled[0].threads,
        "latency_p50_ms": round(statistics.median(latencies), 3),
        "latency_drift_ms": round(last - first, 3),
        "verdicts": {name: counters[name] for name in ("pass", "fail", "invalid")},
        "skipped": {name.removeprefix("skipped_"): n for name, n in counters.items() if name.startswith("skipped_")},
        "heard": counters["records"],
        "sum_checks": counters["sum_checks"],
    }


def theil_sen(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Median of the slopes between all pairs of points; a few outliers don't move it. Sen 1968, JASA 63:1379."""
    i, j = np.triu_indices(len(x), 1)
    apart = x[j] != x[i]
    slopes = (y[j] - y[i])[apart] / (x[j] - x[i])[apart]
    return float(np.median(slopes)) if len(slopes) else 0.0


def check_log(folder: Path) -> int:
    """Records in what the log's quota has left, read back whole. Raises ValueError where a number is missing."""
    numbers = [record["seq"] for path in segments(folder) for record in read_records(path)]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ValueError("the log has a gap")
    return len(numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--fps", type=float, default=100.0, help="frames per second")
    parser.add_argument("--visits", action="store_true", help="reloads, subscribers and scrapes meanwhile")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of a table")
    arguments = parser.parse_args()
    if arguments.child is not None:
        sys.exit(child(arguments.child))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="edge-soak-") as temp:
        result, _ = soak(arguments.frames, arguments.fps, Path(temp), visits=arguments.visits)
        result["log_records"] = check_log(Path(temp) / "log")
    if arguments.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:22} {value}")


if __name__ == "__main__":
    main()
