"""Camera features are written in the order of the config, checked against the camera's own limits, and read back."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from genicam import genapi, gentl

from edge.config.sources import Feature
from edge.config.yaml_reader import nearest
from edge.errors import UserError
from edge.sources.genicam.camera_errors import UnansweredError

BINDING_ERRORS: Final = (gentl.GenericException, genapi.GenericException)
"""Errors of the binding: two families, neither derived from the other. Node access may raise either (port I/O)."""
CONNECTION_ERRORS: Final = (
    gentl.IoException,
    gentl.TimeoutException,
    gentl.BusyException,
    gentl.InvalidHandleException,
    gentl.ClosedException,
    gentl.NotInitializedException,
    genapi.TimeoutException,
)
"""Those of them that say nothing against the value that was written: the way to the camera failed."""
COMMAND_TIMEOUT_S: Final = 10.0
"""Time in s that a command may take; a user set load takes a second or two."""

WRITABLE: Final = (genapi.EAccessMode.WO, genapi.EAccessMode.RW)
READABLE: Final = (genapi.EAccessMode.RO, genapi.EAccessMode.RW)
_ACCESS_WORDS: Final = {
    genapi.EAccessMode.NI: "not implemented by this camera",
    genapi.EAccessMode.NA: "not available in the camera's present state",
    genapi.EAccessMode.RO: "read-only in the camera's present state",
}


def apply_features(node_map: Any, features: Iterable[Feature], each: Callable[[], None] = lambda: None) -> None:
    """Write each ``(name, value)`` in order, and read each back. ``execute`` runs a command and waits until it is done.

    A value outside the camera's limits is refused before it is written. A read-only feature that already has the
    wanted value is accepted. A float may come back rounded: by one increment of the camera, or by 1 %. ``each`` is called
    before each of them: a command may take 10 s.

    Raises:
        UserError: what the camera doesn't accept, with its limits or choices.
        UnansweredError: the way to the camera failed.
    """
    for index, (name, value) in enumerate(features):
        each()
        where = f"source.features[{index}]: {name}"
        node = _find(node_map, name, where)
        try:
            _write(node, value, where)
        except CONNECTION_ERRORS as error:
            raise UnansweredError(f"{where}: {reason(error)}") from None
        except BINDING_ERRORS as error:
            raise UserError(f"{where}: the camera refused it: {reason(error)}", received=_shown(value)) from None


def _find(node_map: Any, name: str, where: str) -> Any:
    """Return the node with that name.

    Raises:
        UserError: none such; names the nearest one.
    """
    try:
        return node_map.get_node(name)
    except BINDING_ERRORS:
        pass
    names = [node.node.name for node in node_map.nodes if node.node.is_feature()]
    meant = nearest(name, names)
    raise UserError(
        f"{where}: the camera has no such feature",
        received=name,
        expected="a feature of this camera" + (f"; did you mean {meant}?" if meant else ""),
        fix="edge cameras --producer PRODUCER --serial SERIAL lists them",
    )


def value_of(node_map: Any, name: str) -> Any:
    """Read the feature's value from the camera itself, past every cache; return None if there is none to be read.

    Raises:
        UnansweredError: the way to the camera failed.
    """
    try:
        return read_value(node_map.get_node(name))
    except CONNECTION_ERRORS as error:
        raise UnansweredError(f"{name}: {reason(error)}") from None
    except BINDING_ERRORS:
        return None


def register_of(node_map: Any) -> Any:
    """Return a node that is a register of the camera itself, readable now: a constant or a formula says nothing of the
    camera.

    It is the one behind Width, or behind the first feature that has one; None if the camera shows none.
    """
    names = [*_PROBED, *(node.node.name for node in node_map.nodes if node.node.is_feature())]
    seen: set[str] = set()
    for name in names:
        try:
            register = _register_below(node_map.get_node(name), seen)
        except BINDING_ERRORS:
            continue
        if register is not None:
            return register
    return None


_PROBED: Final = ("Width", "Height", "PixelFormat", "DeviceModelName")
_PORT: Final = "Device"
"""Name of the camera's own port, by the standard; other ports lead into chunks and events."""


def _register_below(node: Any, seen: set[str]) -> Any:
    if node.node.name in seen:
        return None
    seen.add(node.node.name)
    children = node.node.children
    if any(isinstance(child, genapi.IPort) and child.node.name == _PORT for child in children):
        return node if node.get_access_mode() in READABLE and read_value(node) is not None else None
    registers = (_register_below(child, seen) for child in children)
    return next((register for register in registers if register is not None), None)


