"""Every key of ``regions:`` becomes a control of the Tuning page by its JSON Schema: a new key needs nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from edge.config.regions import RegionsConfig

_SHAPES: Final = ("roi", "zones")
"""Sections that are drawn in the picture; their list of shapes stands beside it."""
_LINEAR_TO: Final = {"border_px": 100, "merge_gap_px": 100, "max_regions": 50, "max_aspect_ratio": 20}


def controls() -> list[dict[str, Any]]:
    """Return one entry a key, in the order in which they act: ``key`` (a path with dots), ``kind``, limits, default, help.

    ``kind`` is ``number``, ``integer``, ``choice``, ``switch``, ``shapes``, ``path`` or ``section``, whose keys follow it.
    ``scale`` is ``score`` (the map's values), ``area`` (map px, by powers), ``ratio`` or None. ``off`` is the value that
    turns it off, ``odd`` whether even numbers are refused.
    """
    schema = RegionsConfig.model_json_schema()
    return [one for key, node in schema["properties"].items() for one in _control(key, node, schema, RegionsConfig())]


def _control(path: str, node: Mapping[str, Any], schema: Mapping[str, Any], owner: Any) -> list[dict[str, Any]]:
    key = path.rpartition(".")[2]
    branches = [_resolved(one, schema) for one in node.get("anyOf", node.get("oneOf", [node]))]
    branches = [part for one in branches for part in (_resolved(p, schema) for p in one.get("oneOf", [one]))]
    nullable = any(one.get("type") == "null" for one in branches)
    kept = [one for one in branches if one.get("type") != "null"]
    default = node.get("default")
    base = {"key": path, "help": _words(node.get("description", "")), "nullable": nullable, "default": default}
    if key in _SHAPES or path in ("roi.include", "roi.exclude"):
        section = _sections(kept)
        inner = section[0]["properties"].items() if section else []
        listed = {"kind": "shapes", "fields": [name for name, _ in inner]}
        more = [one for name, part in inner if key == "roi" for one in _control(f"{path}.{name}", part, schema, owner)]
        return [base | listed, *more]
    section = _sections(kept)
    if section:
        words = [one.get("const") for one in kept if "const" in one]
        head = base | {"kind": "section", "words": words}
        return [
            head,
            *(
                c
                for name, part in section[0]["properties"].items()
                for c in _control(f"{path}.{name}", part, schema, owner)
            ),
        ]
    return [base | _leaf(key, kept[0], node)]


def _leaf(key: str, kept: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    kind = kept.get("type")
    if "enum" in kept or "const" in kept:
        return {"kind": "choice", "words": kept.get("enum", [kept.get("const")])}
    if kind == "boolean":
        return {"kind": "switch"}
    if kind == "string":
        return {"kind": "path"}
    low, high = kept.get("minimum", kept.get("exclusiveMinimum")), kept.get("maximum", kept.get("exclusiveMaximum"))
    scale = "score" if low is None and kind == "number" else "area" if "area" in key else "ratio" if high == 1 else None
    off = 0 if node.get("default") == 0 and not any(one.get("type") == "null" for one in node.get("anyOf", [])) else None
    odd = kind == "integer" and (key in ("open_px", "close_px", "dilate_px") or key == "size")
    return {
        "kind": "integer" if kind == "integer" else "number",
        "min": 0 if low is None and scale != "score" else low,
        "max": _LINEAR_TO.get(key, high) if high is None or key in _LINEAR_TO else high,
        "scale": scale,
        "off": off,
        "odd": odd,
        "unit": "map px" if key.endswith("_px") or key in ("size", "sigma") else "",
    }


def _sections(branches: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found = [one for one in branches if "properties" in one]
    items = [one["items"] for one in branches if one.get("type") == "array" and isinstance(one.get("items"), dict)]
    return found or [one for one in items if "properties" in one]


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        found: Mapping[str, Any] = schema["$defs"][node["$ref"].rpartition("/")[2]]
        return found
    if node.get("type") == "array" and "$ref" in node.get("items", {}):
        return {**node, "items": _resolved(node["items"], schema)}
    return node


def _words(text: str) -> str:
    return " ".join(text.split()).replace("``", "")
