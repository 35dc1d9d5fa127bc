"""Controls of a V4L2 device are set and read back by the kernel's own calls: OpenCV knows a few of them, says nothing
when one is refused, and has changed their units between versions.

Names are those of ``v4l2-ctl --list-ctrls``. https://docs.kernel.org/userspace-api/media/v4l/vidioc-queryctrl.html
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Final

from edge.config.sources import OpencvConfig
from edge.errors import UserError

_CONTROL: Final = struct.Struct("=Ii")
_QUERY: Final = struct.Struct("=II32siiiiI8x")
_MENU: Final = struct.Struct("=II32s4x")
_CAPABILITY: Final = struct.Struct("=16s32s32sIII12x")


def _code(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("V") << 8 | number


QUERY_CAPABILITY: Final = _code(2, 0, _CAPABILITY.size)
GET: Final = _code(3, 27, _CONTROL.size)
SET: Final = _code(3, 28, _CONTROL.size)
QUERY: Final = _code(3, 36, _QUERY.size)
QUERY_MENU: Final = _code(3, 37, _MENU.size)
_NEXT: Final = 0x8000_0000
_DISABLED, _READ_ONLY = 0x1, 0x4
_INTEGER, _BOOLEAN, _MENU_TYPE, _INTEGER_MENU = 1, 2, 3, 9
_SETTABLE: Final = (_INTEGER, _BOOLEAN, _MENU_TYPE, _INTEGER_MENU)
_STREAMING: Final = 0x0400_0000
_CAPTURES: Final = 0x0000_1001  # single-planar or multi-planar

EXPOSURE_AUTO, EXPOSURE_ABSOLUTE = 0x009A_0901, 0x009A_0902
WHITE_BALANCE_AUTO, WHITE_BALANCE_TEMPERATURE = 0x0098_090C, 0x0098_091A
FOCUS_AUTO, FOCUS_ABSOLUTE = 0x009A_090C, 0x009A_090A
_EXPOSURE_BY_ITSELF: Final = (3, 0)  # aperture priority, which webcams call automatic, else auto
_EXPOSURE_BY_HAND: Final = (1, 2)  # manual, else shutter priority
_EXPOSURE_STEP_US: Final = 100


@dataclass(frozen=True, slots=True)
class ControlInfo:
    """A control as the device describes it. ``choices`` are the values of a menu."""

    id: int
    name: str
    low: int
    high: int
    step: int
    default: int
    read_only: bool
    choices: tuple[int, ...] = ()

    def why_not(self, value: int) -> str | None:
        """Return what would be accepted, for people, if ``value`` isn't."""
        if self.choices:
            return None if value in self.choices else f"one of {', '.join(map(str, self.choices))}"
        if self.low <= value <= self.high and (value - self.low) % max(self.step, 1) == 0:
            return None
        step = f" in steps of {self.step}" if self.step > 1 else ""
        return f"an integer from {self.low} to {self.high}{step}"


class V4l2Node:
    """An open device node, for its controls alone; frames go another way."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def card(self) -> str | None:
        """Return the device's name; None for a node that gives no frames, such as a webcam's second one."""
        raw = bytearray(_CAPABILITY.size)
        ioctl(self._descriptor, QUERY_CAPABILITY, raw)
        _, card, _, _, whole, own = _CAPABILITY.unpack(raw)
        able = own or whole
        return card.rstrip(b"\0").decode("utf-8", "replace") if able & _CAPTURES and able & _STREAMING else None

    def controls(self) -> dict[int, ControlInfo]:
        """Return the controls that take numbers, by id."""
        found = {}
        number = _NEXT
        while (answer := self._query(number)) is not None:
            number, kind, name, low, high, step, default, flags = answer
            if kind in _SETTABLE and not flags & _DISABLED:
                choices = self._choices(number, low, high) if kind in (_MENU_TYPE, _INTEGER_MENU) else ()
                read_only = bool(flags & _READ_ONLY)
                found[number] = ControlInfo(
                    number, name, low, high, step, default=default, read_only=read_only, choices=choices
                )
            number |= _NEXT
        return found

    def get(self, control: int) -> int:
        raw = bytearray(_CONTROL.pack(control, 0))
        ioctl(self._descriptor, GET, raw)
        return int(_CONTROL.unpack(raw)[1])

    def set(self, control: int, value: int) -> None:
        ioctl(self._descriptor, SET, bytearray(_CONTROL.pack(control, value)))

    def _query(self, number: int) -> tuple[int, int, str, int, int, int, int, int] | None:
        raw = bytearray(_QUERY.size)
        struct.pack_into("=I", raw, 0, number)
        try:
            ioctl(self._descriptor, QUERY, raw)
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOTTY):  # no more; no controls at all
                return None
            raise
        control, kind, name, low, high, step, default, flags = _QUERY.unpack(raw)
        return control, kind, control_name(name), low, high, step, default, flags

    def _choices(self, control: int, low: int, high: int) -> tuple[int, ...]:
        found = []
        for index in range(low, min(high, low + 255) + 1):
            try:
                ioctl(self._descriptor, QUERY_MENU, bytearray(_MENU.pack(control, index, b"")))
            except OSError:
                continue  # a hole in the menu
            found.append(index)
        return tuple(found)


def control_name(name: bytes) -> str:
    """Return the name that v4l2-ctl makes of a control's: ``Exposure, Auto`` is exposure_auto."""
    text = name.partition(b"\0")[0].decode("ascii", "replace")
    return "_".join("".join(c.lower() if c.isalnum() else " " for c in text).split())


