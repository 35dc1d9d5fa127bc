"""A recording gives back what was recorded: pixels, ids, stamps and losses, whatever broke off its writing."""

from __future__ import annotations

import errno
import os
import shutil
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest

from edge.errors import UserError
from edge.frames import Frame, FrameMeta, Skip
from edge.storage import recording_writer
from edge.storage.pictures import PictureError, decoded_format, read_picture
from edge.storage.recording import RecordedFrame, is_recording, open_recording, read_recording
from edge.storage.recording_writer import RecordingWriter

GAP = Skip("frame_id_gap", 3, 8, 10, 555, "device", 41, 43, "a/b.png")


def frame(frame_id: int, *, bits: int = 8, colour: bool = False, **stamps: object) -> Frame:
    shape = (12, 17, 3) if colour else (12, 17)
    pixels = np.random.default_rng(frame_id).integers(0, 1 << bits, shape).astype(np.uint8 if bits == 8 else np.uint16)
    meta = FrameMeta(frame_id, "device", 17, 12, decoded_format(pixels, bits) or "", 1_000 + frame_id, 0)
    return Frame(replace(meta, **stamps), pixels, bits)


def written(folder: Path, *entries: Frame | Skip, append: bool = False) -> Path:
    writer = RecordingWriter(folder, camera="cam1", source="test", append=append)
    for entry in entries:
        writer.skip(entry) if isinstance(entry, Skip) else writer.frame(entry)
    writer.close()
    return folder


def same(read: Frame | Skip, expected: Frame | Skip) -> bool:
    if isinstance(read, Skip) or isinstance(expected, Skip):
        return read == expected
    assert read.pixels.dtype == expected.pixels.dtype
    return (read.meta, read.bits) == (expected.meta, expected.bits) and np.array_equal(read.pixels, expected.pixels)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colour", [False, True])
def test_every_depth_comes_back_bit_for_bit(tmp_path: Path, bits: int, colour: bool) -> None:
    if (bits, colour) == (14, True):  # no camera format decodes to this
        return
    original = frame(7, bits=bits, colour=colour)
    (read,) = read_recording(written(tmp_path, original))
    assert same(read, original)
    assert isinstance(read, Frame)
    assert read.meta.pixel_format == f"{'RGB' if colour else 'Mono'}{bits}"


def test_every_stamp_and_loss_comes_back_in_order(tmp_path: Path) -> None:
    entries = [
        frame(7, camera_ns=123, timestamp_source="ptp", part_id=40, late=True),
        GAP,
        frame(11, frame_id_source="counted", frame_ref="good/ä 1.png"),
        Skip("shutdown", 1, None, None, 9, "counted"),
    ]
    read = list(read_recording(written(tmp_path, *entries)))
    assert len(read) == 4
    assert all(same(r, e) for r, e in zip(read, entries, strict=True))


def test_chunks_come_back_and_a_recording_from_before_them_is_read(tmp_path: Path) -> None:
    chunks = (("ChunkExposureTime", 800.5), ("ChunkLineStatusAll", 3), ("ChunkGain", None))
    folder = written(tmp_path, frame(7, chunks=chunks))
    (read,) = read_recording(folder)
    assert isinstance(read, Frame)
    assert read.meta.chunks == chunks
    index = folder / "frames.jsonl"
    line = orjson.loads(index.read_bytes())
    del line["chunks"]
    index.write_bytes(orjson.dumps(line) + b"\n")
    (read,) = read_recording(folder)
    assert isinstance(read, Frame)
    assert read.meta.chunks == ()


def test_a_frame_is_recorded_as_it_was_decoded_not_as_the_camera_packed_it(tmp_path: Path) -> None:
    packed = frame(0, bits=12, pixel_format="BayerRG12p", colour=True)
    (read,) = read_recording(written(tmp_path, packed))
    assert isinstance(read, Frame)
    assert read.meta.pixel_format == "RGB12"


