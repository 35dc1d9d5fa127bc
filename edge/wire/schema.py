"""JSON Schema (draft 2020-12) of every message that goes out, for readers in any language.

Within one major version fields are only ever added, so unknown ones are allowed everywhere and are to be ignored.
"""

from __future__ import annotations

from typing import Any

VERSION = 1
"""Major version: stands in each message as ``schema`` and in each topic."""
RECORD_KINDS = ("inspection", "skip")
VERDICTS = ("pass", "fail", "invalid")


_ADDED = {"chunks", "torn_bytes"}
"""Fields that came after the first records of this major version were written: readers do without them."""


def _object(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}} | properties,
        "required": ["kind", *(name for name in properties if name not in _ADDED)],
        "additionalProperties": True,
    }


def _or_null(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


def _array(items: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items} | ({} if count is None else {"minItems": count, "maxItems": count})


_TEXT, _BOOL, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
_INT, _COUNT = {"type": "integer"}, {"type": "integer", "minimum": 0}
_SHA256 = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_COUNTS = {"type": "object", "additionalProperties": _COUNT}
_FREE = {"type": "object"}
_ID_SOURCE = {"enum": ["device", "counted"]}
_HEAD = {
    "schema": {"const": VERSION},
    "instance_id": _TEXT | {"minLength": 1},
    "camera": {"type": "string", "pattern": "^[a-z0-9_]{1,32}$"},
    "simulated": _BOOL,
}
_MADE_BY = {
    "recipe_id": _or_null(_TEXT),
    "config_sha256": _SHA256,
    "model": {"type": "object", "properties": {"name": _TEXT, "sha256": _SHA256}, "required": ["name", "sha256"]},
    "calibration_sha256": _or_null(_SHA256),
}
_RECORD = _HEAD | {"seq": _COUNT, "created_ns": _INT, "received_ns": _INT, "part_id": _or_null(_INT)} | _MADE_BY
_REGION = {
    "id": _INT,
    "bbox_xyxy": _array(_INT, 4),
    "area_px": _NUMBER,
    "centroid_xy": _array(_NUMBER, 2),
    "score_max": _NUMBER,
    "score_mean": _NUMBER,
    "fill_ratio": _NUMBER,
    "aspect_ratio": _NUMBER,
    "solidity": _or_null(_NUMBER),
    "polygon": _or_null(_array(_array(_NUMBER, 2))),
}
_KINDS: dict[str, dict[str, Any]] = {
    "inspection": {
        "verdict": {"enum": list(VERDICTS)},
        "reason": _or_null(_TEXT),
        "frame_id": _INT,
        "frame_id_source": _ID_SOURCE,
        "frame_ref": _or_null(_TEXT),
        "camera_ns": _or_null(_INT),
        "timestamp_source": {"enum": ["host", "camera", "ptp"]},
        "chunks": _or_null({"type": "object", "additionalProperties": _or_null(_NUMBER)}),
        "map_max": _or_null(_NUMBER),
        "score": _or_null(_NUMBER),
        "threshold": _NUMBER,
        "regions": _array({"type": "object", "properties": _REGION, "required": list(_REGION)}),
        "regions_dropped": _COUNTS,
        "latency_ms": {
            "type": "object",
            "properties": dict.fromkeys(("queue", "infer", "wait", "judge", "total"), _NUMBER),
            "required": ["queue", "infer", "wait", "judge", "total"],
        },
    },
    "skip": {
        "verdict": {"const": "invalid"},
        "reason": _TEXT,
        "part_id": {"type": "null"},
        "frame_id_source": _ID_SOURCE,
        "frame_ref": _or_null(_TEXT),
        "count": {"type": "integer", "minimum": 1},
        "frame_id_first": _or_null(_INT),
        "frame_id_last": _or_null(_INT),
        "part_id_first": _or_null(_INT),
        "part_id_last": _or_null(_INT),
    },
    "state": {
        "created_ns": _INT,
        "state_seq": _COUNT,
        "line_state": {
            "enum": ["Preoperational", "Initialized", "Ready", "ContinuousExecution", "Halted", "Error"],
        },
        "source_state": _TEXT,
        "engine": _FREE,
        "outputs": _FREE,
        "drift": _or_null(_FREE),
        "faults": _array(
            {
                "type": "object",
                "properties": {"code": _TEXT, "since_ns": _INT, "text": _TEXT},
                "required": ["code", "since_ns", "text"],
            }
        ),
    },
    "heartbeat": {
        "created_ns": _INT,
        "last_seq": _or_null(_COUNT),
        "counters": _COUNTS,
        "ring_fill": _COUNT,
        "progress_age_ms": _NUMBER,
    },
    "header": _MADE_BY | {"started_ns": _INT, "torn_bytes": _COUNT},
}
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": f"edge-inspect messages, schema {VERSION}",
    "description": "One message per JSON object. Unknown fields are to be ignored.",
    "oneOf": [{"$ref": f"#/$defs/{kind}"} for kind in _KINDS],
    "$defs": {
        kind: _object(kind, (_RECORD if kind in RECORD_KINDS else _HEAD) | fields) for kind, fields in _KINDS.items()
    },
}

REQUIRED: dict[str, list[str]] = {kind: part["required"] for kind, part in SCHEMA["$defs"].items()}
"""Names of the fields that each kind of message has."""
