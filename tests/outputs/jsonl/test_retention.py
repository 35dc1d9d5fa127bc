"""Closed log files are compressed, and deleted by age and size, without a record lost and without holding up the writer."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard
from support.records import IDENTITY, record
from support.waits import PATIENCE_S

from edge.config.outputs import JsonlConfig
from edge.errors import UserError
from edge.outputs.jsonl import age
from edge.outputs.jsonl import retention as closed
from edge.outputs.jsonl.retention import ClosedSegments
from edge.outputs.jsonl.sink import JsonlSink
from edge.storage import disk
from edge.storage.log_files import read_records, segments


def write(folder: Path, number: int, count: int = 3, camera: str = "cam1") -> Path:
    path = folder / f"edge-{camera}-20261121T18200{number}Z-{number:06d}.jsonl"
    path.write_bytes(b"".join(record(seq).line + b"\n" for seq in range(count)))
    return path


def tidied(folder: Path, being_written: Path | None = None, **keys: Any) -> ClosedSegments:
    """One round over ``folder``."""
    tidy = ClosedSegments(JsonlConfig(dir=folder, **keys), folder, "cam1")
    tidy._open = being_written
    tidy.round()
    return tidy


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_file_but_the_one_being_written_is_compressed_and_holds_the_same(tmp_path: Path) -> None:
    first, second, now = (write(tmp_path, number) for number in range(3))
    other = write(tmp_path, 3, camera="cam2")
    os.utime(first, (1e9, 1e9))
    before = first.read_bytes()
    tidy = tidied(tmp_path, now, keep_days=None)
    assert names(tmp_path) == sorted([f"{first.name}.zst", f"{second.name}.zst", now.name, other.name])
    packed = tmp_path / f"{first.name}.zst"
    assert zstandard.decompress(packed.read_bytes()) == before
    assert packed.stat().st_mtime == 1e9  # its age is that of its last record
    assert packed.stat().st_size < len(before)
    assert [r["seq"] for r in read_records(packed)] == [0, 1, 2]
    assert tidy.compressed == 2
    assert segments(tmp_path, "cam1") == [packed, tmp_path / f"{second.name}.zst", now]


def test_compression_can_be_off(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    tidied(tmp_path, compress=False)
    assert names(tmp_path) == [path.name]


def test_a_crash_between_copy_and_deletion_is_mended_by_the_next_round(tmp_path: Path) -> None:
    path = write(tmp_path, 0)
    (tmp_path / f"{path.name}.zst").write_bytes(b"half")
    (tmp_path / f"{path.name}.zst.tmp").write_bytes(b"half")
    assert segments(tmp_path) == [path]  # a reader takes the original
    tidied(tmp_path)
    assert names(tmp_path) == [f"{path.name}.zst"]
    assert len(list(read_records(tmp_path / f"{path.name}.zst"))) == 3


def test_a_file_that_a_living_process_writes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 0)

    def held(fd: int, path: Path) -> None:
        raise UserError("another process writes this log")

    monkeypatch.setattr(closed, "lock", held)
    tidied(tmp_path)
    assert names(tmp_path) == [path.name]


def test_a_copy_that_does_not_hold_the_original_never_replaces_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 0)
    monkeypatch.setattr(closed, "verified_bytes", lambda _: 1)
    tidied(tmp_path)
    assert names(tmp_path) == [path.name]


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that has been right for long: test_age.py has the others."""
    monkeypatch.setattr(age, "FIRST_S", 0.0)
    monkeypatch.setattr(age, "RATE", 1e12)
    monkeypatch.setattr(age, "last_moment", lambda _path, mtime: mtime)


@pytest.mark.usefixtures("trusted")
def test_files_that_are_too_old_are_deleted_by_their_last_record(tmp_path: Path) -> None:
    old, young, now = (write(tmp_path, number) for number in range(3))
    for path in (old, now):
        os.utime(path, (time.time() - 31 * 86400,) * 2)
    Path(f"{old}.torn").write_bytes(b"half")
    os.utime(f"{old}.torn", (time.time() - 31 * 86400,) * 2)
    tidy = tidied(tmp_path, now, keep_days=30, compress=False)
    assert names(tmp_path) == [young.name, now.name]
    assert tidy.deleted == 1


