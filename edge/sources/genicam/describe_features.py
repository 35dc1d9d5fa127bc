"""A camera's features are described for people as they are now: values, limits, choices, access; and as a config writes
them.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from genicam import genapi

from edge.config.sources import Feature
from edge.sources.genicam.features import BINDING_ERRORS, READABLE, increment, read_value

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
    """A feature's ``value`` is None if it can't be read, limits are None if it has none; ``access`` is RW, RO, WO or NA."""

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


def describe_features(node_map: Any) -> list[FeatureInfo]:
    """Describe every feature that the camera implements and shows, in the order of its description file."""
    features = []
    for node in node_map.nodes:
        kind = _KINDS.get(type(node))
        if kind is None or not node.node.is_feature() or node.node.visibility == _INVISIBLE:
            continue
        mode = node.get_access_mode()
        if mode != genapi.EAccessMode.NI:
            features.append(_describe_one(node, kind, mode))
    return features


def settings(node_map: Any) -> list[Feature]:
    """Return the writable features that GenICam counts as a camera's settings, as ``source.features`` takes them.

    What one selector selects is read for each of its values, with the selector written before it; camera and list leave
    the selector as it was. Features under several selectors are taken at the selectors' present values. The picture's
    place and size come together, in an order that holds whatever the camera's place and size were before.
    """
    plain: list[Any] = []
    selected: dict[str, list[Any]] = {}
    for node in node_map.nodes:
        if type(node) not in _KINDS or not node.node.is_feature() or not node.node.is_streamable():
            continue
        selectors = [value.node.name for value in node.node.selecting_features]
        if len(selectors) == 1:
            selected.setdefault(selectors[0], []).append(node)
        else:
            plain.append(node)
    blocks = [[feature] for feature in _settings_of(plain)]
    blocks += [found for name, nodes in selected.items() if (found := _selected(node_map.get_node(name), nodes))]
    return _in_order(blocks, _smallest(plain))


def _selected(selector: Any, nodes: list[Any]) -> list[Feature]:
    """Return what the selector selects, at each of its values; at last the selector's own value."""
    if selector.get_access_mode() != genapi.EAccessMode.RW:
        return _in_order([[feature] for feature in _settings_of(nodes)], _smallest(nodes))
    name, before = selector.node.name, read_value(selector)
    features: list[Feature] = []
    written = before
    for choice in _choices(selector):
        with suppress(*BINDING_ERRORS):  # a choice that the camera refuses now
            selector.set_value(choice)
            values = _in_order([[feature] for feature in _settings_of(nodes)], _smallest(nodes))
            if values:
                features += [(name, choice), *values]
                written = choice
    selector.set_value(before)
    return features if written == before else [*features, (name, before)]


_SIZES: Final = ("Width", "Height")
_OFFSETS: Final = ("OffsetX", "OffsetY")
_SCALES: Final = ("Binning", "Decimation", "PixelFormat")
"""Features that change what sizes there are; some cameras change the size with them."""


def _smallest(nodes: list[Any]) -> list[Feature]:
    """Return those of these offsets that can be written, each at its least."""
    return [(node.node.name, node.min) for node in nodes if node.node.name in _OFFSETS and _settings_of([node])]


def _in_order(blocks: list[list[Feature]], smallest: list[Feature]) -> list[Feature]:
    """Sort: offsets of 0 (a size may reach as far as the offset leaves room), scales, sizes, offsets; others in their
    order.
    """

    def rank(block: list[Feature]) -> int | None:
        names = [name for name, _ in block]
        for number, group in enumerate((_SCALES, _SIZES, _OFFSETS)):
            if any(name in group or (group is _SCALES and name.startswith(_SCALES)) for name in names):
                return number
        return None

    ranks = [rank(block) for block in blocks]
    place = next((index for index, number in enumerate(ranks) if number is not None), 0)
    picture = sorted((n, index) for index, n in enumerate(ranks) if n is not None)
    rest = [block for block, number in zip(blocks[place:], ranks[place:], strict=True) if number is None]
    ordered = [*blocks[:place], smallest, *(blocks[index] for _, index in picture), *rest]
    return [feature for block in ordered for feature in block]


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
        name=node.node.name,
        kind=kind,
        access=access,
        value=_value(node) if readable else None,
        unit=unit,
        low=low,
        high=high,
        step=step,
        choices=choices,
        selectors=selectors,
    )


def _settings_of(nodes: list[Any]) -> list[Feature]:
    """Return those that can be read and written now, as entries."""
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
    """Return every value of an enumeration, or of an integer that counts a few; otherwise only the present one."""
    if isinstance(selector, genapi.IEnumeration):
        return list(selector.symbolics)
    if isinstance(selector, genapi.IInteger) and selector.max - selector.min < 32:
        return list(range(selector.min, selector.max + 1, max(1, int(increment(selector) or 1))))
    return [read_value(selector)]
