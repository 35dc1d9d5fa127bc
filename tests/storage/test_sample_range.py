"""12 bits saved in 16 are warned of, or declared; a declaration that the values don't fit is never believed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from edge.config.sources import RecordedConfig
from edge.frames import Frame, FrameMeta, Skip
from edge.sources.open import open_source
from edge.storage.frames_on_disk import read_frames
from edge.storage.recording_writer import RecordingWriter


def saved(folder: Path, *most: int) -> Path:
    """Grey 16-bit PNGs with these largest values."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, value in enumerate(most):
        pixels = np.full((8, 9), value // 2, np.uint16)
        pixels[0, 0] = value
        cv2.imwrite(str(folder / f"{index}.png"), pixels)
    return folder


def warned(path: Path, bits: int | None = None) -> tuple[list[Frame | Skip], list[str]]:
    with capture_logs() as logs:
        items = list(read_frames(path, bits))
    return items, [str(line.get("text", line["event"])) for line in logs if line["log_level"] == "warning"]


@pytest.mark.parametrize(("most", "bits"), [(1023, 10), (2700, 12), (4095, 12), (9000, 14)])
def test_a_range_that_is_never_filled_is_warned_of_once(tmp_path: Path, most: int, bits: int) -> None:
    _, texts = warned(saved(tmp_path, most, most // 2, most // 3))
    assert texts == [f"no value above {(1 << bits) - 1} in 3 frames of 16 bits: {bits} bits in 16?"]


def test_bright_16_bits_and_8_bits_are_not(tmp_path: Path) -> None:
    assert warned(saved(tmp_path / "16", 2000, 40000))[1] == []
    cv2.imwrite(str(tmp_path / "a.png"), np.full((4, 5), 3, np.uint8))
    assert warned(tmp_path / "a.png")[1] == []


def test_a_recording_of_a_camera_that_calls_12_bits_16_is_warned_of_too(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", camera="cam1", source="test")
    writer.frame(Frame(FrameMeta(0, "device", 6, 4, "Mono16", 0, 0), np.full((4, 6), 900, np.uint16), 16))
    writer.close()
    assert warned(tmp_path / "r")[1] == ["no value above 1023 in 1 frames of 16 bits: 10 bits in 16?"]


def test_declared_bits_are_the_frames_bits_and_no_warning_is_left(tmp_path: Path) -> None:
    items, texts = warned(saved(tmp_path, 2700), 12)
    (frame,) = items
    assert isinstance(frame, Frame)
    assert (frame.bits, frame.meta.pixel_format, texts) == (12, "Mono12", [])


def test_a_frame_whose_values_need_more_than_declared_is_unreadable(tmp_path: Path) -> None:
    items, texts = warned(saved(tmp_path, 2700, 5000, 6000), 12)
    assert [item.reason if isinstance(item, Skip) else "frame" for item in items] == ["frame", "unreadable", "unreadable"]
    assert isinstance(items[1], Skip)
    assert (items[1].frame_id_first, items[1].frame_ref) == (1, "1.png")
    assert texts == ["more_bits_than_declared"]


def test_a_recorded_source_declares_its_bits(tmp_path: Path) -> None:
    saved(tmp_path / "p", 2700)
    source = open_source(RecordedConfig(kind="recorded", path=Path("p"), pace="max", bits=12), "cam1", tmp_path)
    source.open()
    item = source.read(1.0)
    source.close()
    assert not isinstance(item, Skip)
    assert item is not None
    assert item.meta.pixel_format == "Mono12"
