"""Recorded frames come out in order, each exactly once, at the pace that was asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.config.sources import RecordedConfig
from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Payload, Skip
from edge.preprocess.pixel_formats import decode_payload
from edge.sources.clock import Clock
from edge.sources.in_memory import MemorySource
from edge.sources.open import open_source
from edge.sources.recorded import RecordedSource
from edge.storage import frames_on_disk, recording
from edge.storage.frames_on_disk import count_frames, read_frames
from edge.storage.recording_writer import RecordingWriter


class HandClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.s = 100.0
        self.slept: list[float] = []
        self.clock = Clock(lambda: self.s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.s += seconds


def picture(seed: int, *shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(dtype) * (257 if dtype is np.uint16 else 1)


def save(path: Path, pixels: np.ndarray) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    return pixels


def drain(source: RecordedSource | MemorySource) -> list[Frame | Skip]:
    """Everything to the end, as the engine would get it."""
    items: list[Frame | Skip] = []
    source.open()
    while True:
        try:
            item = source.read(1.0)
        except EOFError:
            source.close()
            return items
        assert item is not None
        items.append(decode_payload(item.meta, item.data.copy()) if isinstance(item, Payload) else item)


def max_pace(path: Path) -> RecordedSource:
    return RecordedSource(path, "max")


def test_a_folder_comes_out_in_natural_order_with_every_size_depth_and_colour(tmp_path: Path) -> None:
    expected = {
        "bad/crack/2.png": save(tmp_path / "bad/crack/2.png", picture(0, 10, 14)),
        "bad/crack/10.png": save(tmp_path / "bad/crack/10.png", picture(1, 7, 9, 3)),
        "good/a.tif": save(tmp_path / "good/a.tif", picture(2, 8, 8, dtype=np.uint16)),
        "good/b.TIFF": save(tmp_path / "good/b.TIFF", picture(3, 5, 6, 3, dtype=np.uint16)),
        "good/c.bmp": save(tmp_path / "good/c.bmp", picture(4, 30, 3)),
    }
    (tmp_path / "readme.txt").touch()
    source = max_pace(tmp_path)
    frames = drain(source)
    assert source.total == 5
    assert [f.meta.frame_ref for f in frames if isinstance(f, Frame)] == list(expected)
    assert [f.meta.frame_id for f in frames if isinstance(f, Frame)] == [0, 1, 2, 3, 4]
    assert [f.meta.pixel_format for f in frames if isinstance(f, Frame)] == ["Mono8", "RGB8", "Mono16", "RGB16", "Mono8"]
    for got, want in zip(frames, expected.values(), strict=True):
        assert isinstance(got, Frame)
        assert (got.meta.frame_id_source, got.meta.width, got.meta.height) == ("counted", want.shape[1], want.shape[0])
        assert got.bits == 8 * want.itemsize
        np.testing.assert_array_equal(got.pixels, want)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_a_truncated_picture_in_the_middle_is_told_and_the_next_one_follows(tmp_path: Path, suffix: str) -> None:
    for k in range(3):
        save(tmp_path / f"{k}{suffix}", picture(k, 40, 50))
    middle = tmp_path / f"1{suffix}"
    middle.write_bytes(middle.read_bytes()[: middle.stat().st_size // 2])
    source = max_pace(tmp_path)
    first, second, third = drain(source)
    assert isinstance(first, Frame)
    assert isinstance(second, Skip)
    assert replace(second, received_ns=0) == Skip("unreadable", 1, 1, 1, 0, "counted", None, None, f"1{suffix}")
    assert isinstance(third, Frame)
    assert third.meta.frame_id == 2
    assert source.status().announced == 3
    assert source.status().counters == {"unreadable": 1}
    assert source.status().state == "ended"


def once(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, which has no memory the second time."""
    calls: list[object] = []

    def read(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise MemoryError("no room")
        return call(*args)

    return read


def unread(path: Path) -> list[tuple[int | None, str | None]]:
    """Frame id and reference of what could not be read; all else came, and was announced."""
    source = max_pace(path)
    items = drain(source)
    assert source.status().announced == source.total
    assert source.status().counters == {"unreadable": 1}
    return [(i.frame_id_first, i.frame_ref) for i in items if isinstance(i, Skip) and i.reason == "unreadable"]


def test_a_picture_file_that_there_was_no_memory_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for k in range(3):
        save(tmp_path / f"{k}.png", picture(k, 8, 9))
    monkeypatch.setattr(frames_on_disk, "decode_with_bits", once(frames_on_disk.decode_with_bits))
    assert unread(tmp_path) == [(1, "1.png")]


def test_a_recorded_picture_that_there_was_no_memory_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "read_picture", once(recording.read_picture))
    path = recorded(tmp_path)
    second = [entry.meta for entry in ENTRIES if isinstance(entry, Frame)][1]
    ((frame_id, _),) = unread(path)
    assert frame_id == second.frame_id


