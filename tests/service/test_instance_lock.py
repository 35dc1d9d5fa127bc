"""The lock is ours or it is refused, and a signal reaches nobody but the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.waits import PATIENCE_S

from edge.errors import ExitCode, UserError
from edge.service.instance_lock import LOCK, InstanceLock, holder, send_signal

HOLD = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
os.write(fd, sys.argv[2].replace("own", str(os.getpid())).encode())
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another(folder: Path, pid: str) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock, and writes ``pid`` into it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder / LOCK), pid], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def _symbolic(place: Path, victim: Path) -> None:
    place.symlink_to(victim)


def _hard(place: Path, victim: Path) -> None:
    place.hardlink_to(victim)


def _fifo(place: Path, _victim: Path) -> None:
    os.mkfifo(place)


def _folder(place: Path, _victim: Path) -> None:
    place.mkdir()


@pytest.mark.parametrize("make", [_symbolic, _hard, _fifo, _folder])
def test_what_somebody_put_in_the_locks_place_is_refused_and_nothing_is_written(
    tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    make(tmp_path / LOCK, victim)
    with pytest.raises(UserError) as refused:
        InstanceLock(tmp_path, "cam1")
    assert refused.value.what == f"{tmp_path}/lock: this is not our lock"
    assert refused.value.exit_code == ExitCode.CONFIG
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may give a file away")
def test_another_users_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    os.chown(tmp_path / LOCK, 4242, 4242)
    with pytest.raises(UserError, match="belongs to user 4242"):
        InstanceLock(tmp_path, "cam1")


@pytest.mark.parametrize(
    ("number", "exit_code", "passes", "text"),
    [
        (errno.EWOULDBLOCK, ExitCode.LOCKED, False, "camera cam1: another instance is running"),
        (errno.ENOLCK, ExitCode.CONFIG, True, "it cannot be locked: No locks available"),
        (errno.EOPNOTSUPP, ExitCode.CONFIG, True, "it cannot be locked: Operation not supported"),
        (errno.EIO, ExitCode.CONFIG, True, "it cannot be locked: Input/output error"),
    ],
)
def test_only_a_lock_that_is_held_is_another_instance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, exit_code: ExitCode, passes: bool, text: str
) -> None:
    def flock(_fd: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError) as refused:
        InstanceLock(tmp_path, "cam1")
    assert (refused.value.exit_code, refused.value.passes) == (exit_code, passes)
    assert text in str(refused.value)


def test_the_holder_gets_the_signal(tmp_path: Path) -> None:
    with another(tmp_path, "own") as process:
        assert holder(tmp_path) == process.pid
        send_signal(tmp_path, process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE_S) == -signal.SIGTERM
    assert holder(tmp_path) is None


def test_a_process_that_only_stands_in_the_file_gets_none(tmp_path: Path) -> None:
    """Whoever could write the file, and held the lock, had SIGHUP sent to any process of the user."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as innocent:
        with another(tmp_path, str(innocent.pid)):
            assert holder(tmp_path) is None
            with pytest.raises(UserError) as refused:
                send_signal(tmp_path, innocent.pid, signal.SIGHUP)
        assert refused.value.what == f"{tmp_path}/lock: process {innocent.pid} does not hold it"
        with another(tmp_path, "own") as process:
            (tmp_path / LOCK).rename(tmp_path / "moved")  # its lock is another file now
            (tmp_path / LOCK).write_text(str(process.pid))
            with pytest.raises(UserError, match="does not hold it"):
                send_signal(tmp_path, process.pid, signal.SIGHUP)
        assert innocent.poll() is None
        innocent.kill()


def test_a_process_that_is_gone_gets_none(tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text("4194304")  # above pid_max
    with pytest.raises(UserError, match="process 4194304 does not hold it"):
        send_signal(tmp_path, 4194304, signal.SIGHUP)


def test_a_disk_without_room_for_a_process_id_is_no_reason_not_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    lock = InstanceLock(tmp_path, "cam1")
    with pytest.raises(UserError, match="another instance is running"):
        InstanceLock(tmp_path, "cam1")
    lock.release()
