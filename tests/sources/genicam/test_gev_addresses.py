"""MAC and IP of cameras that nobody has opened, from the interface's features or the device's own texts."""

from __future__ import annotations

import dataclasses
import struct
from types import SimpleNamespace
from typing import Any

import pytest

genapi = pytest.importorskip("genicam.genapi", reason="the extra 'camera' is not installed")

# ruff: noqa: E402
from support.genapi_camera import Registers

from edge.errors import UserError
from edge.sources.genicam.camera_errors import NotConnectedError
from edge.sources.genicam.camera_info import CameraChoice, CameraInfo
from edge.sources.genicam.devices import infos_of
from edge.sources.genicam.finder import Finder
from edge.sources.genicam.gev_addresses import addresses_in, addresses_of

_HEAD = """<?xml version="1.0" encoding="utf-8"?>
<RegisterDescription ModelName="T" VendorName="V" StandardNameSpace="None" SchemaMajorVersion="1"
 SchemaMinorVersion="1" SchemaSubMinorVersion="0" MajorVersion="1" MinorVersion="0" SubMinorVersion="0"
 ProductGuid="1F3C6A72-7842-4edd-9130-E2E90A2058BA" VersionGuid="7645D2A1-A41E-4ac6-B486-1531FB7BECE6"
 xmlns="http://www.genicam.org/GenApi/Version_1_1" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.genicam.org/GenApi/Version_1_1 GenApiSchema.xsd">
"""
SELECTOR, IDS, MACS, IPS = 0, 64, 256, 320


def _at(name: str, base: int, size: int) -> str:
    knife = f'<pVariable Name="S">Selected</pVariable><Formula>S*{size}</Formula>'
    return f'<Address>{base}</Address><IntSwissKnife Name="{name}At">{knife}</IntSwissKnife><Length>{size}</Length>'


def _number(name: str, address: str, mode: str = "RO") -> str:
    return (
        f'<IntReg Name="{name}">{address}<AccessMode>{mode}</AccessMode><pPort>Device</pPort>'
        "<Cachable>NoCache</Cachable><Sign>Unsigned</Sign><Endianess>LittleEndian</Endianess></IntReg>"
    )


class Interface(Registers):
    """An interface module with two GigE cameras, as GenTL SFNC describes it."""

    CAMERAS = (("left-id", 0x0030531A2B3C, 0xC0A8010A), ("right-id", 0x0030531A2B3D, 0xC0A8010B))

    def __init__(self, *, with_addresses: bool = True) -> None:
        super().__init__(512)
        for n, (device, mac, ip) in enumerate(self.CAMERAS):
            self.memory[IDS + 32 * n : IDS + 32 * n + len(device)] = device.encode()
            self.memory[MACS + 8 * n : MACS + 8 * n + 8] = struct.pack("<Q", mac)
            self.memory[IPS + 4 * n : IPS + 4 * n + 4] = struct.pack("<I", ip)
        names = ["DeviceSelector", "DeviceID", *(("GevDeviceMACAddress", "GevDeviceIPAddress") if with_addresses else ())]
        features = "".join(f"<pFeature>{name}</pFeature>" for name in names)
        self.node_map = genapi.NodeMap()
        self.node_map.load_xml_from_string(
            f'{_HEAD}<Category Name="Root" NameSpace="Standard">{features}</Category>'
            '<Integer Name="DeviceSelector" NameSpace="Standard"><pValue>Selected</pValue>'
            "<Min>0</Min><Max>1</Max></Integer>"
            f"{_number('Selected', f'<Address>{SELECTOR}</Address><Length>4</Length>', 'RW')}"
            f'<StringReg Name="DeviceID" NameSpace="Standard">{_at("DeviceID", IDS, 32)}'
            "<AccessMode>RO</AccessMode><pPort>Device</pPort><Cachable>NoCache</Cachable></StringReg>"
            f"{_number('GevDeviceMACAddress' if with_addresses else 'X', _at('Mac', MACS, 8))}"
            f"{_number('GevDeviceIPAddress' if with_addresses else 'Y', _at('Ip', IPS, 4))}"
            '<Port Name="Device" NameSpace="Standard"/></RegisterDescription>'
        )
        self.node_map.connect(self, "Device")


LEFT, RIGHT = ("00:30:53:1a:2b:3c", "192.168.1.10"), ("00:30:53:1a:2b:3d", "192.168.1.11")