def test_a_picture_of_a_video_that_there_was_no_memory_for_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames_on_disk, "counted_frame", once(frames_on_disk.counted_frame))
    assert unread(video(tmp_path / "clip.avi", 3)) == [(None, None)]


def test_while_a_picture_is_decoded_the_source_says_that_it_may_take_two_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A JPEG of 65,500 x 16,375 takes more than the 5 s after which a stage hangs, also where a folder stands in live."""
    save(tmp_path / "0.png", picture(0, 8, 9))
    source = RecordedSource(tmp_path, pace="max")
    source.open()
    left_s: list[float] = []
    whole = frames_on_disk.picture_bytes

    def watched(path: Path) -> bytes:
        left_s.append((source.status().busy_until_ns - time.monotonic_ns()) / 1e9)
        return whole(path)

    monkeypatch.setattr(frames_on_disk, "picture_bytes", watched)
    assert source.read(1.0) is not None
    assert 100 < left_s[0] <= 120
    assert 0 < source.status().busy_until_ns <= time.monotonic_ns()


def test_a_single_picture_is_one_frame(tmp_path: Path) -> None:
    pixels = save(tmp_path / "a.png", picture(0, 6, 7))
    (only,) = drain(max_pace(tmp_path / "a.png"))
    assert isinstance(only, Frame)
    assert only.meta.frame_ref == "a.png"
    np.testing.assert_array_equal(only.pixels, pixels)


ENTRIES = [
    Frame(FrameMeta(50, "device", 9, 6, "Mono12", 10**18, 0, 77, "ptp", 5), picture(1, 6, 9).astype(np.uint16) * 16, 12),
    Skip("ring_full", 2, 51, 52, 10**18 + 5 * 10**8, "device", 6, 7),
    Frame(FrameMeta(53, "device", 9, 6, "RGB8", 10**18 + 2 * 10**9, 0, 99, "camera", 8, None, True), picture(2, 6, 9, 3)),
    Frame(FrameMeta(54, "device", 9, 6, "Mono8", 10**18 + 10**9, 0), picture(3, 6, 9)),
]


def recorded(folder: Path) -> Path:
    writer = RecordingWriter(folder, camera="cam1", source="test")
    for entry in ENTRIES:
        writer.skip(entry) if isinstance(entry, Skip) else writer.frame(entry)
    writer.close()
    return folder


def test_a_recording_comes_out_as_it_was_recorded_but_for_the_time_of_arrival(tmp_path: Path) -> None:
    source = max_pace(recorded(tmp_path))
    got = drain(source)
    assert source.total == 5  # frames, the two lost ones included
    assert source.status().announced == 5
    for mine, original in zip(got, ENTRIES, strict=True):
        if isinstance(original, Skip):
            assert isinstance(mine, Skip)
            assert mine.received_ns > original.received_ns
            assert replace(mine, received_ns=original.received_ns) == original
        else:
            assert isinstance(mine, Frame)
            assert mine.meta.received_ns > original.meta.received_ns
            assert mine.meta.received_mono_ns > 0
            back = replace(mine.meta, received_ns=original.meta.received_ns, received_mono_ns=0)
            assert (back, mine.bits) == (original.meta, original.bits)
            np.testing.assert_array_equal(mine.pixels, original.pixels)


def test_the_original_pace_of_a_recording_is_its_own_and_a_clock_set_back_is_no_wait(tmp_path: Path) -> None:
    hand = HandClock()
    source = RecordedSource(recorded(tmp_path), "original", clock=hand.clock)
    source.open()
    arrivals = []
    while len(arrivals) < 4:
        item = source.read(0.2)
        if item is not None:
            arrivals.append(round(hand.s - 100.0, 6))
    source.close()
    assert arrivals == [0.0, 0.5, 2.0, 2.0]
    assert max(hand.slept) <= 0.2


def test_the_original_pace_of_a_folder_is_its_fps_and_a_late_reader_catches_up(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / f"{k}.png", picture(k, 4, 4))
    hand = HandClock()
    source = RecordedSource(tmp_path, "original", fps=4.0, clock=hand.clock)
    source.open()
    assert source.read(0.1) is not None
    assert source.read(0.1) is None
    assert hand.s == pytest.approx(100.1)
    hand.s += 10.0
    for _ in range(3):
        assert source.read(0.0) is not None
    with pytest.raises(EOFError):
        source.read(0.1)
    source.close()


def test_the_highest_pace_never_waits(tmp_path: Path) -> None:
    hand = HandClock()
    source = RecordedSource(recorded(tmp_path), "max", clock=hand.clock)
    assert len(drain(source)) == 4
    assert hand.slept == []


def test_opened_again_after_a_fault_it_goes_on_where_it_was(tmp_path: Path) -> None:
    for k in range(4):
        save(tmp_path / f"{k}.png", picture(k, 4, 4))
    source = max_pace(tmp_path)
    source.open()
    source.read(0.1)
    source.close()
    source.close()
    assert [f.meta.frame_id for f in drain(source) if isinstance(f, Frame)] == [1, 2, 3]


def video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 48))
    for k in range(frames):
        rgb = np.zeros((48, 64, 3), np.uint8)
        rgb[..., 0] = 40 * k  # red rises from frame to frame
        writer.write(rgb[..., ::-1])
    writer.release()
    return path


def test_a_video_comes_out_frame_by_frame_in_rgb_at_its_own_pace(tmp_path: Path) -> None:
    hand = HandClock()
    source = RecordedSource(video(tmp_path / "clip.avi", 5), "original", clock=hand.clock)
    frames = drain(source)
    assert source.total == 5
    assert sum(hand.slept) == pytest.approx(0.8, abs=1e-6)
    for k, frame in enumerate(frames):
        assert isinstance(frame, Frame)
        assert (frame.meta.frame_id, frame.meta.frame_ref, frame.meta.pixel_format) == (k, "clip.avi", "RGB8")
        red, green, blue = frame.pixels.mean((0, 1))
        assert red == pytest.approx(40 * k, abs=4)
        assert max(green, blue) < 4


def test_frames_are_read_offline_in_the_same_order(tmp_path: Path) -> None:
    for k in (1, 2, 10):
        save(tmp_path / f"{k}.png", picture(k, 4, 4))
    (tmp_path / "2.png").write_bytes(b"")
    frames = list(read_frames(tmp_path))
    assert count_frames(tmp_path) == 3
    assert [f.meta.frame_ref if isinstance(f, Frame) else f.frame_ref for f in frames] == ["1.png", "2.png", "10.png"]
    assert isinstance(frames[1], Skip)


FULL = "a folder of pictures, a picture (PNG, JPEG, TIFF, BMP), a video file or a recording"


def test_what_holds_no_frames_is_refused_in_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "nowhere"
    _expect(missing, f"{missing}: no such file or folder\n  expected: {FULL.replace(' (PNG, JPEG, TIFF, BMP)', '')}")
    empty = tmp_path / "empty"
    empty.mkdir()
    kinds = "PNG, JPEG, TIFF or BMP files, in it or in folders under it, or a recording"
    _expect(empty, f"{empty}: holds no pictures\n  received: an empty folder\n  expected: {kinds}")
    (empty / "a").mkdir()
    (empty / "a/notes.txt").touch()
    (empty / "list.csv").touch()
    _expect(empty, f"{empty}: holds no pictures\n  received: 2 files of other kinds\n  expected: {kinds}")
    text = tmp_path / "clip.mp4"
    text.write_text("no video")
    _expect(text, f"{text}: neither a picture nor a video that can be read\n  expected: {FULL}")
    recording = tmp_path / "recording"
    RecordingWriter(recording, camera="cam1", source="test").close()
    _expect(recording, f"{recording}: the recording holds no frames")
    assert capfd.readouterr().err == ""


def _expect(path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        max_pace(path).open()
    assert str(caught.value) == text


def test_a_relative_path_of_the_config_lies_beside_the_config_file(tmp_path: Path) -> None:
    save(tmp_path / "pictures/a.png", picture(0, 4, 4))
    source = open_source(RecordedConfig(kind="recorded", path=Path("pictures"), pace="max"), "cam1", tmp_path)
    assert isinstance(source, RecordedSource)
    assert source.simulated
    assert len(drain(source)) == 1


def test_pictures_in_memory_go_round_without_a_copy() -> None:
    pictures = [picture(0, 4, 6), picture(1, 4, 6, 3), picture(2, 5, 5, dtype=np.uint16)]
    source = MemorySource(pictures, 7)
    source.open()
    payloads = [source.read(0.1) for _ in range(7)]
    with pytest.raises(EOFError):
        source.read(0.1)
    source.close()
    for k, payload in enumerate(payloads):
        assert isinstance(payload, Payload)
        assert payload.meta.frame_id == k
        assert np.shares_memory(payload.data, pictures[k % 3])
        np.testing.assert_array_equal(decode_payload(payload.meta, payload.data).pixels, pictures[k % 3])
    assert source.status().announced == 7


def test_pictures_in_memory_keep_their_pace() -> None:
    hand = HandClock()
    source = MemorySource([picture(0, 4, 6)], 5, fps=10.0, clock=hand.clock)
    assert len(drain(source)) == 5
    assert sum(hand.slept) == pytest.approx(0.4)


def test_what_is_no_picture_is_no_source() -> None:
    with pytest.raises(ValueError, match=r"^float32 \(4, 4\) is no picture that a source gives$"):
        MemorySource([np.zeros((4, 4), np.float32)], 1)  # type: ignore[list-item]


def test_masks_of_a_data_set_are_no_frames_and_are_counted(tmp_path: Path) -> None:
    for name in ("test/good/0.png", "test/crack/1.png", "ground_truth/crack/1_mask.png", "thumbs/1.png", "labels.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".png"):
            assert cv2.imwrite(str(path), np.full((4, 6), 90, np.uint8))
        else:
            path.write_text("file,label\n")
    source = RecordedSource(tmp_path, "max")
    assert [frame.meta.frame_ref for frame in drain(source) if isinstance(frame, Frame)] == [
        "test/crack/1.png",
        "test/good/0.png",
    ]
    assert (source.total, source.masks, source.left_out) == (2, "1 picture: ground_truth/crack (1)", "")
    alone = RecordedSource(tmp_path / "ground_truth", "max")
    alone.open()
    assert (alone.total, alone.masks) == (1, "")  # whoever names the folder of masks means them
    alone.close()
