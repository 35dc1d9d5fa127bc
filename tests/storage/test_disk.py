"""Whatever the disk does, every frame is inspected; what was lost is counted, and over when the disk is well again."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.disks import SmallDisk, small_disk
from support.lines import frame_ids, loaded, make_line, records
from support.waits import PATIENCE_S
from typer.testing import CliRunner

from edge.cli import app
from edge.errors import ExitCode, UserError
from edge.line.run import run_line
from edge.service.health_server import Metrics
from edge.storage import disk
from edge.storage.disk import (
    Reserve,
    held_file,
    limit_bytes,
    lock_file,
    space,
    whole_file,
    why_unwritable,
    write_new,
    write_whole,
    written_by_another,
)
from edge.storage.recording import read_recording

LIVE = ["source.fps=100", "source.frames=null"]
EVIDENCE = "outputs.evidence={dir: disk/evidence, keep: [pass, fail, invalid], min_free_gb: 0}"
LOG = "outputs.jsonl={dir: disk/log, sync: none, min_free_gb: 0, compress_min_free_gb: 0"


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDisk]:
    monkeypatch.setattr("edge.outputs.delivery.RETRY_S", 0.05)
    monkeypatch.setattr("edge.outputs.evidence.sink.LOOK_S", 0.05)
    with small_disk(tmp_path / "disk", monkeypatch, size_kb=4096) as made:
        yield made


class Driven:
    """A live line in a thread of its own."""

    def __init__(self, folder: Path, *overrides: str) -> None:
        self.line = make_line(loaded(folder, *LIVE, *overrides))
        self._stop = threading.Event()
        self.line.start(self._stop)
        self._thread = threading.Thread(target=run_line, args=(self.line, self._stop, lambda *_: None))
        self._thread.start()

    def faults(self) -> dict[str, str | None]:
        return {name: status.fault for name, status in self.line.output_statuses().items()}

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, self.line.output_statuses()
            time.sleep(0.005)

    def inspected(self, more: int) -> None:
        wanted = self.line.tally.inspections + more
        self.until(lambda: self.line.tally.inspections >= wanted)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        self.line.recipes.close()
        tally, status = self.line.tally, self.line.source.status()
        assert tally.accounted == status.announced  # the sum rule, whatever the disk did
        assert tally.sum_fault is None


def metrics(line: Any) -> dict[str, float]:
    """Values by name and labels."""
    return {
        f"{sample.name}{{{','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))}}}": sample.value
        for family in Metrics(line.tally, line.ring, line.snapshot).collect()
        for sample in family.samples
    }


@pytest.mark.parametrize("trouble", ["full", "read_only"])
def test_a_disk_in_trouble_is_a_fault_of_its_outputs_and_inspection_goes_on(
    tmp_path: Path, small: SmallDisk, trouble: str
) -> None:
    driven = Driven(tmp_path, EVIDENCE, LOG + "}")
    try:
        driven.inspected(5)
        driven.until(lambda: driven.faults() == {"jsonl": None, "evidence": None})
        small.fill() if trouble == "full" else small.read_only(True)
        driven.until(lambda: all(driven.faults().values()))
        driven.inspected(30)
        verdicts = dict(driven.line.tally.verdicts)
        told = metrics(driven.line)
        small.free() if trouble == "full" else small.read_only(False)
        driven.until(lambda: not any(driven.faults().values()))
        driven.inspected(5)
    finally:
        driven.stop()
    assert verdicts["invalid"] == 0
    assert [told[f"edge_output_fault{{camera=cam1,output={name}}}"] for name in ("jsonl", "evidence")] == [1, 1]
    assert told["edge_output_lost_total{camera=cam1,output=jsonl}"] > 0
    assert told["edge_disk_free_bytes{camera=cam1,output=evidence}"] < 4096 * 1024 or not small.real
    assert told["edge_output_events_total{camera=cam1,event=pictures,output=evidence}"] > 0
    lost = {name: status.lost for name, status in driven.line.output_statuses().items()}
    assert all(count > 0 for count in lost.values())
    found = records(tmp_path / "disk" / "log")
    ids = frame_ids(found)
    assert ids == sorted(set(ids))  # nothing twice, nothing out of order
    assert len(found) == driven.line.tally.last_seq + 1 - lost["jsonl"]  # type: ignore[operator]


def test_with_audit_required_a_full_disk_makes_every_verdict_invalid_until_there_is_room(
    tmp_path: Path, small: SmallDisk
) -> None:
    driven = Driven(tmp_path, LOG + ", audit_required: true}")
    try:
        driven.inspected(5)
        small.fill()
        driven.until(lambda: driven.line.tally.invalid_reasons.get("log_lost", 0) > 20)
        small.free()
        driven.until(lambda: not any(driven.faults().values()))
        passes = driven.line.tally.verdicts["pass"]
        driven.until(lambda: driven.line.tally.verdicts["pass"] > passes + 5)
    finally:
        driven.stop()
    found = records(tmp_path / "disk" / "log")
    assert {r["reason"] for r in found if r["verdict"] == "invalid" and r["kind"] == "inspection"} <= {"log_lost"}
    assert found[-1]["verdict"] == "pass"


def test_space_is_that_of_the_nearest_folder_that_is_there(tmp_path: Path) -> None:
    assert space(tmp_path / "not" / "there")[1] == space(tmp_path)[1] > 0


def test_of_two_quotas_the_smaller_one_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "space", lambda _: (0, 10_000_000_000))
    assert limit_bytes(tmp_path, None, None) is None
    assert limit_bytes(tmp_path, 3.0, None) == 3_000_000_000
    assert limit_bytes(tmp_path, None, 20.0) == 2_000_000_000
    assert limit_bytes(tmp_path, 3.0, 20.0) == 2_000_000_000
    assert limit_bytes(tmp_path, 1.0, 20.0) == 1_000_000_000


def test_a_disk_that_does_not_answer_is_left_to_the_write_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(_: Any) -> Any:
        raise OSError(5, "Input/output error")

    reserve = Reserve(tmp_path, 1.0)
    monkeypatch.setattr(disk, "space", silent)
    assert reserve.look()
    assert reserve.free_bytes is None


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (
            "outputs.jsonl={dir: log, compress_min_free_gb: 0.05}",
            "outputs: jsonl.compress_min_free_gb (0.05) must not be below jsonl.min_free_gb (0.1): the log stops last",
        ),
        (
            "outputs.evidence={dir: e, min_free_gb: 0.2}",
            "outputs: evidence.min_free_gb (0.2) must not be below jsonl.compress_min_free_gb (0.5): pictures stop first",
        ),
    ],
)
def test_the_order_in_which_outputs_stop_is_checked(tmp_path: Path, override: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, override)
    assert str(caught.value).endswith(text)


def test_why_a_folder_cannot_be_written_is_told_of_the_place_that_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert why_unwritable(tmp_path) is None
    assert why_unwritable(tmp_path / "new" / "log") is None
    assert why_unwritable(tmp_path / "file") == f"{tmp_path}/file is a file, not a folder"
    assert why_unwritable(tmp_path / "file" / "log") == f"{tmp_path}/file is a file, not a folder"
    with monkeypatch.context() as other_user:
        other_user.setattr(os, "access", lambda *_: False)
        assert why_unwritable(tmp_path / "new" / "log") == f"this user may not write in {tmp_path}"


def test_a_whole_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"old")
    before = os.umask(0o077)
    try:
        write_whole(path, b"new", sync=True, mode=0o644)
        write_whole(tmp_path / "two", b"")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert modes == {"one": 0o644, "two": 0o600}


def test_two_who_write_the_same_file_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "one"
    with whole_file(path) as first:
        first.write(b"first")
        with whole_file(path) as second:
            second.write(b"second")
        assert path.read_bytes() == b"second"
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (b"first", 1)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "one"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), whole_file(path, sync=True) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("one", b"old")]


def test_a_lock_refuses_the_second_until_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    taken = partial(written_by_another, path, "outputs.jsonl", "this log")
    fd = lock_file(path, taken)
    with pytest.raises(UserError) as refused:
        lock_file(path, taken)
    assert refused.value.exit_code == ExitCode.LOCKED == 6
    assert str(refused.value) == (
        f"outputs.jsonl: {path}: another process writes this log\n"
        "  fix: stop that one first, or give this one another folder"
    )
    os.close(fd)
    os.close(lock_file(path, taken))


@pytest.mark.parametrize("answer", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_holds_no_file_and_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    def flock(*_: object) -> None:
        raise OSError(answer, os.strerror(answer))

    monkeypatch.setattr("fcntl.flock", flock)
    (tmp_path / "set.jsonl").write_bytes(b"one\n")
    with held_file(tmp_path / "set.jsonl", lambda: UserError("held")) as fd:
        os.write(fd, b"two\n")
    assert (tmp_path / "set.jsonl").read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize("answer", [None, errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_new_file_never_takes_the_place_of_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: int | None
) -> None:
    def link(*_: object) -> None:
        raise OSError(answer, os.strerror(answer or 0))

    if answer is not None:
        monkeypatch.setattr("os.link", link)
    write_new(tmp_path / "a", b"first")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "a", b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"first")]


def test_a_file_is_held_by_one_and_the_one_that_took_its_place_is_held_next(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(b"old\n")

    def taken() -> UserError:
        return UserError("another program is writing it", passes=True)

    read: list[bytes] = []

    def wait() -> None:
        with held_file(path, taken, PATIENCE_S) as fd:
            read.append(os.pread(fd, 100, 0))

    other = threading.Thread(target=wait)
    with held_file(path, taken):
        with pytest.raises(UserError, match="another program is writing it"), held_file(path, taken, 0.0):
            pass
        other.start()
        write_whole(path, b"new\n")
    other.join()
    assert read == [b"new\n"]


@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.EOPNOTSUPP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_loses_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, raised: bool
) -> None:
    """CIFS and some of FUSE say EINVAL of a folder, now and for ever: the log could never be begun there."""

    def refuses(_fd: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuses)
    if raised:
        with pytest.raises(OSError, match="Input/output"):
            disk.sync_folder(tmp_path)
    else:
        disk.sync_folder(tmp_path)


def test_a_recording_that_fills_its_disk_says_so_and_keeps_what_it_has(small: SmallDisk, tmp_path: Path) -> None:
    """It blamed standard output, or nobody."""
    loaded(tmp_path)
    sets = ("source.width=256", "source.height=256", "source.frames=null")
    small.fill()
    (small.folder / "fill").unlink()
    (small.folder / "fill").write_bytes(bytes(3_900_000))
    words = [part for item in sets for part in ("--set", item)]
    out = small.folder / "recording"
    command = ["record", str(tmp_path / "cam1.yaml"), "--frames", "500", "-o", str(out), *words]
    failed = CliRunner().invoke(app, command).exception
    assert isinstance(failed, UserError)
    kept = sum(1 for _ in read_recording(out))
    assert str(failed) == (
        f"{out}: the recording cannot be written any more: No space left on device\n"
        f"  received: {kept} of 500 frames are recorded\n"
        "  fix: make room on that disk, or record elsewhere"
    )
    assert kept > 0


@pytest.mark.parametrize("command", [["check", "cam1.yaml"], ["--version"]])
def test_standard_output_is_blamed_for_its_own_errors(tmp_path: Path, command: list[str]) -> None:
    loaded(tmp_path)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "edge", *command],
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "standard output: No space left on device\n")
