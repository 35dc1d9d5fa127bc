"""A daemon left alone: a short form of ``scripts/soak.py``, and its arithmetic."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import soak


@pytest.mark.parametrize(
    ("frames", "limits"),
    [
        (800, {"rss_growth_mb": 16.0, "fds_growth": 3, "threads_growth": 2}),
        pytest.param(
            20_000,
            {"rss_slope_kb_per_1000": 50.0, "rss_growth_mb": 2.0, "fds_growth": 1, "threads_growth": 0},
            marks=[pytest.mark.soak, pytest.mark.timeout(400)],
        ),
    ],
)
def test_memory_files_and_threads_stay_where_they_are(tmp_path: Path, frames: int, limits: dict[str, float]) -> None:
    """And every frame has its record. A short run is still warming up, so that its limits are wide."""
    result, samples = soak.soak(frames, 150.0 if frames < 2000 else 100.0, tmp_path)
    assert len(samples) >= 5
    assert {name: result[name] for name in limits if result[name] > limits[name]} == {}
    assert sum(result["verdicts"].values()) + sum(result["skipped"].values()) == frames
    assert result["verdicts"]["invalid"] == 0
    assert result["sum_checks"] >= 3
    assert soak.check_log(tmp_path / "log") > 0


def test_an_outlier_does_not_move_the_slope() -> None:
    x = np.arange(20.0)
    y = 3.0 * x + 7.0
    y[4] = 1e6
    assert soak.theil_sen(x, y) == 3.0
    assert soak.theil_sen(np.zeros(3), np.arange(3.0)) == 0.0


def test_losses_are_counted_and_growth_is_of_medians() -> None:
    samples = [soak.Sample(1000 * i, 100_000 + 1024 * (i == 19), 19, 15) for i in range(20)]
    told = {
        "pass": 19_990,
        "fail": 4,
        "invalid": 0,
        "skipped_ring_full": 6,
        "output_lost": 2,
        "records": 1,
        "sum_checks": 9,
    }
    result = soak.summary(20_000, samples, [1.0] * 100, told)
    assert (result["lost"], result["skipped"]) == (8, {"ring_full": 6})
    assert (result["rss_growth_mb"], result["rss_slope_kb_per_1000"]) == (1.0, 0.0)
    assert (result["fds"], result["threads"], result["latency_drift_ms"]) == (19, 15, 0.0)
