"""A camera's settings as a config writes them: read, written to another camera, they bring it to the same."""

from __future__ import annotations

import pytest

pytest.importorskip("genicam", reason="the extra 'camera' is not installed")

from support.genapi_camera import MODES, OFFSET, SELECTOR, SOURCES, WIDTH, Camera

from edge.sources.genicam.describe_features import _in_order, settings
from edge.sources.genicam.features import apply_features

TRIGGERS = (
    ("TriggerSelector", "FrameStart"),
    ("TriggerMode", "On"),
    ("TriggerSource", "Software"),
    ("TriggerSelector", "LineStart"),
    ("TriggerMode", "Off"),
    ("TriggerSource", "Line1"),
)


def test_the_selector_ends_as_it_was_in_the_camera_and_in_the_list():
    """With the list's last selector left standing, TriggerMode would be read as LineStart's."""
    camera = Camera()
    apply_features(camera.node_map, [*TRIGGERS, ("TriggerSelector", "FrameStart")])
    found = settings(camera.node_map)
    assert tuple(found[-7:]) == (*TRIGGERS, ("TriggerSelector", "FrameStart"))
    assert camera.node_map.TriggerSelector.value == "FrameStart"
    assert camera.node_map.TriggerMode.value == "On"
    apply_features(camera.node_map, [("TriggerSelector", "LineStart")])
    assert tuple(settings(camera.node_map)[-6:]) == TRIGGERS, "already there: it is not written twice"


@pytest.mark.parametrize(("width", "offset"), [(160, 480), (640, 0), (16, 1)])
def test_place_and_size_are_brought_back_whatever_they_were_before(width, offset):
    """A size may reach as far as the offset leaves room: at offset 480 of 640, a width of 320 is out of range."""
    camera = Camera(width=320, offset=100)
    saved = settings(camera.node_map)
    assert saved[:3] == [("OffsetX", 0), ("Width", 320), ("OffsetX", 100)]
    other = Camera(width=width, offset=offset)
    apply_features(other.node_map, saved)
    for address in (WIDTH, OFFSET, SELECTOR, MODES, SOURCES):
        assert other.memory[address : address + 4] == camera.memory[address : address + 4]


def test_what_changes_the_sizes_there_are_is_written_before_the_size():
    blocks = [
        [("DeviceScanType", "Areascan")],
        [("Width", 320)],
        [("OffsetX", 100)],
        [("Height", 240)],
        [("AcquisitionFrameRate", 20.0)],
        [("PixelFormat", "Mono8")],
        [("BinningSelector", "Sensor"), ("BinningHorizontal", 2)],
    ]
    assert [name for name, _ in _in_order(blocks, [("OffsetX", 0)])] == [
        "DeviceScanType",
        "OffsetX",
        "PixelFormat",
        "BinningSelector",
        "BinningHorizontal",
        "Width",
        "Height",
        "OffsetX",
        "AcquisitionFrameRate",
    ]
