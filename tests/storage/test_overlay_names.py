"""An overlay is of the frame whose number, seq and time its name says."""

from __future__ import annotations

import time

import pytest

from edge.frames import FrameMeta
from edge.report.picture_names import PictureOf, file_stem
from edge.storage.overlay_names import is_overlay_of, number_of

AT = 1_796_000_000_900_000_000
SECOND = 1_000_000_000


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York", "Asia/Kolkata"])
def test_a_name_as_evidence_writes_it_is_of_its_frame_alone(monkeypatch, zone) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        meta = FrameMeta(1531, "device", 64, 48, "Mono8", AT, 5, part_id=12)
        name = f"{7:08d}-seq{15}-{file_stem(meta, PictureOf('cam_1'))}.jpg"
    finally:
        monkeypatch.undo()
        time.tzset()
    assert number_of(name) == 7
    assert is_overlay_of(name, 7, 15, AT)
    assert not is_overlay_of(name, 7, 1, AT)
    assert not is_overlay_of(name, 7, 150, AT)
    assert not is_overlay_of(name, 70, 15, AT)
    assert not is_overlay_of(name, 7, 15, AT + SECOND)
    assert not is_overlay_of(name, 7, 15, AT - SECOND)


def test_a_name_without_a_time_is_known_by_number_and_seq() -> None:
    assert is_overlay_of("00000004-seq4-cam1-frame4.jpg", 4, 4, AT)
    assert is_overlay_of("123456789-seq4-cam1.jpg", 123_456_789, 4, AT)


@pytest.mark.parametrize(
    "name", ["", "00000004.jpg", "00000004-cam1-frame.jpg", "00000004-seqx-cam1.jpg", "4-seq4-cam1.jpg"]
)
def test_a_foreign_name_is_of_no_frame(name) -> None:
    assert number_of(name) is None
    assert not is_overlay_of(name, 4, 4, AT)


def test_a_time_that_is_none_is_of_no_frame() -> None:
    assert not is_overlay_of("00000004-seq4-cam1-20261399T996199+0900-frame4.jpg", 4, 4, AT)
