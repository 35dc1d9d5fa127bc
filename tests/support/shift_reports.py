"""A report as ``edge shift -o`` writes it, of frames that never were: two clouds of points, with small pictures."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from edge.drift.statistics import STATISTICS
from edge.shift.report_file import report_bytes
from edge.storage.pictures import encode_jpeg


def blocks(count: int = 8) -> Iterator[dict[str, Any]]:
    """Blocks of measured frames, a minute each up to now; in the second half the edges are lower than ever."""
    now = time.time_ns()
    for k in range(count):
        ended_ns = now - (count - k) * 60 * 10**9
        rows = {s.name: [0.2 * s.floor * (-1) ** k, -5 * s.floor, 5 * s.floor] for s in STATISTICS}
        if k >= count // 2:
            rows["edges_x"][0] = -20 * rows["edges_x"][2]
        yield {"begun_ns": ended_ns - 10**9, "ended_ns": ended_ns, "statistics": rows}


def write_report(
    path: Path, *, cameras: tuple[str, ...] = ("cam1",), frames: int = 40, root: str = "/sets", **more: Any
) -> Path:
    """Write the report and its pictures; returns its path."""
    rng = np.random.default_rng(0)
    side = [0] * frames + [1] * frames
    pictures = [encode_jpeg(np.full((16, 16), 40 + k % 200, np.uint8), 70) for k in range(2 * frames)]
    views = [
        {
            "name": name,
            "across": "",
            "up": "",
            **{axis: (rng.normal(0, 1, 2 * frames) + apart * np.array(side)).round(3).tolist() for axis in "xy"},
        }
        for name, apart in (("PCA", 4.0), ("t-SNE", 8.0))
    ]
    points = {
        "embedding": "lite0 (ImageNet)",
        "side": side,
        "file": [f"frames/{k:08d}.png" for k in [*range(frames), *range(frames)]],
        "views": views,
        "values": {"verdict": ["fail" if one and k % 2 else "pass" for k, one in enumerate(side)]},
        "pictures": {"file": path.with_suffix(".jpegs").name, "ends": list(accumulate(map(len, pictures)))},
    }
    head = {
        "schema": 1,
        "kind": "edge.shift",
        "created": "2026-11-30T10:00:00Z",
        "headline": "blur: defocus 1.1 px -> focus the lens, or edge adapt",
        "verdict": "different",
        "sets": [
            {"name": name, "path": f"sets/{name}", "root": f"{root}/{name}", "frames": frames, "parts": frames}
            for name in ("lab", "line")
        ],
        "separability": {
            "embedding": "lite0",
            "auroc": {"value": 1.0, "low": 0.94, "high": 1.0},
            "mmd": {"value": 0.1, "p": 0.001},
            "mahalanobis_ratio": 4.9,
            "different": True,
        },
        "statistics": [
            {"name": "edges_x", "unit": "ln", "middles": [0.0, -0.4], "z": -9.1, "delta": -1.0, "changed": True}
        ],
        "model": {
            "name": "v3",
            "sha256": "0" * 64,
            "threshold": {"high": 1.3, "from": "the bundle's self-test"},
            "rejected": {"lab": 0.0, "line": 1.0},
        },
        "notes": [],
        "cameras": list(cameras),
        "without_camera": 0 if cameras else 2 * frames,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(report_bytes(head | more, points))
    path.with_suffix(".jpegs").write_bytes(b"".join(pictures))
    return path
