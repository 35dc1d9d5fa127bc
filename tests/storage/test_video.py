"""A frame that the decoder filled in is told as damaged, and every frame that was predicted from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs
from support.videos import encoded, mjpeg, scene, video_packets, without_packets, zeroed_jpegs

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.storage import frames_on_disk, video
from edge.storage.frames_on_disk import count_frames, read_frames
from edge.storage.video import Damaged, JpegVideo, PlainVideo, Read, Shot, open_video


def all_of(path: Path) -> list[Read]:
    opened = open_video(str(path))
    reads = []
    while (read := opened.read()) is not None:
        reads.append(Shot(read.pixels.copy(), read.bits, read.format, read.at_s) if isinstance(read, Shot) else read)
    opened.close()
    return reads


def believed_wrongly(reads: list[Read], good: list[Read]) -> list[int]:
    """Frames that are told as good and look like no good frame."""
    references = [read.pixels.astype(np.int16) for read in good if isinstance(read, Shot)]
    return [
        index
        for index, read in enumerate(reads)
        if isinstance(read, Shot) and min(np.abs(read.pixels - reference).max() for reference in references) > 12
    ]


def test_motion_jpeg_frames_that_are_damaged_inside_are_told_and_no_others(tmp_path: Path) -> None:
    good = mjpeg(tmp_path / "good.avi", 12)
    reads = all_of(zeroed_jpegs(good, tmp_path / "bad.avi", 2, 7))
    assert [index for index, read in enumerate(reads) if isinstance(read, Damaged)] == [2, 7]
    assert len(reads) == 12
    assert isinstance(reads[2], Damaged)
    assert reads[2].why.startswith("JPEG: Corrupt JPEG data: ")
    assert believed_wrongly(reads, all_of(good)) == []


def test_motion_jpeg_needs_no_more_than_the_core_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "has_pyav", lambda: False)
    opened = open_video(str(mjpeg(tmp_path / "a.avi", 3)))
    assert isinstance(opened, JpegVideo)
    opened.close()


@pytest.mark.parametrize(("codec", "gop"), [("libx264", 20), ("libx264", 1000), ("mpeg4", 20)])
def test_a_lost_packet_spoils_frames_up_to_the_next_key_frame_and_each_of_them_is_told(
    tmp_path: Path, codec: str, gop: int
) -> None:
    pytest.importorskip("av")
    good = encoded(tmp_path / "good.ts", 60, codec, gop=gop)
    reference = all_of(good)
    assert [type(read) for read in reference] == [Shot] * 60
    sent = video_packets(good)
    half = len(sent) // 2
    for number, lost in enumerate(((sent[5],), (sent[len(sent) // 3],), (sent[half], sent[half + 20]), (sent[-10],))):
        reads = all_of(without_packets(good, tmp_path / f"bad{number}.ts", *lost))
        assert any(isinstance(read, Damaged) for read in reads)
        assert believed_wrongly(reads, reference) == []
        # nothing tells of a last frame that is lost whole, nor of any where the container knows no rate
        assert len(reads) in (59, 60) or codec == "mpeg4"


@pytest.mark.parametrize("gop", [20, 1000])
def test_holes_of_zeros_in_an_mp4_are_told_up_to_the_next_key_frame(tmp_path: Path, gop: int) -> None:
    pytest.importorskip("av")
    good = encoded(tmp_path / "good.mp4", 60, "libx264", gop=gop)
    reference, data = all_of(good), good.read_bytes()
    assert [type(read) for read in reference] == [Shot] * 60
    begin, length = data.index(b"mdat") + 4, int.from_bytes(data[data.index(b"mdat") - 4 : data.index(b"mdat")], "big") - 8
    for share in (0.2, 0.45, 0.8):
        for size in (8, 300):
            at = begin + int(share * length)
            (tmp_path / "bad.mp4").write_bytes(data[:at] + bytes(size) + data[at + size :])
            reads = all_of(tmp_path / "bad.mp4")
            assert any(isinstance(read, Damaged) for read in reads)
            assert believed_wrongly(reads, reference) == []


def test_a_wrong_checksum_that_the_decoder_only_writes_to_its_log_is_damage(tmp_path: Path) -> None:
    """FFV1 fills a slice in from the picture before and raises nothing, though its checksum is wrong."""
    pytest.importorskip("av")
    good = encoded(tmp_path / "good.mkv", 24, "ffv1")
    reference, data = all_of(good), good.read_bytes()
    assert [type(read) for read in reference] == [Shot] * 24
    for share, length in ((0.3, 300), (0.5, 1), (0.8, 40)):
        at = int(len(data) * share)
        bad = tmp_path / "bad.mkv"
        bad.write_bytes(data[:at] + bytes(byte ^ 16 for byte in data[at : at + length]) + data[at + length :])
        reads = all_of(bad)
        damaged = [read for read in reads if isinstance(read, Damaged)]
        assert damaged
        assert damaged[0].why.startswith("ffv1: slice CRC mismatch")
        assert believed_wrongly(reads, reference) == []


@pytest.mark.parametrize(("codec", "ending", "told"), [("huffyuv", "avi", True), ("libx264", "mkv", False)])
def test_a_codec_whose_damage_nobody_can_see_is_warned_of(tmp_path: Path, codec: str, ending: str, told: bool) -> None:
    pytest.importorskip("av")
    pixels = "rgb24" if codec == "huffyuv" else "yuv420p"
    path = encoded(tmp_path / f"a.{ending}", 3, codec, pixel_format=pixels)
    with capture_logs() as logs:
        open_video(str(path)).close()
    assert [(line["event"], line["codec"]) for line in logs] == ([("video_damage_unseen", codec)] if told else [])


def test_frames_between_two_damaged_groups_are_believed(tmp_path: Path) -> None:
    pytest.importorskip("av")
    good = encoded(tmp_path / "good.ts", 80, gop=20)
    reads = all_of(without_packets(good, tmp_path / "bad.ts", video_packets(good)[10]))
    told = [isinstance(read, Damaged) for read in reads]
    assert any(told[:20])
    assert told[20:] == [False] * 60


@pytest.mark.parametrize(("pixel_format", "bits"), [("gray", 8), ("gray12le", 12), ("gray16le", 16)])
def test_grey_videos_stay_grey_and_keep_their_bits(tmp_path: Path, pixel_format: str, bits: int) -> None:
    pytest.importorskip("av")
    path = encoded(tmp_path / "grey.mkv", 3, "ffv1", pixel_format=pixel_format)
    for index, frame in enumerate(read_frames(path)):
        assert isinstance(frame, Frame)
        assert (frame.meta.pixel_format, frame.bits) == (f"Mono{bits}", bits)
        expected = scene(index)[..., 0].astype(np.uint16) * 257 >> (16 - bits)
        assert np.abs(frame.pixels.astype(int) - expected).max() <= (1 << bits) // 256


def test_without_pyav_a_warning_says_that_damage_cannot_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    path = encoded(tmp_path / "a.mp4", 5)
    monkeypatch.setattr(video, "has_pyav", lambda: False)
    with capture_logs() as logs:
        opened = open_video(str(path))
    assert isinstance(opened, PlainVideo)
    opened.close()
    assert logs == [
        {
            "event": "video_damage_unseen",
            "log_level": "warning",
            "video": str(path),
            "codec": "h264",
            "hint": "OpenCV shows damaged frames as good ones: pip install 'edge-inspect[video]'",
        }
    ]


def test_damaged_frames_of_a_file_are_unreadable_ones_in_their_places(tmp_path: Path) -> None:
    path = zeroed_jpegs(mjpeg(tmp_path / "good.avi", 6), tmp_path / "bad.avi", 1, 4)
    items = list(read_frames(path))
    assert [item.reason if isinstance(item, Skip) else item.meta.frame_id for item in items] == [
        *(0, "unreadable", 2, 3, "unreadable", 5)
    ]
    assert [item.frame_id_first for item in items if isinstance(item, Skip)] == [1, 4]


def test_frames_that_the_container_promised_and_did_not_give_are_one_loss(tmp_path: Path) -> None:
    path = mjpeg(tmp_path / "good.avi", 30)
    assert count_frames(path) == 30
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with capture_logs() as logs:
        items = list(read_frames(path))
    total = count_frames(path)
    assert total == 30
    last = items[-1]
    assert isinstance(last, Skip)
    assert last.reason == "unreadable"
    assert (last.frame_id_first, last.frame_id_last) == (30 - last.count, 29)
    assert sum(item.count if isinstance(item, Skip) else 1 for item in items) == 30
    assert "video_ended_early" in [line["event"] for line in logs]


class NothingComes:
    """A video that opens and of which nothing can be decoded."""

    codec, fps, promised, counted, finite = "av01", 25.0, 60, True, True

    def read(self, _buffer: object = None) -> None:
        return None

    def close(self) -> None:
        pass


def test_a_video_that_opens_and_gives_no_frame_is_refused_with_its_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.mkv"
    path.touch()
    monkeypatch.setattr(frames_on_disk, "open_video", lambda _path: NothingComes())
    with pytest.raises(UserError) as caught:
        count_frames(path)
    assert str(caught.value).startswith(f"{path}: opens, but no frame of it can be decoded\n  received: codec av01\n")
