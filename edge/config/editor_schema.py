"""The JSON Schema of a line's YAML is made here, for editors that complete and check keys while somebody types.

It is pydantic's schema of ``Config``: names, types, limits, defaults and the docstring of each key. What only a
cross-check of several keys can tell (a low above its high) is said by ``edge check``.
"""

from __future__ import annotations

import json
from typing import Any, Final

from edge.config.line import Config

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def editor_schema() -> str:
    """The schema as indented JSON text that ends in a line end; the same text at each call."""
    schema = Config.model_json_schema()
    _describe(schema)
    whole = {"$schema": DIALECT, "title": "The config of one line of edge-inspect"}
    return json.dumps(whole | {k: v for k, v in schema.items() if k not in whole}, indent=2, ensure_ascii=False) + "\n"


def _describe(node: Any) -> None:
    """Descriptions in one paragraph, without reStructuredText's double quotes; no titles made from key names."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if isinstance(node.get("description"), str):
            node["description"] = " ".join(node["description"].split()).replace("``", "`")
        for value in node.values():
            _describe(value)
    elif isinstance(node, list):
        for value in node:
            _describe(value)
