"""What a camera's features are now, for people: values, limits, choices, access; and as a config writes them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from genicam import genapi

from edge.config import Feature
from edge.sources.genicam_features import BINDING_ERRORS, READABLE, increment, read_value

_KINDS: Final = {
    genapi.IInteger: "integer",
    genapi.IFloat: "float",
    genapi.IBoolean: "boolean",
    genapi.IEnumeration: "enumeration",
    genapi.IString: "string",
    genapi.ICommand: "command",
}
_INVISIBLE: Final = genapi.EVisibility.Invisible


@dataclass(frozen=True, slots=True)
class FeatureInfo:
    """One feature. ``value`` is None where it can't be read, limits where it has none; ``access``: RW, RO, WO or NA."""

    name: str
    kind: str
    access: str
    value: bool | int | float | str | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    selectors: tuple[str, ...] = ()
    """Features whose values decide what this one means."""


def describe(node_map: Any) -> list[FeatureInfo]:
    """Every feature that the camera implements and shows, in the order of its description file."""
    found = []
    for node in node_map.nodes:
        kind = _KINDS.get(type(node))
        if kind is None or not node.node.is_feature() or node.node.visibility == _INVISIBLE:
            continue
        mode = node.get_access_mode()
        if mode != genapi.EAccessMode.NI:
            found.append(_describe_one(node, kind, mode))
    return found


def settings(node_map: Any) -> list[Feature]:
    """The writable features that GenICam holds to be a camera's settings, as ``source.features`` takes them.

    What one selector selects is read for each of its values, with the selector written before it; the selector is put
    back. Features under several selectors are taken at the selectors' present values.
    """
    found: list[Feature] = []
    selected: dict[str, list[Any]] = {}
    for node in node_map.nodes:
        if type(node) not in _KINDS or not node.node.is_feature() or not node.node.is_streamable():
            continue
        selectors = [value.node.name for value in node.node.selecting_features]
        if len(selectors) == 1:
            selected.setdefault(selectors[0], []).append(node)
        else:
            found += _settings_of([node])
    for name, nodes in selected.items():
        selector = node_map.get_node(name)
        if selector.get_access_mode() != genapi.EAccessMode.RW:
            found += _settings_of(nodes)
            continue
        before = read_value(selector)
        for choice in _choices(selector):
            with suppress(*BINDING_ERRORS):  # a choice that the camera refuses now
                selector.set_value(choice)
                values = _settings_of(nodes)
                found += [(name, choice), *values] if values else []
        selector.set_value(before)
    return found


def _describe_one(node: Any, kind: str, mode: int) -> FeatureInfo:
    readable = mode in READABLE
    low = high = step = None
    unit, choices = "", ()
    if kind in ("integer", "float"):
        unit, step = node.unit, increment(node)
        if readable:
            low, high = node.min, node.max
    elif kind == "enumeration":
        choices = tuple(node.symbolics)
    selectors = tuple(value.node.name for value in node.node.selecting_features)
    access = genapi.EAccessMode(mode).name
    return FeatureInfo(
        node.node.name, kind, access, _value(node) if readable else None, unit, low, high, step, choices, selectors
    )


def _settings_of(nodes: list[Any]) -> list[Feature]:
    """Those that can be read and written now, as entries."""
    writable = [node for node in nodes if node.get_access_mode() == genapi.EAccessMode.RW]
    values = [(node.node.name, _value(node)) for node in writable]
    return [(name, value) for name, value in values if value is not None]


def _value(node: Any) -> bool | int | float | str | None:
    try:
        value: bool | int | float | str | None = read_value(node)
    except BINDING_ERRORS:
        return None
    return value


def _choices(selector: Any) -> list[Any]:
    """Every value of an enumeration, or of an integer that counts a few; else only the present one."""
    if isinstance(selector, genapi.IEnumeration):
        return list(selector.symbolics)
    if isinstance(selector, genapi.IInteger) and selector.max - selector.min < 32:
        return list(range(selector.min, selector.max + 1, max(1, int(increment(selector) or 1))))
    return [read_value(selector)]
