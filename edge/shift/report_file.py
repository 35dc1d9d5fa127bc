"""``shift.json``: the report for people to read, and its points on one line at the end, so that who wants only the report
need not read 50,000 points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

_POINTS: Final = b'\n  "points": '


def report_bytes(report: Mapping[str, Any], points: Mapping[str, Any] | None) -> bytes:
    """The whole file; ``points`` as ``FramePoints.as_json`` gave them."""
    head = orjson.dumps(report, option=orjson.OPT_INDENT_2)
    return head.removesuffix(b"\n}") + b"," + _POINTS + orjson.dumps(points) + b"\n}\n"


def report_head(begun: bytes) -> tuple[dict[str, Any], int]:
    """The report without its points, from the beginning of the file, and where the points begin; 0 where it has none.

    Raises:
        ValueError: the bytes are no such report, or end within it.
    """
    place = begun.find(_POINTS)
    head = orjson.loads(begun if place < 0 else begun[:place].rstrip(b",") + b"}")
    if not isinstance(head, dict) or head.get("kind") != "edge.shift":
        raise ValueError("no report of edge shift")
    at = place + len(_POINTS)
    return head, 0 if place < 0 or begun[at:].startswith(b"null") or head.pop("points", None) is not None else at


def points_in(from_points_on: bytes) -> bytes:
    """The points as JSON, from the bytes between where they begin and the end of the file."""
    return from_points_on.rstrip().removesuffix(b"}").rstrip()
