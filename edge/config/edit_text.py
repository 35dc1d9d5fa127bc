"""Values in a YAML text are replaced where they stand: the rest, comments and style included, stays."""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from edge.config.yaml_reader import dump_yaml


def with_values(text: str, values: Mapping[tuple[str, ...], str]) -> tuple[str, list[tuple[str, ...]]]:
    """Return the text with the text value ``values[keys]`` behind each path of keys, and the paths that it doesn't have.

    ``text`` is valid YAML. What stood behind a path is replaced whole.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places: list[tuple[int, int, str]] = []
    missing = []
    for keys, value in values.items():
        node = _at(root, keys)
        if node is None:
            missing.append(keys)
        else:
            places.append((node.start_mark.index, node.end_mark.index, _scalar(value)))
    for start, end, value in sorted(places, reverse=True):
        text = text[:start] + value + text[end:]
    return text, missing


def _at(node: yaml.Node | None, keys: tuple[str, ...]) -> yaml.Node | None:
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((inner for name, inner in node.value if name.value == key), None)
    return node


def _scalar(value: str) -> str:
    """Return a text as YAML on one line, which may stand in a flow, too."""
    text = dump_yaml([value]).strip()
    plain = text[2:] if text.startswith("- ") else text[1:-1]
    return plain if not set(plain) & set(",[]{}#&*!|>%@` \n") else f"'{value.replace(chr(39), chr(39) * 2)}'"
