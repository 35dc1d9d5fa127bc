"""Small inspections, skips and an identity for tests of what is written and sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from edge.frames import Frame, FrameMeta, Inspection, Latency, Region, RunIdentity, Skip, State
from edge.wire.encode import Wire

IDENTITY = RunIdentity("run1", "cam1", "tile-40", False, "a" * 64, "tile-40", "b" * 64, None)
META = FrameMeta(7, "device", 4, 3, "Mono8", received_ns=1_000, received_mono_ns=5, part_id=42)
FRAME = Frame(META, np.zeros((3, 4), np.uint8))
LATENCY = Latency(0.1, 2.0, 0.25, 0.3333333, 2.6833333)
REGION = Region(
    id=0,
    bbox_xyxy=(10, 20, 50, 60),
    area_px=1600.0,
    centroid_xy=(29.5, 39.5),
    score_max=float(np.float32(0.3)),
    score_mean=0.25,
    fill_ratio=1.0,
    aspect_ratio=1.0,
    solidity=None,
    polygon=((10.0, 20.0), (50.1, 20.0), (50.0, 60.0)),
)
GRADIENT = {
    "cause": "gradient",
    "group": "lighting",
    "size": 0.18,
    "unit": "share",
    "words": "18 % more light to the right",
}
DRIFT: dict[str, Any] = {
    "level": "warn",
    **GRADIENT,
    "z": 9.5,
    "statistic": "tilt_x",
    "causes": [GRADIENT],
    "breaches": [],
    "locks": [],
}
STATE = State(0, "Ready", "waiting_for_trigger", {"name": "onnx"}, {"zmq": {"ok": True}})
WIRE = Wire(IDENTITY)


def inspection(**changes: Any) -> Inspection:
    """A pass, but for ``changes``."""
    passed = Inspection(meta=META, verdict="pass", map_max=float(np.float32(0.1)), threshold=0.6, latency_ms=LATENCY)
    return replace(passed, **changes)


def record(seq: int, wire: Wire = WIRE) -> Any:
    """Record ``seq`` of a pass."""
    return wire.inspection(seq, inspection(), 2_000)


def skip(**changes: Any) -> Skip:
    """Two frames that the camera's ids say were lost, but for ``changes``."""
    return replace(Skip("frame_id_gap", 2, 8, 9, received_ns=1_500), **changes)


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a mapping or list where something stands."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(*path, key), *paths_in(value, (*path, key))]]


def with_value(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with ``value`` at ``path``."""
    if not path:
        return value
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[path[0]] = with_value(copy[path[0]], path[1:], value)
    return copy