def test_an_interface_tells_the_addresses_of_each_of_its_devices_and_its_selector_is_put_back() -> None:
    interface = Interface()
    interface.node_map.DeviceSelector.value = 1
    assert addresses_of(interface.node_map) == {"left-id": LEFT, "right-id": RIGHT}
    assert interface.node_map.DeviceSelector.value == 1


def test_an_interface_without_addresses_or_without_an_answer_tells_nothing() -> None:
    assert addresses_of(Interface(with_addresses=False).node_map) == {}
    interface = Interface()
    interface.dead = True
    assert addresses_of(interface.node_map) == {}
    assert addresses_of(SimpleNamespace()) == {}


def test_addresses_that_stand_in_a_device_s_id_or_display_name_are_read() -> None:
    assert addresses_in("GEV_00-30-53-1A-2B-3C", "Basler acA (192.168.1.10)") == LEFT
    for text in ("40012345", "1.2.3.4.5", "00:30:53:1a:2b:3c:4d", "10.0.0.300", "0030531a2b3c"):
        assert addresses_in(text, "") == ("", "")


class _Harvester:
    """What ``update`` found: devices of one interface whose features answer, or don't."""

    def __init__(self, interface: Any) -> None:
        ids = [device for device, _, _ in Interface.CAMERAS]
        parent = SimpleNamespace(node_map=interface.node_map, parent=SimpleNamespace(path_name="/a.cti"))
        self.device_info_list = [
            SimpleNamespace(property_dict={"id_": device, "serial_number": str(n), "access_status": 1}, parent=parent)
            for n, device in enumerate(ids)
        ]


def test_a_listing_has_each_camera_s_own_addresses_and_asks_for_them_only_when_needed() -> None:
    interface = Interface()
    found = infos_of(_Harvester(interface), addresses=True)
    assert [(c.serial, c.mac, c.ip) for c in found] == [("0", *LEFT), ("1", *RIGHT)]
    interface.dead = True
    assert [(c.mac, c.ip) for c in infos_of(_Harvester(interface), addresses=True)] == [("", "")] * 2
    assert [(c.mac, c.ip) for c in infos_of(_Harvester(Interface()), addresses=False)] == [("", "")] * 2


def camera(serial: str, **marks: str) -> CameraInfo:
    plain = CameraInfo(serial, "V", "M", "", f"id {serial}", "GEV", "free", "/a.cti")
    return dataclasses.replace(plain, **marks)


@pytest.mark.parametrize(("mark", "value"), [("device_user_id", "left"), ("mac", LEFT[0]), ("ip", LEFT[1])])
def test_a_camera_that_was_replaced_is_found_by_its_mark_whatever_its_serial_number(mark: Any, value: str) -> None:
    finder = Finder([], CameraChoice(mark, value), simulated=False)
    assert finder._choose([camera("1"), camera("7", **{mark: value})]) == 1
    assert finder.info is not None
    assert finder.info.serial == "7"
    assert finder._choose([camera("8", **{mark: value}), camera("1")]) == 0
    assert finder.info.serial == "8"


@pytest.mark.parametrize(
    ("mark", "value", "words", "fix"),
    [
        ("device_user_id", "left", "DeviceUserID", "give each its own DeviceUserID, or name one"),
        ("mac", LEFT[0], "MAC", "name one"),
        ("ip", LEFT[1], "IP", "give each its own IP, or name one"),
    ],
)
def test_two_cameras_with_one_mark_and_none_with_it(mark: Any, value: str, words: str, fix: str) -> None:
    finder = Finder([], CameraChoice(mark, value), simulated=False)
    with pytest.raises(UserError) as error:
        finder._choose([camera("7", **{mark: value}), camera("8", **{mark: value}), camera("9")])
    assert str(error.value) == (
        f"source.{mark}: more than one camera has {words} {value}\n"
        f"  received: {value}: 7 (V M), {value}: 8 (V M)\n"
        "  expected: one such camera\n"
        f'  fix: {fix} by its serial number, for example serial: "7"'
    )
    finder = Finder([], CameraChoice(mark, value), simulated=False)
    finder._unloadable = {}
    finder._producers = [object()]  # type: ignore[list-item]
    with pytest.raises(NotConnectedError) as absent:
        finder._choose([camera("7", **{mark: "other"}), camera("9")])
    assert str(absent.value) == f"no camera with {words} {value}; present: other: 7 (V M), no {words}: 9 (V M)"