def test_the_files_are_what_the_format_says(tmp_path: Path) -> None:
    written(tmp_path / "r", frame(7, colour=True), GAP)
    assert sorted(p.relative_to(tmp_path / "r").as_posix() for p in tmp_path.rglob("*") if p.is_file()) == [
        "frames.jsonl",
        "frames/00000000.png",
        "recording.json",
    ]
    head = orjson.loads((tmp_path / "r/recording.json").read_bytes())
    assert (head["schema"], head["camera"], head["source"]) == (1, "cam1", "test")
    first, second = (tmp_path / "r/frames.jsonl").read_bytes().splitlines()
    assert orjson.loads(first) == {
        "kind": "frame",
        "number": 0,
        "file": "frames/00000000.png",
        "bits": 8,
        "frame_id": 7,
        "frame_id_source": "device",
        "width": 17,
        "height": 12,
        "pixel_format": "RGB8",
        "received_ns": 1007,
        "camera_ns": None,
        "timestamp_source": "host",
        "part_id": None,
        "frame_ref": None,
        "late": False,
        "chunks": {},
    }
    assert orjson.loads(second) == {
        "kind": "skip",
        "reason": "frame_id_gap",
        "count": 3,
        "frame_id_first": 8,
        "frame_id_last": 10,
        "received_ns": 555,
        "frame_id_source": "device",
        "part_id_first": 41,
        "part_id_last": 43,
        "frame_ref": "a/b.png",
    }
    viewer = cv2.imread(str(tmp_path / "r/frames/00000000.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(viewer[..., ::-1], frame(7, colour=True).pixels)


def test_a_record_beside_a_frame_is_passed_over_by_readers(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    writer.frame(frame(7), b'{"seq":3,"verdict":"fail"}')
    writer.close()
    assert orjson.loads((tmp_path / "frames.jsonl").read_bytes())["record"] == {"seq": 3, "verdict": "fail"}
    (read,) = read_recording(tmp_path)
    assert same(read, frame(7))


def test_a_torn_last_line_is_passed_over_and_then_written_over(tmp_path: Path) -> None:
    written(tmp_path, frame(0), frame(1))
    index = tmp_path / "frames.jsonl"
    index.write_bytes(index.read_bytes()[:-20])
    (read,) = read_recording(tmp_path)
    assert same(read, frame(0))
    written(tmp_path, frame(2), append=True)
    entries = open_recording(tmp_path).entries
    assert [(e.number, e.meta.frame_id) for e in entries if isinstance(e, RecordedFrame)] == [(0, 0), (2, 2)]
    assert all(same(r, e) for r, e in zip(read_recording(tmp_path), [frame(0), frame(2)], strict=True))


def test_a_half_written_picture_of_a_crash_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    written(tmp_path, frame(0))
    (tmp_path / "frames/00000001.png.tmp").write_bytes(b"half")
    written(tmp_path, frame(1), append=True)
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == ["00000000.png", "00000001.png"]


def _spoil_missing(picture: Path) -> None:
    picture.unlink()


def _spoil_cut(picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:-30])


def _spoil_size(picture: Path) -> None:
    cv2.imwrite(str(picture), np.zeros((12, 18), np.uint8))


def _spoil_depth(picture: Path) -> None:
    cv2.imwrite(str(picture), np.zeros((12, 17), np.uint16))


@pytest.mark.parametrize("spoil", [_spoil_missing, _spoil_cut, _spoil_size, _spoil_depth])
def test_a_missing_or_damaged_picture_is_an_unreadable_frame(tmp_path: Path, spoil: object) -> None:
    written(tmp_path, frame(5), frame(6, part_id=3), frame(7))
    spoil(tmp_path / "frames/00000001.png")  # type: ignore[operator]
    first, second, third = read_recording(tmp_path)
    assert same(first, frame(5))
    assert second == Skip("unreadable", 1, 6, 6, 1006, "device", 3, 3, "frames/00000001.png")
    assert same(third, frame(7))


def test_a_full_disk_takes_the_frame_and_leaves_the_recording_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    writer.frame(frame(0))
    with monkeypatch.context() as full:
        write = os.write
        full.setattr(recording_writer.os, "write", lambda fd, data: write(fd, data[:10]))
        with pytest.raises(OSError, match="No space left"):
            writer.frame(frame(1))
        full.setattr(recording_writer.os, "write", _raise_no_space)
        with pytest.raises(OSError, match="No space left"):
            writer.skip(GAP)
    assert sorted(p.name for p in (tmp_path / "frames").iterdir()) == ["00000000.png"]
    writer.frame(frame(2))
    writer.close()
    assert all(same(r, e) for r, e in zip(read_recording(tmp_path), [frame(0), frame(2)], strict=True))


def _raise_no_space(_fd: int, _data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_pictures_deleted_on_purpose_are_left_out_and_counted(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    for k in range(5):
        writer.frame(frame(k))
    writer.forget([0, 1, 3])
    (tmp_path / "frames/00000000.png").unlink()
    writer.frame(frame(5))
    writer.close()
    assert open_recording(tmp_path).deleted == 3
    assert [r.meta.frame_id for r in read_recording(tmp_path) if isinstance(r, Frame)] == [2, 4, 5]
    assert b'{"kind":"deleted","frames":[[0,1],[3,3]]}\n' in (tmp_path / "frames.jsonl").read_bytes()
    again = RecordingWriter(tmp_path, camera="cam1", source="test", append=True)
    assert again.held == {2: None, 4: None, 5: None}
    again.frame(frame(6), why="fail")
    again.close()
    assert [r.meta.frame_id for r in read_recording(tmp_path) if isinstance(r, Frame)] == [2, 4, 5, 6]
    assert [e.why for e in open_recording(tmp_path).entries if isinstance(e, RecordedFrame)] == [None, None, None, "fail"]


def test_records_that_are_missing_are_counted_and_are_no_entries(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    writer.frame(frame(0))
    writer.missing(3)
    writer.frame(frame(4))
    writer.close()
    assert (tmp_path / "frames.jsonl").read_bytes().splitlines()[1] == b'{"kind":"missing","records":3}'
    again = RecordingWriter(tmp_path, camera="cam1", source="test", append=True)
    again.missing(1)
    assert (again.losses, again.held) == (0, {0: None, 1: None})
    again.close()
    assert open_recording(tmp_path).missing == 4
    assert [r.meta.frame_id for r in read_recording(tmp_path) if isinstance(r, Frame)] == [0, 4]


def test_what_was_missing_before_deleted_frames_is_forgotten_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_writer, "_SHORTEN_FROM", 2)
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    for k in range(4):
        if k in (0, 3):
            writer.missing(1)
        writer.frame(frame(k))
    writer.forget([0, 1, 2])
    assert open_recording(tmp_path).missing == 1
    writer.close()


def test_an_empty_recording_is_removed_and_what_else_lies_there_is_not(tmp_path: Path) -> None:
    RecordingWriter(tmp_path / "new", camera="cam1", source="test").remove()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").mkdir()
    RecordingWriter(tmp_path / "there", camera="cam1", source="test").remove()
    assert list((tmp_path / "there").iterdir()) == []
    writer = RecordingWriter(tmp_path / "there", camera="cam1", source="test")
    writer.frame(frame(0))
    writer.remove()
    assert len(open_recording(tmp_path / "there").entries) == 1


def test_an_index_of_the_first_version_deletes_all_before_a_number(tmp_path: Path) -> None:
    written(tmp_path, *(frame(k) for k in range(5)))
    index = tmp_path / "frames.jsonl"
    index.write_bytes(index.read_bytes() + b'{"kind":"deleted","before":3}\n')
    recording = open_recording(tmp_path)
    assert ([e.number for e in recording.entries if isinstance(e, RecordedFrame)], recording.deleted) == ([3, 4], 3)


def test_the_index_is_shortened_when_most_of_it_is_about_deleted_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_writer, "_SHORTEN_FROM", 8)
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    for k in range(200):
        writer.frame(frame(k))
        writer.skip(GAP)
        if k >= 4:
            writer.forget([k - 4])
            (tmp_path / f"frames/{k - 4:08d}.png").unlink()
    assert len((tmp_path / "frames.jsonl").read_bytes().splitlines()) < 40
    assert writer.index_bytes == (tmp_path / "frames.jsonl").stat().st_size
    writer.frame(frame(200))
    writer.close()
    read = open_recording(tmp_path)
    assert [e.meta.frame_id for e in read.entries if isinstance(e, RecordedFrame)] == [196, 197, 198, 199, 200]
    assert read.deleted == 196
    with_all_gone = RecordingWriter(tmp_path, camera="cam1", source="test", append=True)
    with_all_gone.forget(list(with_all_gone.held))
    with_all_gone.forget_losses()
    with_all_gone.close()
    assert (tmp_path / "frames.jsonl").read_bytes() == (b'{"kind":"deleted","frames":[],"before":201,"next_number":201}\n')
    on = RecordingWriter(tmp_path, camera="cam1", source="test", append=True)
    assert on.frame(frame(300)) == 201
    on.close()
    assert open_recording(tmp_path).deleted == 201


def test_a_folder_with_a_recording_is_not_written_over(tmp_path: Path) -> None:
    written(tmp_path, frame(0))
    with pytest.raises(UserError) as caught:
        RecordingWriter(tmp_path, camera="cam1", source="test")
    assert str(caught.value) == (
        f"{tmp_path}: already holds a recording\n  fix: name a folder that doesn't exist yet, or delete this one"
    )
    with pytest.raises(UserError) as caught:
        RecordingWriter(tmp_path, camera="cam2", source="test", append=True)
    assert str(caught.value) == (
        f"{tmp_path}: holds a recording of another camera\n"
        "  received: cam1\n"
        "  expected: cam2\n"
        "  fix: give each camera a folder of its own"
    )


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        RecordingWriter(tmp_path / "file" / "r", camera="cam1", source="test")
    assert str(caught.value) == (
        f"{tmp_path}/file/r: cannot be written: {tmp_path}/file is a file, not a folder\n"
        "  fix: choose another folder, or give the user of this process the right to write there"
    )


def test_what_is_no_recording_is_named(tmp_path: Path) -> None:
    assert not is_recording(tmp_path)
    _expect(tmp_path, f"{tmp_path}: not a recording: it has no recording.json")
    head = tmp_path / "recording.json"
    head.write_text('{"schema": 2, "camera": "cam1", "created_ns": 1, "source": "x"}')
    assert is_recording(tmp_path)
    _expect(tmp_path, f"{head}: a recording of another version\n  received: schema 2\n  expected: schema 1")
    head.write_text("{")
    _expect(tmp_path, f'{head}: not the head of a recording\n  expected: {{"schema": 1, "camera": ...}}')
    head.write_text('{"schema": 1, "camera": "cam1", "created_ns": 1, "source": "x"}')
    index = tmp_path / "frames.jsonl"
    _expect(tmp_path, f"{index}: cannot be read: No such file or directory")
    index.write_text('{"kind":"skip"\n{}\n')
    _expect(
        tmp_path,
        f"{index}:1: not a line of a recording\n"
        '  received: \'{"kind":"skip"\\n\'\n'
        "  fix: the file was changed or the disk is damaged",
    )


def _expect(folder: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        list(read_recording(folder))
    assert str(caught.value) == text


def test_pixels_that_no_format_describes_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    with pytest.raises(ValueError, match=r"^uint16 pixels of 8 bits can't be recorded$"):
        writer.frame(Frame(frame(0).meta, np.zeros((12, 17), np.uint16), 8))
    writer.close()
    assert list((tmp_path / "frames").iterdir()) == []
    assert (tmp_path / "frames.jsonl").read_bytes() == b""


def test_many_that_are_missing_in_a_row_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk must not get a line for each picture that it has no room for."""
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    writer.frame(frame(0))
    with monkeypatch.context() as full:
        full.setattr(
            recording_writer, "whole_file", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        for k in range(1, 18):
            with pytest.raises(OSError, match="No space left"):
                writer.frame(frame(k))
            writer.missing(1)
    assert len((tmp_path / "frames.jsonl").read_bytes().splitlines()) == 1
    writer.frame(frame(18))
    writer.close()
    lines = [orjson.loads(line) for line in (tmp_path / "frames.jsonl").read_bytes().splitlines()]
    assert [line["kind"] for line in lines] == ["frame", "missing", "frame"]
    assert lines[1] == {"kind": "missing", "records": 17}


@pytest.mark.parametrize("damage", [b"", bytes(120), b'{"schema": 1, "came', b'{"camera": "cam1"}', b"[]", b"\xff\xfe"])
def test_a_head_that_a_power_cut_left_is_set_aside_and_the_frames_are_kept(tmp_path: Path, damage: bytes) -> None:
    """Renamed and never synced, it was empty after 6 of 6 cuts soon after the first start."""
    writer = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    writer.frame(frame(0))
    writer.close()
    (tmp_path / "recording.json").write_bytes(damage)
    writer = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    assert writer.damaged == [tmp_path / "recording.json.damaged"]
    assert (tmp_path / "recording.json.damaged").read_bytes() == damage
    writer.frame(frame(1))
    writer.close()
    assert [entry.number for entry in open_recording(tmp_path).entries if isinstance(entry, RecordedFrame)] == [0, 1]
    (tmp_path / "recording.json").write_bytes(damage)
    again = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    again.close()
    assert again.damaged == [tmp_path / "recording.json.damaged-2"]


def test_a_recording_of_another_version_or_camera_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "recording.json").write_text('{"schema": 2, "camera": "cam1", "created_ns": 1, "source": "x"}')
    with pytest.raises(UserError, match="a recording of another version"):
        RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    (tmp_path / "recording.json").write_text('{"schema": 1, "camera": "cam2", "created_ns": 1, "source": "x"}')
    with pytest.raises(UserError, match="a recording of another camera"):
        RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)


def _flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "missing"),
    [
        (lambda data: _flipped(data, len(data) // 2), 1),  # one bit of a card
        (lambda data: data[:600] + bytes(400) + data[1000:], 1),  # a page
        (lambda data: data[:700] + b"\n" + data[700:], 2),
        (lambda data: b"\0" * 512 + data, 1),
        (lambda data: data + bytes(4096), 0),  # made longer, and never written: torn
    ],
)
def test_lines_that_are_damaged_are_passed_over_counted_and_set_aside(
    tmp_path: Path, damage: Callable[[bytes], bytes], missing: int
) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    for number in range(6):
        writer.frame(frame(number))
    writer.close()
    index = tmp_path / "frames.jsonl"
    whole = index.read_bytes()
    index.write_bytes(damage(whole))
    before = open_recording(tmp_path)
    assert before.missing == missing
    good = [entry for entry in before.entries if isinstance(entry, RecordedFrame)]
    assert len(good) >= 4
    writer = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    assert writer.damaged == ([tmp_path / "frames.jsonl.damaged"] if missing else [])
    writer.frame(frame(9))
    writer.close()
    after = open_recording(tmp_path)
    assert (after.missing, after.entries[:-1]) == (missing, before.entries)
    again = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    again.close()
    assert again.damaged == []


def test_a_picture_is_on_the_disk_before_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync, write = os.fdatasync, os.write
    monkeypatch.setattr(os, "fdatasync", lambda fd: done.append(f"sync {_name(fd)}") or sync(fd))
    monkeypatch.setattr(os, "write", lambda fd, data: done.append(f"write {_name(fd)}") or write(fd, data))
    writer = RecordingWriter(tmp_path, camera="cam1", source="evidence", append=True)
    writer.frame(frame(0))
    assert done == ["sync .png", "write .jsonl"]
    writer.sync()
    writer.sync()
    assert done[2:] == ["sync .jsonl"]
    writer.close()


def _name(fd: int) -> str:
    path = os.readlink(f"/proc/self/fd/{fd}")
    return ".png" if ".png" in path else Path(path).suffix


def test_a_file_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path, camera="cam1", source="test")
    odd = frame(0)
    writer.frame(replace(odd, meta=replace(odd.meta, frame_ref="bad\udce9.png")), b'{"seq":1}')
    writer.skip(replace(GAP, frame_ref="worse\udce9.png"))
    writer.close()
    recording = open_recording(tmp_path)
    refs = [entry.frame_ref if isinstance(entry, Skip) else entry.meta.frame_ref for entry in recording.entries]
    assert refs == ["bad\\udce9.png", "worse\\udce9.png"]


@pytest.mark.parametrize("way", ["name", "absolute", "link", "folder link"])
def test_a_picture_outside_the_recording_is_an_unreadable_frame(tmp_path: Path, way: str) -> None:
    """Whoever made the recording would choose which pictures of this machine come into records, overlays and exports."""
    folder, other = tmp_path / "r", tmp_path / "private.png"
    written(folder, frame(5), frame(6))
    picture, index = folder / "frames" / "00000001.png", folder / "frames.jsonl"
    shutil.copy(picture, other)
    if way == "link":
        picture.unlink()
        picture.symlink_to(other)
    elif way == "folder link":
        (folder / "frames").rename(tmp_path / "elsewhere")
        (folder / "frames").symlink_to(tmp_path / "elsewhere")
    else:
        named = "../private.png" if way == "name" else str(other)
        index.write_text(index.read_text().replace("frames/00000001.png", named))
    first, second = read_recording(folder)
    assert (isinstance(first, Skip), isinstance(second, Skip)) == (way == "folder link", True)
    shutil.move(folder, tmp_path / "moved")
    (tmp_path / "by another name").symlink_to(tmp_path / "moved")
    if way != "folder link":
        assert same(next(read_recording(tmp_path / "by another name")), frame(5))  # the folder itself may be a link


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    """/dev/zero took 5.6 GB, and a pipe for ever."""
    written(tmp_path, frame(5))
    picture = tmp_path / "frames" / "00000000.png"
    picture.unlink()
    if kind == "fifo":
        os.mkfifo(picture)
    else:
        picture.symlink_to("/dev/zero")
    (lost,) = read_recording(tmp_path)
    assert isinstance(lost, Skip)
    assert lost.reason == "unreadable"
    with pytest.raises(PictureError, match=r"^not a regular file$"):
        read_picture(picture)


def test_lines_that_delete_endless_numbers_take_no_memory(tmp_path: Path) -> None:
    """50 lines of 10^8 numbers each took 4.6 GB; as many lines of a million each are the same thing."""
    written(tmp_path, *(frame(k) for k in range(6)))
    index = tmp_path / "frames.jsonl"
    with index.open("ab") as file:
        for k in range(300):
            file.write(b'{"kind":"deleted","frames":[[%d,%d]]}\n' % (10 + k * 10**15, 9 + (k + 1) * 10**15))
        file.write(b'{"kind":"deleted","frames":[[0,1],[4,4]]}\n')
    tracemalloc.start()
    try:
        recording = open_recording(tmp_path)
        writer = RecordingWriter(tmp_path, camera="cam1", source="test", append=True)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert [e.number for e in recording.entries if isinstance(e, RecordedFrame)] == [2, 3, 5]
    assert recording.deleted == 3
    assert list(writer.held) == [2, 3, 5]
    writer.close()