@pytest.mark.parametrize("quota", [{"quota_gb": 2.5}, {"quota_percent": 25.0}, {"quota_gb": 2.5, "quota_percent": 99.0}])
def test_the_oldest_closed_files_go_first_when_the_quota_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: dict[str, float]
) -> None:
    paths = [write(tmp_path, number, 10) for number in range(4)]
    size = paths[0].stat().st_size
    unit = size / 1e9
    monkeypatch.setattr(disk, "space", lambda _: (10**12, 10 * size))
    keys = {name: value * unit if name == "quota_gb" else value for name, value in quota.items()}
    tidied(tmp_path, paths[-1], compress=False, **keys)
    assert names(tmp_path) == [p.name for p in paths[2:]]
    tidied(tmp_path, paths[-1], compress=False, quota_gb=0.1 * unit)
    assert names(tmp_path) == [paths[-1].name]  # the one being written stays, whatever the quota


def test_too_little_room_stops_compression_and_only_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, now = write(tmp_path, 0), write(tmp_path, 1)
    free = [400_000_000]
    monkeypatch.setattr(disk, "space", lambda _: (free[0], 10**12))
    tidy = tidied(tmp_path, now, compress_min_free_gb=0.5)
    assert (names(tmp_path), tidy.low) == ([path.name, now.name], True)
    free[0] = 600_000_000
    tidy.round()
    assert (names(tmp_path), tidy.low) == ([f"{path.name}.zst", now.name], False)


def test_a_full_disk_while_compressing_leaves_the_original_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, 0)
    with monkeypatch.context() as full:
        full.setattr(closed.os, "fsync", _no_space)
        with pytest.raises(OSError, match="No space"):
            tidied(tmp_path)
        assert names(tmp_path) == [path.name]
    tidied(tmp_path)
    assert names(tmp_path) == [f"{path.name}.zst"]


def _no_space(_fd: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_thread_is_of_the_lowest_priority_and_the_writer_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nice: dict[str, int] = {}
    done = threading.Event()
    whole = ClosedSegments.round

    def looked(self: ClosedSegments) -> None:
        nice[threading.current_thread().name] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
        whole(self)
        done.set()

    monkeypatch.setattr(ClosedSegments, "round", looked)
    sink = JsonlSink(JsonlConfig(dir=tmp_path, sync="none"), tmp_path, IDENTITY)
    sink.open()
    assert done.wait(PATIENCE_S)
    sink.close()
    assert nice == {"log-closed": 19}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) < 19


def test_a_long_compression_is_given_up_when_the_log_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, 0, 100)
    monkeypatch.setattr(closed, "FRAME_BYTES", 100)
    sink = JsonlSink(JsonlConfig(dir=tmp_path, sync="none"), tmp_path, IDENTITY)
    sink.open()
    end = time.monotonic() + PATIENCE_S
    while not (tmp_path / f"{path.name}.zst.tmp").exists():
        assert time.monotonic() < end
        time.sleep(0.001)
    sink.write(record(0), None)  # meanwhile the log goes on
    sink.close()
    while "log-closed" in {t.name for t in threading.enumerate()}:
        assert time.monotonic() < end
        time.sleep(0.001)
    assert path.name in names(tmp_path)
    assert not any(name.endswith((".zst", ".tmp")) for name in names(tmp_path))


def test_a_log_compresses_what_it_rotated_away(tmp_path: Path) -> None:
    sink = JsonlSink(JsonlConfig(dir=tmp_path, sync="none", rotate_mb=1), tmp_path, IDENTITY)
    sink.open()
    size = len(record(1000).line) + 1
    for seq in range(1000, 1000 + 1_500_000 // size):
        sink.write(record(seq), None)
    end = time.monotonic() + PATIENCE_S
    while sink.counters["files_compressed"] == 0:
        assert time.monotonic() < end
        time.sleep(0.005)
    sink.close()
    assert [p.suffix for p in segments(tmp_path)] == [".zst", ".jsonl"]
    found = [r["seq"] for path in segments(tmp_path) for r in read_records(path)]
    assert found == list(range(1000, 1000 + 1_500_000 // size))
    assert sink.counters == {"files_compressed": 1, "files_deleted": 0}
