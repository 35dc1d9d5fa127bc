"""A recording as an MCAP file holds the same pictures, losses and records, for other programs and for replay."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from mcap.reader import make_reader
from support.evidence import frame
from support.recordings import recorded

from edge.errors import UserError
from edge.frames import Frame, Skip
from edge.sources.recorded import RecordedSource
from edge.storage.frames_on_disk import count_frames, read_frames
from edge.storage.mcap_file import Exported, is_mcap, open_mcap, read_mcap, write_mcap
from edge.storage.pictures import decode_picture
from edge.storage.recording import read_recording
from edge.storage.recording_writer import RecordingWriter


def exported(folder: Path) -> Path:
    assert write_mcap(recorded(folder / "r"), folder / "r.mcap", lambda *_: None) == (2, 3)
    return folder / "r.mcap"


def same(ours: Frame | Skip, theirs: Frame | Skip) -> None:
    if isinstance(ours, Skip) or isinstance(theirs, Skip):
        assert ours == theirs
    else:
        assert (ours.meta, ours.bits) == (theirs.meta, theirs.bits)
        np.testing.assert_array_equal(ours.pixels, theirs.pixels)


def test_frames_losses_and_stamps_come_back_as_they_were_recorded(tmp_path: Path) -> None:
    path = exported(tmp_path)
    assert is_mcap(path)
    assert open_mcap(path) == Exported("cam1", 3, 4)
    came = list(read_mcap(path))
    assert [stamp for stamp, _ in came] == [1_001, 1_010, 1_020]
    for (_, load), original in zip(came, read_recording(tmp_path / "r"), strict=True):
        same(load(), original)
    assert [f.name for f in tmp_path.iterdir() if f.is_file()] == ["r.mcap"]  # no half file is left


def test_other_programs_find_pictures_and_records_by_topic_and_time(tmp_path: Path) -> None:
    with exported(tmp_path).open("rb") as file:
        reader = make_reader(file)
        found: dict[str, list[tuple[str, str, int, bytes]]] = {}
        for schema, channel, message in reader.iter_messages():
            assert schema is not None
            told = (schema.name, channel.message_encoding, message.log_time, message.data)
            found.setdefault(channel.topic, []).append(told)
        statistics = reader.get_summary().statistics  # type: ignore[union-attr]
    assert statistics is not None
    assert statistics.message_count == 8
    assert sorted(found) == ["/cam1/frame", "/cam1/image", "/cam1/record"]
    assert [entry[:3] for entry in found["/cam1/image"]] == [
        ("foxglove.CompressedImage", "protobuf", 1_001),
        ("foxglove.CompressedImage", "protobuf", 1_020),
    ]
    assert [(e[2], orjson.loads(e[3])) for e in found["/cam1/record"]] == [
        (1_001, {"seq": 1, "verdict": "fail"}),
        (1_010, {}),
        (1_020, {"seq": 20, "verdict": "invalid"}),
    ]


def test_the_picture_message_has_foxgloves_field_numbers(tmp_path: Path) -> None:
    """By hand: timestamp is 1, data 2, format 3, frame_id 4; each tag is number * 8 + 2."""
    with exported(tmp_path).open("rb") as file:
        _, _, message = next(make_reader(file).iter_messages(topics=["/cam1/image"]))
    png = (tmp_path / "r/frames/00000000.png").read_bytes()
    length = bytes([len(png) & 0x7F | 0x80, len(png) >> 7])
    assert message.data == b"\x0a\x03\x10\xe9\x07" + b"\x12" + length + png + b"\x1a\x03png" + b"\x22\x04cam1"
    np.testing.assert_array_equal(decode_picture(png), frame(1, bits=12).pixels)


def test_replay_reads_it(tmp_path: Path) -> None:
    path = exported(tmp_path)
    assert count_frames(path) == 4
    for ours, theirs in zip(read_frames(path), read_recording(tmp_path / "r"), strict=True):
        same(ours, theirs)
    source = RecordedSource(path, "max")
    source.open()
    assert source.total == 4
    while True:
        try:
            source.read(0.1)
        except EOFError:
            break
    assert source.status().announced == 4
    source.close()


def test_a_file_cut_off_anywhere_gives_what_is_whole(tmp_path: Path) -> None:
    path = exported(tmp_path)
    whole = path.read_bytes()
    cut = tmp_path / "cut.mcap"
    counts = []
    for end in range(0, len(whole), 97):
        cut.write_bytes(whole[:end])
        counts.append(len(list(read_mcap(cut))))
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)


def test_deleted_pictures_are_left_out_and_missing_ones_are_losses(tmp_path: Path) -> None:
    writer = RecordingWriter(tmp_path / "r", camera="cam1", source="test")
    for k in range(4):
        writer.frame(frame(k))
    writer.forget([0])
    writer.close()
    (tmp_path / "r/frames/00000002.png").unlink()
    assert write_mcap(tmp_path / "r", tmp_path / "r.mcap", lambda *_: None) == (2, 0)
    first, second, third = (load() for _, load in read_mcap(tmp_path / "r.mcap"))
    assert isinstance(first, Frame)
    assert first.meta.frame_id == 1
    assert second == Skip("unreadable", 1, 2, 2, 1_002, "device", None, None, "frames/00000002.png")
    assert isinstance(third, Frame)


def test_what_cannot_be_written_or_read_is_told_in_words(tmp_path: Path) -> None:
    path = exported(tmp_path)
    for out, text in (
        (path, f"{path}: is there already\n  fix: choose another -o, or delete that file"),
        (tmp_path / "no/r.mcap", f"{tmp_path}/no/r.mcap: cannot be written: No such file or directory"),
    ):
        with pytest.raises(UserError) as caught:
            write_mcap(tmp_path / "r", out, lambda *_: None)
        assert str(caught.value) == text
    other = tmp_path / "other.mcap"
    other.write_bytes(b"\x89MCAP0\r\n" + b"x" * 100)
    with pytest.raises(UserError) as caught:
        list(read_frames(other))
    assert str(caught.value) == f"{other}: not a recording\n  expected: an MCAP file that edge export made"


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **keys: Any) -> Any:
        if name.startswith("mcap"):
            raise ModuleNotFoundError("No module named 'mcap'", name="mcap")
        return real(name, *args, **keys)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError) as caught:
        write_mcap(tmp_path, tmp_path / "r.mcap", lambda *_: None)
    assert str(caught.value) == "MCAP files need the package mcap\n  fix: pip install 'edge-inspect[mcap]'"
