"""A JSON Schema (draft 2020-12) describes every message that goes out, for readers in any language.

Within one major version fields are only ever added, so unknown ones are allowed everywhere and are to be ignored.
"""

from __future__ import annotations

from typing import Any

from edge.wire.json_types import BOOL, COUNT, COUNTS, FREE, ID_SOURCE, INT, NUMBER, SHA256, TEXT, array, or_null
from edge.wire.record_fields import DRIFT_FIELDS, INSPECTION_FIELDS
from edge.wire.record_fields import VERDICTS as VERDICTS

VERSION = 1
"""Major version; it stands in each message as ``schema`` and in each topic."""
RECORD_KINDS = ("inspection", "skip")
SEQ_MAX = 2**53 - 1
"""Highest ``seq`` of a record, which every language holds exactly. At 1,000 records a second it takes 285,000 years."""


_ADDED = {
    "edge_version",
    "torn_bytes",
    "created_mono_ns",
    "drift_block",
    *(field.name for field in INSPECTION_FIELDS if field.added),
}
"""Fields that came after the first records of this major version were written: readers do without them."""


def _object(kind: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"kind": {"const": kind}} | properties,
        "required": ["kind", *(name for name in properties if name not in _ADDED)],
        "additionalProperties": True,
    }


def _object_of(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_HEAD = {
    "schema": {"const": VERSION},
    "instance_id": TEXT | {"minLength": 1},
    "camera": {"type": "string", "pattern": "^[a-z0-9_]{1,32}$"},
    "simulated": BOOL,
}
_MADE_BY = {
    "recipe_id": or_null(TEXT),
    "config_sha256": SHA256,
    "model": {"type": "object", "properties": {"name": TEXT, "sha256": SHA256}, "required": ["name", "sha256"]},
    "calibration_sha256": or_null(SHA256),
}
_CREATED = {"created_ns": INT, "created_mono_ns": INT}
_SEQ = COUNT | {"maximum": SEQ_MAX}
_RECORD = _HEAD | {"seq": _SEQ} | _CREATED | {"received_ns": INT, "part_id": or_null(INT)} | _MADE_BY
_BLOCK = _object_of(
    {"begun_ns": INT, "ended_ns": INT, "statistics": {"type": "object", "additionalProperties": array(NUMBER)}}
)
_KINDS: dict[str, dict[str, Any]] = {
    "inspection": {field.name: field.schema for field in INSPECTION_FIELDS},
    "skip": {
        "verdict": {"const": "invalid"},
        "reason": TEXT,
        "part_id": {"type": "null"},
        "frame_id_source": ID_SOURCE,
        "frame_ref": or_null(TEXT),
        "count": {"type": "integer", "minimum": 1},
        "frame_id_first": or_null(INT),
        "frame_id_last": or_null(INT),
        "part_id_first": or_null(INT),
        "part_id_last": or_null(INT),
    },
    "state": {
        "created_ns": INT,
        "state_seq": COUNT,
        "line_state": {
            "enum": ["Preoperational", "Initialized", "Ready", "ContinuousExecution", "Halted", "Error"],
        },
        "source_state": TEXT,
        "edge_version": TEXT,
        "engine": FREE,
        "outputs": FREE,
        "drift": or_null(_object_of({**DRIFT_FIELDS, "since_ns": INT})),
        "drift_block": or_null(_BLOCK),
        "faults": array(
            {
                "type": "object",
                "properties": {"code": TEXT, "since_ns": INT, "text": TEXT},
                "required": ["code", "since_ns", "text"],
            }
        ),
    },
    "heartbeat": _CREATED
    | {
        "last_seq": or_null(COUNT),
        "counters": COUNTS,
        "ring_fill": COUNT,
        "progress_age_ms": NUMBER,
    },
    "drift": _CREATED | {"seq": _SEQ, "drift": or_null(_object_of(DRIFT_FIELDS))},
    "drift_block": _CREATED | {"block": _BLOCK},
    "header": _MADE_BY | {"started_ns": INT, "torn_bytes": COUNT},
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
