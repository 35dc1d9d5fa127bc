"""These are the types that JSON Schema knows, as far as our messages use them."""

from __future__ import annotations

from typing import Any, Final


def or_null(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


def array(items: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    return {"type": "array", "items": items} | ({} if count is None else {"minItems": count, "maxItems": count})


TEXT, BOOL, NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
INT, COUNT = {"type": "integer"}, {"type": "integer", "minimum": 0}
SHA256: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
COUNTS: Final = {"type": "object", "additionalProperties": COUNT}
FREE: Final = {"type": "object"}
ID_SOURCE: Final = {"enum": ["device", "counted"]}
