"""What one filled buffer holds: never more than was filled, and a time stamp only where there is one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

gentl = pytest.importorskip("genicam.gentl", reason="the extra 'camera' is not installed")

from edge.config.sources import GenicamConfig as Config  # noqa: E402
from edge.sources.genicam import buffer as genicam_buffer  # noqa: E402
from edge.sources.genicam.buffer import BufferReader, RawFrame  # noqa: E402


class Buffer:
    """A buffer of 4 x 2 Mono8 pixels, complete, but for ``changes``; what isn't there is not available."""

    def __init__(self, **changes: Any) -> None:
        self._values = {"width": 4, "height": 2, "pixel_format": 0x01080001, "frame_id": 5, "size_filled": 8}
        self._values |= {"raw_buffer": bytes(range(8)), **changes}
        self.asked: list[str] = []

    def is_complete(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Any:
        self.asked.append(name)
        try:
            return self._values[name]
        except KeyError:
            raise gentl.NotAvailableException from None


class Clock:
    """UTC is 1000 more than the camera's time."""

    def utc(self, camera_ns: int, *_now: int) -> tuple[int, str]:
        return camera_ns + 1000, "camera"


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(genicam_buffer.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def reader() -> BufferReader:
    stream = SimpleNamespace(parent=SimpleNamespace(timestamp_frequency=1_000_000))
    return BufferReader(Config(kind="genicam", part_id="ChunkCounterValue"), stream, Clock(), None, None)


def stamp(reader: BufferReader, **changes: int) -> tuple[int | None, str]:
    frame = reader.read(Buffer(**changes), 0, 0)
    return frame.camera_ns, frame.timestamp_source


def test_a_first_stamp_of_0_is_none_and_the_next_one_counts(reader, clock):
    assert stamp(reader, timestamp_ns=0, timestamp=0) == (None, "host")
    assert reader.stamped
    assert stamp(reader, timestamp_ns=5, timestamp=0) == (1005, "camera")


def test_stamps_in_ticks_count_where_there_are_none_in_ns(reader, clock):
    assert stamp(reader, timestamp=0) == (None, "host")
    assert stamp(reader, timestamp=7) == (8000, "camera")


def test_a_camera_without_stamps_is_asked_once_a_second(reader, clock):
    assert stamp(reader) == (None, "host")
    assert not reader.stamped
    assert stamp(reader, timestamp_ns=5) == (None, "host"), "not asked"
    clock[0] += 1.0
    assert stamp(reader, timestamp_ns=5) == (1005, "camera")
    assert reader.stamped
    assert stamp(reader, timestamp_ns=6) == (1006, "camera")


def chunks_read(reader: BufferReader, monkeypatch, buffer: Buffer) -> tuple[RawFrame, bool]:
    read = []
    monkeypatch.setattr(genicam_buffer, "chunks_of", lambda *_: (read.append(True) or 42, ()))
    return reader.read(buffer, 0, 0), bool(read)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"size_filled": 7}, "7 bytes, 8 needed for Mono8 4x2"),
        ({"size_filled": 0}, "0 bytes, 8 needed for Mono8 4x2"),
        ({"size_filled": 8, "image_offset": 2}, "6 bytes, 8 needed for Mono8 4x2"),
        ({"delivered_image_height": 1}, "1 of 2 lines"),
        ({"delivered_image_height": 0}, "0 of 2 lines"),
    ],
)
def test_a_buffer_that_was_not_filled_is_no_picture_and_its_chunks_are_not_read(reader, monkeypatch, changes, problem):
    """Both may be an earlier frame's."""
    changes = {"raw_buffer": bytes(16), **changes}
    frame, read = chunks_read(reader, monkeypatch, Buffer(**changes))
    assert (frame.data, frame.reason, frame.problem, frame.part_id, read) == (None, "bad_payload", problem, None, False)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"pixel_format": 0x80120001}, "pixel format unknown (0x80120001)"),
        ({"payload_type": 11}, "payload type GenDC"),
        ({"padding_x": 2}, "2 bytes of padding at the end of each line"),
    ],
)
def test_a_picture_that_cannot_be_read_still_says_which_part_it_was(reader, monkeypatch, changes, problem):
    frame, read = chunks_read(reader, monkeypatch, Buffer(**changes))
    assert (frame.data, frame.reason, frame.problem, frame.part_id, read) == (None, "bad_payload", problem, 42, True)


def test_a_buffer_with_bytes_missing_says_nothing_more(reader, monkeypatch):
    buffer = Buffer()
    buffer.is_complete = lambda: False
    frame, read = chunks_read(reader, monkeypatch, buffer)
    assert (frame.frame_id, frame.reason, frame.part_id, read) == (5, "incomplete", None, False)


def test_a_whole_picture_is_a_view_with_its_part(reader, monkeypatch):
    frame, _ = chunks_read(reader, monkeypatch, Buffer(delivered_image_height=2))
    assert np.array_equal(frame.data, np.arange(8))
    assert (frame.width, frame.height, frame.pixel_format, frame.part_id, frame.reason) == (4, 2, "Mono8", 42, None)


def test_a_frame_came_when_the_queue_was_last_empty_or_at_its_own_later_stamp(reader, clock, monkeypatch):
    """Seconds after the thread was held up, what waited must not count as just arrived."""
    monkeypatch.setattr(genicam_buffer, "chunks_of", lambda *_: (42, ()))

    def came(**changes: int) -> tuple[int, int]:
        clock[0] += 1.0  # it is asked for its stamp again
        frame = reader.read(Buffer(**changes), 5_000_000, 9_000_000, (3_500_000, 7_500_000))
        assert frame.problem == ""
        return frame.received_ns, frame.received_mono_ns

    assert came() == (3_500_000, 7_500_000)
    assert came(timestamp_ns=4_000_000) == (4_001_000, 8_001_000), "the camera's clock is 1000 behind"
    assert came(timestamp_ns=3_000_000) == (3_500_000, 7_500_000), "a stamp of before is the exposure's"
    assert came(timestamp_ns=6_000_000) == (3_500_000, 7_500_000), "one of the future is nonsense"