def check_chunks(node_map: Any, part_id: str | None, chunks: Iterable[str]) -> None:
    """Check that the camera has these chunks.

    Raises:
        UserError: no integer chunk named ``part_id``, or no number chunk of another name; lists those that the camera has.
    """
    numbers = (genapi.IInteger, genapi.IFloat)
    wanted: list[tuple[str, str, str, tuple[Any, ...]]] = []
    if part_id is not None:
        wanted.append(("source.part_id", part_id, "integer", numbers[:1]))
    wanted += [(f"source.chunks[{index}]", name, "number", numbers) for index, name in enumerate(chunks)]
    for where, name, kind, types in wanted:
        names = [node.node.name for node in node_map.nodes if isinstance(node, types) and node.node.is_feature()]
        names = sorted(chunk for chunk in names if chunk.startswith("Chunk"))
        if name not in names:
            listed = f"; this camera has {', '.join(names) or 'none'}"
            article = "an" if kind == "integer" else "a"
            raise UserError(f"{where}: no such {kind} chunk", received=name, expected=f"{article} {kind} chunk{listed}")


def _write(node: Any, value: bool | float | str, where: str) -> None:
    if isinstance(node, genapi.ICommand):
        _execute(node, value, where)
        return
    if not isinstance(node, (genapi.IInteger, genapi.IFloat, genapi.IBoolean, genapi.IEnumeration, genapi.IString)):
        raise UserError(
            f"{where}: not a feature that takes a value",
            received=_shown(value),
            expected="an integer, float, boolean, enumeration, string or command feature",
        )
    _check(node, value, where)
    mode = node.get_access_mode()
    if mode not in WRITABLE:
        if mode in READABLE and _same(node, value, read_value(node)):
            return
        has = f"; its value is {_shown(read_value(node))}" if mode in READABLE else ""
        raise UserError(
            f"{where}: cannot be written",
            received=_shown(value),
            expected=f"a writable feature; this one is {_ACCESS_WORDS.get(mode, 'not accessible')}{has}",
            fix="write the selector or mode that unlocks it first",
        )
    node.set_value(value)
    if mode in READABLE:
        value_read = read_value(node)
        if not _same(node, value, value_read):
            raise UserError(f"{where}: the camera kept another value", received=_shown(value), expected=_shown(value_read))


def _execute(node: Any, value: object, where: str) -> None:
    if value != "execute":
        raise UserError(f"{where}: is a command", received=_shown(value), expected="execute")
    mode = node.get_access_mode()
    if mode not in WRITABLE:
        state = _ACCESS_WORDS.get(mode, "not accessible")
        raise UserError(f"{where}: cannot be executed", expected=f"a command that is ready; this one is {state}")
    node.execute()
    give_up = time.monotonic() + COMMAND_TIMEOUT_S
    while not node.is_done():
        if time.monotonic() > give_up:
            raise UserError(f"{where}: the command was not done after {COMMAND_TIMEOUT_S:g} s")
        time.sleep(0.005)


def _check(node: Any, value: bool | float | str, where: str) -> None:
    """Check type, range and choice before anything is written."""
    if isinstance(node, genapi.IEnumeration):
        choices = tuple(node.symbolics)
        fits = isinstance(value, str) and value in choices
        expected = "one of " + ", ".join(choices)
    elif isinstance(node, genapi.IBoolean):
        fits, expected = isinstance(value, bool), "true or false"
    elif isinstance(node, genapi.IString):
        fits, expected = isinstance(value, str), "text"
    else:
        whole = isinstance(node, genapi.IInteger)
        number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        fits, expected = number, "an integer" if whole else "a number"
        if node.get_access_mode() in READABLE:
            low, high, step = node.min, node.max, increment(node)
            unit = f" {node.unit}" if node.unit else ""
            expected += f" from {low:g} to {high:g}{unit}" if not whole else f" from {low} to {high}{unit}"
            if number:
                assert isinstance(value, (int, float))
                fits = low <= value <= high
                if whole and step is not None and step > 1:
                    expected += f" in steps of {step}"
                    fits = fits and (value - low) % step == 0
    if not fits:
        raise UserError(f"{where}: wrong value", received=_shown(value), expected=expected)


def read_value(node: Any) -> Any:
    if isinstance(node, (genapi.IEnumeration, genapi.IString, genapi.IBoolean, genapi.IFloat, genapi.IInteger)):
        return node.get_value(ignore_cache=True)
    return None


def _same(node: Any, wanted: object, kept: object) -> bool:
    if isinstance(node, genapi.IFloat) and isinstance(wanted, (int, float)) and isinstance(kept, float):
        return math.isclose(wanted, kept, rel_tol=0.01, abs_tol=increment(node) or 1e-9)
    return wanted == kept


def increment(node: Any) -> float | None:
    try:
        step: float = node.inc
    except BINDING_ERRORS:
        return None
    return step


def _shown(value: object) -> str:
    """Write a value as it stands in YAML: booleans in small letters, text that would not be text in quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and (value in ("true", "false") or value.replace(".", "", 1).isdecimal()):
        return f'"{value}"'
    return str(value)


def reason(error: Exception) -> str:
    """Return the binding's own words, without the source file and line that it appends."""
    return str(error).split(" : ")[0].rstrip(". ")
