"""Editors complete and check the keys of a line's YAML with the JSON Schema that is made here.

It is pydantic's schema of ``Config``: names, types, limits, defaults and the docstring of each key. Rules that compare
several keys (``low`` must not exceed ``high``) are checked by ``edge check`` alone.
"""

from __future__ import annotations

import json
from typing import Any, Final

from edge.config.line import Config

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def editor_schema() -> str:
    """Return the schema as indented JSON that ends in a newline; every call returns the same text."""
    schema = Config.model_json_schema()
    _describe(schema)
    whole = {"$schema": DIALECT, "title": "The config of one line of edge-inspect"}
    return json.dumps(whole | {k: v for k, v in schema.items() if k not in whole}, indent=2, ensure_ascii=False) + "\n"


def _describe(node: Any) -> None:
    """Make descriptions one paragraph without reStructuredText's double backquotes, and drop titles made from key names."""
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
