"""A long index is shortened a slice at a time while the recording goes on, and holds the same as one that never was."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge.frames import Frame, FrameMeta, Skip
from edge.storage import index_pass, recording_writer
from edge.storage.index_pass import IndexPass, temporary, unhurried
from edge.storage.recording import open_recording
from edge.storage.recording_index import RecordedFrame
from edge.storage.recording_writer import RecordingWriter

GAP = Skip("frame_id_gap", 3, 8, 10, 555, "device", None, None, None)


def frame(frame_id: int) -> Frame:
    return Frame(FrameMeta(frame_id, "device", 17, 12, "Mono8", 1_000 + frame_id, 0), np.zeros((12, 17), np.uint8), 8)


class Ticks:
    """A clock on which each look takes a millisecond."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now


def writer_in(folder: Path) -> RecordingWriter:
    return RecordingWriter(folder, camera="cam1", source="evidence", append=True)


def numbers(folder: Path) -> list[int]:
    return [entry.number for entry in open_recording(folder).entries if isinstance(entry, RecordedFrame)]


def test_a_slice_reads_no_more_lines_than_its_time_allows(tmp_path: Path) -> None:
    """143 MB of index were parsed three times in one go: two seconds in which 32 frames were dropped."""
    writer = writer_in(tmp_path)
    for k in range(40):
        writer.frame(frame(k))
    shortened = IndexPass(tmp_path / "frames.jsonl", frozenset(range(30)), losses=True)
    steps, lines = 0, []
    while not shortened.step(0.005, Ticks()):
        steps += 1
        lines.append(shortened._read)
    line = (tmp_path / "frames.jsonl").stat().st_size / 40
    assert all(later - earlier <= 6 * line for earlier, later in zip([0, *lines], lines, strict=False))
    assert steps >= 7
    shortened.finish(40)
    writer.close()
    assert numbers(tmp_path) == list(range(30, 40))
    assert open_recording(tmp_path).deleted == 30


@pytest.mark.parametrize("seed", range(6))
def test_a_recording_that_is_shortened_while_it_grows_is_the_one_that_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Frames, losses and deletions come at random between slices of two lines each; restarts among them."""
    monkeypatch.setattr(recording_writer, "_SHORTEN_FROM", 12)
    monkeypatch.setattr(recording_writer, "_AT_ONCE", 0)
    for name in ("fsync", "fdatasync"):  # that is not what this is about, and slow
        monkeypatch.setattr(os, name, lambda _: None)
    step = IndexPass.step
    monkeypatch.setattr(IndexPass, "step", lambda one, slice_s, clock=None: step(one, 0.002, Ticks()))
    chance, passes = random.Random(seed), 0
    writer, live, deleted = writer_in(tmp_path), list[int](), 0
    for k in range(200):
        what = chance.random()
        before = writer.shortens
        if what < 0.5:
            live.append(writer.frame(frame(k), why="fail" if chance.random() < 0.3 else None))
        elif what < 0.6:
            writer.skip(GAP)
        elif what < 0.9 and live:
            gone = sorted(chance.sample(live, min(len(live), chance.randint(1, 3))))
            writer.forget(gone)
            live = [number for number in live if number not in gone]
            deleted += len(gone)
        elif what < 0.95:
            writer.forget_losses()
        elif what < 0.97:
            writer.close()
            writer = writer_in(tmp_path)
        passes += before and not writer.shortens
        assert numbers(tmp_path) == live
        assert open_recording(tmp_path).deleted == deleted
        assert writer._size == (tmp_path / "frames.jsonl").stat().st_size
    assert passes >= 2
    losses = sum(isinstance(entry, Skip) for entry in open_recording(tmp_path).entries)
    assert losses == writer.losses
    writer.close()


def test_losses_are_not_counted_from_the_moment_that_they_are_to_be_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or fails would be deleted to make room for them while the index is being shortened."""
    monkeypatch.setattr(recording_writer, "_AT_ONCE", 0)
    writer = writer_in(tmp_path)
    writer.frame(frame(0))
    with_frame = writer.index_bytes
    for _ in range(50):
        writer.skip(GAP)
    step = IndexPass.step
    monkeypatch.setattr(IndexPass, "step", lambda one, slice_s: step(one, 0.002, Ticks()))
    writer.forget_losses()
    assert writer.shortens
    assert writer.index_bytes == with_frame
    writer.skip(GAP)
    while writer.shortens:
        writer.go_on()
    assert (writer.losses, numbers(tmp_path)) == (1, [0])
    writer.close()


def test_a_pass_that_a_crash_ended_leaves_the_index_and_its_rest_is_removed(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    for k in range(5):
        writer.frame(frame(k))
    broken_off = IndexPass(tmp_path / "frames.jsonl", frozenset([0, 1]), losses=True)
    broken_off.step(0.002, Ticks())
    os.close(writer._fd)  # the process ends here, and its files are closed
    broken_off._file.close()
    broken_off._shorter.close()
    index = tmp_path / "frames.jsonl"
    assert temporary(index).exists()
    writer_in(tmp_path).close()
    assert not temporary(index).exists()
    assert numbers(tmp_path) == [0, 1, 2, 3, 4]


def test_a_shorter_index_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed and never synced, it would be empty after a power cut on xfs: every picture would have lost its line."""
    writer = writer_in(tmp_path)
    for k in range(5):
        writer.frame(frame(k))
    done: list[str] = []
    fsync, replace, sync_folder = os.fsync, Path.replace, index_pass.sync_folder
    monkeypatch.setattr(index_pass.os, "fsync", lambda fd: done.append("content") or fsync(fd))  # type: ignore[func-returns-value]
    monkeypatch.setattr(Path, "replace", lambda one, to: done.append("name") or replace(one, to))  # type: ignore[func-returns-value]
    monkeypatch.setattr(index_pass, "sync_folder", lambda one: done.append("folder") or sync_folder(one))  # type: ignore[func-returns-value]
    writer.forget([0, 1, 2])
    writer._shorten(losses=True)
    assert done[:3] == ["content", "name", "folder"]
    writer.close()


def test_without_room_for_a_shorter_index_the_long_one_is_used_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_writer, "_SHORTEN_FROM", 4)
    writer = writer_in(tmp_path)
    for k in range(5):
        writer.frame(frame(k))
    with monkeypatch.context() as full:
        full.setattr(IndexPass, "finish", _no_room)
        writer.forget([0, 1, 2])
    assert not writer.shortens
    assert not temporary(tmp_path / "frames.jsonl").exists()
    writer.frame(frame(5))
    assert numbers(tmp_path) == [3, 4, 5]
    writer._shorten_at = 0.0
    writer.forget([3])
    writer.close()
    assert numbers(tmp_path) == [4, 5]
    assert len((tmp_path / "frames.jsonl").read_bytes().splitlines()) == 3


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_long_index_that_is_opened_while_a_line_runs_is_read_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that comes back is opened then."""
    slept: list[float] = []
    monkeypatch.setattr(index_pass.time, "sleep", slept.append)

    def lines() -> Iterator[int]:
        yield from range(100)

    assert list(unhurried(lines(), Ticks())) == list(range(100))
    assert 25 <= len(slept) <= 50
    assert set(slept) == {index_pass.SLICE_S}
