"""Every bench runs: a short form of each, whose figures mean nothing, gives the names that its page shows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))
import bench  # noqa: E402

NAMES = {
    "pipeline": {"ratio_2ms", "overhead_p50_ms", "overhead_p99_ms"},
    "acquire": {"fps", "lost_share", "loop_cpu_ms_per_frame", "numpy_speed_kept", "sleep_overshoot_p99_ratio"},
    "regions": {"speckle_256_speedup", "over_floor_256_plain"},
    "illumination": {"speedup_chain_colour", "speedup_hann_512", "calls_share_512"},
    "memory": {"lite0_ms", "lite0_over_backbone", "gabor_ms", "gabor_over_backbone"},
    "register": {"shift_px", "rotation_deg", "scale_percent", "pull_px", "passed_outside", "ms"},
    "drift": {"throughput_kept", "cpu_off_ms", "cpu_on_ms", "measure_ms", "ms_per_frame"},
    "engines": {"call_over_bare", "full_frame_over_floor_1mp"},
    "page": {"rejudge_500_filter_ms", "rejudge_500_upstream_s", "line_fps_kept", "front_rss_mb"},
    "fit": {"image_auroc", "pixel_auroc", "false_rejects", "recall", "fit_s", "ms_per_frame", "hard_recall"},
}


@pytest.mark.parametrize("name", bench.BENCHES)
def test_a_bench_runs_to_its_figures(name: str) -> None:
    if name == "acquire":
        pytest.importorskip("genicam", reason="the extra 'camera' is not installed")
    command = [sys.executable, str(SCRIPTS / "bench.py"), name, "--smoke", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    results = json.loads(done.stdout.splitlines()[-1])
    assert NAMES[name] <= set(results)
    assert all(isinstance(value, (int, float)) for value in results.values())
