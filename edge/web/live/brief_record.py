"""A record in brief is what a strip of 600 cells shows of each; the whole one is asked for when somebody looks at it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edge.frames import STAGES

SHARES = {"p50": 0.5, "p99": 0.99}


def brief(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record without its regions: what, when, which part, how near the threshold."""
    is_inspection = record["kind"] == "inspection"
    return {
        "kind": record["kind"],
        "instance": record["instance_id"],
        "seq": record["seq"],
        "verdict": record["verdict"],
        "reason": record["reason"],
        "at": record["created_ns"],
        "part": record["part_id"] if is_inspection else record["part_id_first"],
        "count": 1 if is_inspection else record["count"],
        "map_max": record["map_max"] if is_inspection else None,
        "threshold": record["threshold"] if is_inspection else None,
        "regions": len(record["regions"]) if is_inspection else 0,
        "total_ms": record["latency_ms"]["total"] if is_inspection else None,
    }


def quantiles(latencies: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Return p50 and p99 (nearest rank) of each stage in ms; empty without inspections."""
    rows = list(latencies)
    found: dict[str, dict[str, float]] = {}
    for stage in STAGES if rows else ():
        values = sorted(row[stage] for row in rows)
        found[stage] = {name: values[min(int(share * len(values)), len(values) - 1)] for name, share in SHARES.items()}
    return found