@contextmanager
def opened_node(path: Path) -> Iterator[V4l2Node]:
    """Open a device for its controls, which doesn't disturb who streams from it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield V4l2Node(descriptor)
    finally:
        os.close(descriptor)


def node_of(device: int | str) -> Path:
    """Return the node of a V4L2 device, links such as those by id followed."""
    return Path(os.path.realpath(f"/dev/video{device}" if isinstance(device, int) else device))


def wanted_controls(config: OpencvConfig, controls: dict[int, ControlInfo]) -> list[tuple[str, ControlInfo, int]]:
    """Return the config's key, the control and its value, in the order of writing: what is automatic is switched first.

    Raises:
        UserError: a control that the device hasn't, or a value that it doesn't take.
    """
    wanted: list[tuple[str, ControlInfo, int]] = []

    def add(key: str, control: int, value: int) -> None:
        info = controls.get(control)
        if info is None:
            raise _absent(key, controls)
        wanted.append((key, info, value))

    exposure = config.exposure_us
    if exposure is not None:
        modes = _EXPOSURE_BY_ITSELF if exposure == "auto" else _EXPOSURE_BY_HAND
        known = controls.get(EXPOSURE_AUTO)
        add("exposure_us", EXPOSURE_AUTO, next((m for m in modes if known and m in known.choices), modes[0]))
        if not isinstance(exposure, str):
            add("exposure_us", EXPOSURE_ABSOLUTE, max(1, round(exposure / _EXPOSURE_STEP_US)))
    for key, auto, absolute in (
        ("white_balance_k", WHITE_BALANCE_AUTO, WHITE_BALANCE_TEMPERATURE),
        ("focus", FOCUS_AUTO, FOCUS_ABSOLUTE),
    ):
        value = getattr(config, key)
        if value is not None and (value == "auto" or auto in controls):  # a lens without a motor of its own has no auto
            add(key, auto, int(value == "auto"))
        if isinstance(value, int):
            add(key, absolute, value)
    by_name = {info.name: info.id for info in controls.values()}
    for index, (name, value) in enumerate(config.controls):
        add(f"controls[{index}]: {name}", by_name.get(name, -1), value)
    for key, info, value in wanted:
        _check(key, info, value)
    return wanted


def apply_controls(config: OpencvConfig, node: V4l2Node) -> None:
    """Write the config's controls in order, and read each back.

    Raises:
        UserError: as ``wanted_controls``, or the device refused or kept another value.
    """
    for key, info, value in wanted_controls(config, node.controls()):
        try:
            node.set(info.id, value)
            kept = node.get(info.id)
        except OSError as error:
            raise UserError(f"source.{key}: the device refused it: {error.strerror}", received=value) from None
        if kept != value:
            raise UserError(f"source.{key}: the device kept another value of {info.name}", received=value, expected=kept)


def has_controls(config: OpencvConfig) -> bool:
    """Return True if the config sets any."""
    return bool(config.controls) or any(v is not None for v in (config.exposure_us, config.white_balance_k, config.focus))


def _check(key: str, info: ControlInfo, value: int) -> None:
    if info.read_only:
        raise UserError(f"source.{key}: {info.name} is read-only", received=value)
    expected = info.why_not(value)
    if expected is None:
        return
    if info.id == EXPOSURE_ABSOLUTE:
        expected = f"{info.low * _EXPOSURE_STEP_US} to {info.high * _EXPOSURE_STEP_US} µs"
        raise UserError(f"source.{key}: wrong value", received=f"{value * _EXPOSURE_STEP_US} µs", expected=expected)
    raise UserError(f"source.{key}: wrong value for {info.name}", received=value, expected=expected)


def _absent(key: str, controls: dict[int, ControlInfo]) -> UserError:
    names = ", ".join(sorted(info.name for info in controls.values()))
    return UserError(f"source.{key}: this device has no such control", expected=names or "it has none at all")
