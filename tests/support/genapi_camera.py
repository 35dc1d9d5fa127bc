"""A camera that is only its registers: a node map of GenICam's own kind with a picture's place and size, and triggers.

For what the simulated camera hasn't: it runs freely, and its picture has no offset.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from genicam import genapi

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<RegisterDescription ModelName="T" VendorName="V" StandardNameSpace="None" SchemaMajorVersion="1"
 SchemaMinorVersion="1" SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0" SubMinorVersion="0"
 ProductGuid="1F3C6A72-7842-4edd-9130-E2E90A2058BA" VersionGuid="7645D2A1-A41E-4ac6-B486-1531FB7BECE6"
 xmlns="http://www.genicam.org/GenApi/Version_1_1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.genicam.org/GenApi/Version_1_1 GenApiSchema.xsd">
"""
_SELECTED = ("TriggerMode", "TriggerSource", "TriggerSoftware")
WIDTH, OFFSET, SELECTOR, MODES, SOURCES, COMMANDS, MODEL = 0, 4, 8, 16, 32, 48, 64


def _register(name: str, address: int, *, by_selector: bool = False) -> str:
    index = f'<IntSwissKnife Name="{name}At"><pVariable Name="S">Selected</pVariable><Formula>S*4</Formula></IntSwissKnife>'
    return (
        f'<IntReg Name="{name}"><Address>{address}</Address>{index if by_selector else ""}<Length>4</Length>'
        "<AccessMode>RW</AccessMode><pPort>Device</pPort><Cachable>NoCache</Cachable><Sign>Unsigned</Sign>"
        "<Endianess>LittleEndian</Endianess></IntReg>"
    )


def _choice(name: str, register: str, *choices: str) -> str:
    entries = "".join(f'<EnumEntry Name="{c}"><Value>{n}</Value></EnumEntry>' for n, c in enumerate(choices))
    selected = "".join(f"<pSelected>{s}</pSelected>" for s in _SELECTED) if name == "TriggerSelector" else ""
    return (
        f'<Enumeration Name="{name}" NameSpace="Standard"><Streamable>Yes</Streamable>{entries}'
        f"<pValue>{register}</pValue>{selected}</Enumeration>"
    )


def _room(name: str, other: str) -> str:
    return f'<IntSwissKnife Name="{name}"><pVariable Name="O">{other}</pVariable><Formula>640 - O</Formula></IntSwissKnife>'


def _integer(name: str, register: str, low: int, room: str) -> str:
    return (
        f'<Integer Name="{name}" NameSpace="Standard"><Streamable>Yes</Streamable><pValue>{register}</pValue>'
        f"<Min>{low}</Min><pMax>{room}</pMax></Integer>"
    )


def _xml(*, constant_width: bool) -> str:
    names = ("Width", "OffsetX", "TriggerSelector", *_SELECTED, "DeviceModelName")
    features = "".join(f"<pFeature>{name}</pFeature>" for name in names)
    width = _integer("Width", "WidthReg", 16, "WidthRoom")
    if constant_width:
        width = '<Integer Name="Width" NameSpace="Standard"><Value>640</Value></Integer>'
    return "".join(
        [
            _HEAD,
            f'<Category Name="Root" NameSpace="Standard">{features}</Category>',
            width,
            _register("WidthReg", WIDTH),
            _room("WidthRoom", "OffsetReg"),
            _integer("OffsetX", "OffsetReg", 0, "OffsetRoom"),
            _register("OffsetReg", OFFSET),
            _room("OffsetRoom", "WidthReg"),
            _choice("TriggerSelector", "Selected", "FrameStart", "LineStart"),
            _register("Selected", SELECTOR),
            _choice("TriggerMode", "ModeReg", "Off", "On"),
            _register("ModeReg", MODES, by_selector=True),
            _choice("TriggerSource", "SourceReg", "Line1", "Software"),
            _register("SourceReg", SOURCES, by_selector=True),
            '<Command Name="TriggerSoftware" NameSpace="Standard"><pValue>CommandReg</pValue>'
            "<CommandValue>1</CommandValue></Command>",
            _register("CommandReg", COMMANDS, by_selector=True),
            f'<StringReg Name="DeviceModelName" NameSpace="Standard"><Address>{MODEL}</Address><Length>8</Length>'
            "<AccessMode>RO</AccessMode><pPort>Device</pPort></StringReg>",
            '<Port Name="Device" NameSpace="Standard"/></RegisterDescription>',
        ]
    )


class Registers(genapi.AbstractPort):  # type: ignore[misc]
    """A module's memory behind a GenApi port. ``dead``: no access is answered."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.memory, self.dead = bytearray(size), False

    def read(self, address: int, length: int) -> bytes:
        if self.dead:
            raise genapi.RuntimeException("no answer")
        return bytes(self.memory[address : address + length])

    def write(self, address: int, data: Any) -> None:
        if self.dead:
            raise genapi.RuntimeException("no answer")
        self.memory[address : address + len(data)] = data

    def get_access_mode(self) -> int:
        return int(genapi.EAccessMode.RW)

    def is_open(self) -> bool:
        return True

    def open(self, *_arguments: Any) -> None: ...

    def close(self) -> None: ...


class Camera(Registers):
    """Its registers, and the node map onto them. ``dead``: no access is answered."""

    def __init__(self, *, width: int = 640, offset: int = 0, constant_width: bool = False) -> None:
        super().__init__(128)
        self.memory[WIDTH : WIDTH + 8] = struct.pack("<II", width, offset)
        self.memory[MODEL : MODEL + 4] = b"T100"
        self.fired: list[str] = []
        """The selector's value at each execution of TriggerSoftware."""
        self.on_fire: Callable[[], None] = lambda: None
        self.node_map = genapi.NodeMap()
        self.node_map.load_xml_from_string(_xml(constant_width=constant_width))
        self.node_map.connect(self, "Device")

    def write(self, address: int, data: Any) -> None:
        if not self.dead and COMMANDS <= address < MODEL:
            self.fired.append(("FrameStart", "LineStart")[(address - COMMANDS) // 4])
            self.on_fire()
            return
        super().write(address, data)
