"""A log's records become flat rows, as data frames take them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final

from edge.frames import STAGES
from edge.report.log_summary import Filter, LogDamage, find_files, read_log

_IDENTITY: Final = ("camera", "instance_id", "seq", "created", "received", "frame_id", "frame_ref", "part_id")
COLUMNS: Final = (
    *("kind", *_IDENTITY, "verdict", "reason", "count", "map_max", "smoothed_max", "score", "threshold"),
    *("regions", "area_px", "score_max", "regions_dropped", *(f"latency_{stage}_ms" for stage in STAGES)),
    *("recipe_id", "model", "model_sha256", "config_sha256", "calibration_sha256", "simulated"),
)
_REGION_NUMBERS: Final = ("area_px", "score_max", "score_mean", "fill_ratio", "aspect_ratio", "solidity")
REGION_COLUMNS: Final = (*_IDENTITY, "verdict", "region", "x0", "y0", "x1", "y1", "x", "y", *_REGION_NUMBERS)


def log_rows(paths: str | PathLike[str] | Iterable[str | PathLike[str]], *, regions: bool = False) -> list[dict[str, Any]]:
    """Return a row for each record of a log: ``pandas.DataFrame(edge.read_log("/var/log/edge/cam1"))``.

    Args:
        paths: a log file (torn and compressed ones, too), a folder of them, a replay's ``records.jsonl``, or several.
        regions: a row for each defect region instead, with the identity of its record.

    Returns:
        Rows of plain values, every row with the same keys. ``created`` and ``received`` are datetimes in UTC, lengths are
        in px of the frame, ``latency_..._ms`` in ms. Columns are named as in docs/record.md, nested ones with ``_``
        between. A skip has the ``count`` of the frames that it stands for, and None for what only an inspection has.

    Raises:
        UserError: no such path, a folder without logs, or a file that can't be read.
    """
    several = [paths] if isinstance(paths, (str, PathLike)) else paths
    files = find_files(Path(path) for path in several)
    return list(rows_of(read_log(files, Filter(), LogDamage()), regions=regions))


def rows_of(records: Iterable[Mapping[str, Any]], *, regions: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the rows of records, as ``log_rows`` returns them."""
    for record in records:
        if regions:
            yield from _region_rows(record)
        else:
            yield _row(record)


def _identity(record: Mapping[str, Any]) -> dict[str, Any]:
    skip = record["kind"] == "skip"
    return {
        "camera": record["camera"],
        "instance_id": record["instance_id"],
        "seq": record["seq"],
        "created": _moment(record["created_ns"]),
        "received": _moment(record["received_ns"]),
        "frame_id": record["frame_id_first"] if skip else record["frame_id"],
        "frame_ref": record.get("frame_ref"),
        "part_id": record["part_id_first"] if skip else record["part_id"],
    }


def _row(record: Mapping[str, Any]) -> dict[str, Any]:
    latency = record.get("latency_ms") or {}
    found = record.get("regions") or []
    return {
        "kind": record["kind"],
        **_identity(record),
        "verdict": record["verdict"],
        "reason": record["reason"],
        "count": record.get("count", 1),
        "map_max": record.get("map_max"),
        "smoothed_max": record.get("smoothed_max"),
        "score": record.get("score"),
        "threshold": record.get("threshold"),
        "regions": len(found),
        "area_px": sum(region["area_px"] for region in found),
        "score_max": max((region["score_max"] for region in found if region["score_max"] is not None), default=None),
        "regions_dropped": sum((record.get("regions_dropped") or {}).values()),
        **{f"latency_{stage}_ms": latency.get(stage) for stage in STAGES},
        "recipe_id": record.get("recipe_id"),
        "model": record["model"]["name"],
        "model_sha256": record["model"]["sha256"],
        "config_sha256": record["config_sha256"],
        "calibration_sha256": record.get("calibration_sha256"),
        "simulated": record["simulated"],
    }


def _region_rows(record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for region in record.get("regions") or []:
        x0, y0, x1, y1 = region["bbox_xyxy"]
        x, y = region["centroid_xy"]
        yield {
            **_identity(record),
            "verdict": record["verdict"],
            "region": region["id"],
            "x0": x0,
            "y0": y0,
            "x1": x1,
            "y1": y1,
            "x": x,
            "y": y,
            **{name: region[name] for name in _REGION_NUMBERS},
        }


def _moment(ns: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(ns / 1e9, dt.timezone.utc)
