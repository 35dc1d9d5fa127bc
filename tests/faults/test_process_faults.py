"""Processes that are told to go, killed or started twice, at random moments: what is on the disk is whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.daemons import Manager, daemon
from support.sums import sum_rule
from support.waits import PATIENCE_S
from support.writer import write_until_killed

from edge.storage.log_files import read_messages, read_records, segments

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["edge.outputs.jsonl.sink"])


def kill_writers(folder: Path, times: int, longest_s: float) -> None:
    """Each run of the writer goes on in the same folder; what it said to be synced is there, whole and in order."""
    generator = random.Random(6)
    for number in range(times):
        before = set(segments(folder))
        ours, theirs = SERVER.Pipe(duplex=False)
        process = SERVER.Process(target=write_until_killed, args=(folder, f"run{number}", theirs))
        process.start()
        theirs.close()
        assert ours.poll(20)
        time.sleep(generator.uniform(0, longest_s))
        process.kill()
        process.join(PATIENCE_S)
        synced = -1
        try:
            while True:
                synced = int.from_bytes(ours.recv_bytes(), "big")
        except (EOFError, OSError):
            pass
        ours.close()
        process.close()
        written, torn = _run([path for path in segments(folder) if path not in before], f"run{number}")
        assert written[: synced + 1] == list(range(synced + 1))
        assert written == list(range(len(written)))
        assert torn <= 1
    counts: dict[str, int] = {}
    for path in segments(folder)[:-1]:
        list(read_records(path, counts))
        assert counts == {"torn": 0, "unreadable": 0}, "the next run mended it"


def _run(paths: list[Path], run: str) -> tuple[list[int], int]:
    """Numbers of the records in the files that this run began, and how many of those files end torn."""
    numbers: list[int] = []
    counts: dict[str, int] = {}
    torn = 0
    for path in paths:
        found = list(read_messages(path, counts))
        assert not found or found[0]["instance_id"] == run
        numbers += [message["seq"] for message in found if message["kind"] == "inspection"]
        torn += counts["torn"]
        assert counts["unreadable"] == 0
    return numbers, torn


def test_of_a_writer_killed_20_times_every_synced_record_is_read(tmp_path: Path) -> None:
    kill_writers(tmp_path, 20, 0.15)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_of_a_writer_killed_200_times_every_synced_record_is_read(tmp_path: Path) -> None:
    kill_writers(tmp_path, 200, 0.5)


def end_daemon(folder: Path, number: signal.Signals, after_s: float) -> list[dict[str, Any]]:
    """A daemon that is sent ``number`` some time after it is ready; its records. A file may end torn after SIGKILL."""
    manager = Manager(folder)
    try:
        with daemon(folder, "source.fps=200", "outputs.jsonl.sync=none", manager=manager) as process:
            manager.wait_for("READY=1")
            time.sleep(after_s)
            process.send_signal(number)
            code = process.wait(PATIENCE_S)
    finally:
        manager.close()
        manager.path.unlink()
    assert code == (0 if number == signal.SIGTERM else -number)
    counts: dict[str, int] = {}
    newest = segments(folder / "log")[-1]
    found = list(read_records(newest, counts))
    assert counts["unreadable"] == 0
    assert counts["torn"] == 0 or number == signal.SIGKILL
    return found


def end_daemons(folder: Path, times: int) -> None:
    generator = random.Random(7)
    runs = set()
    for _ in range(times):
        for number in (signal.SIGTERM, signal.SIGKILL):
            found = end_daemon(folder, number, generator.uniform(0.2, 1.0))
            sum_rule(found)
            assert len(found) > 5
            runs.add(found[0]["instance_id"])
    assert len(runs) == 2 * times
    assert all(not read_torn(path) for path in segments(folder / "log")[:-1])


def read_torn(path: Path) -> int:
    counts: dict[str, int] = {}
    list(read_records(path, counts))
    return counts["torn"]


def test_a_daemon_that_is_stopped_or_killed_leaves_whole_records_and_the_next_one_starts(tmp_path: Path) -> None:
    """The socket and the lock of the killed one are in nobody's way."""
    end_daemons(tmp_path, 1)


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_a_daemon_that_is_stopped_and_killed_five_times(tmp_path: Path) -> None:
    end_daemons(tmp_path, 5)


def test_a_second_instance_leaves_the_first_one_s_frames_alone(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    try:
        with daemon(tmp_path, manager=manager) as first:
            manager.wait_for("READY=1")
            before = (tmp_path / "run" / "endpoints.json").read_bytes()
            with daemon(tmp_path) as second:
                assert second.wait(PATIENCE_S) == 6
            assert (tmp_path / "run" / "endpoints.json").read_bytes() == before
            assert orjson.loads(before)["zmq"].startswith("ipc://")
            assert os.path.exists(tmp_path / "run" / "pub")
            time.sleep(0.2)
            first.send_signal(signal.SIGTERM)
            assert first.wait(PATIENCE_S) == 0
    finally:
        manager.close()
    (only,) = segments(tmp_path / "log")
    sum_rule(list(read_records(only)))


def test_two_daemons_never_write_to_one_evidence_folder(tmp_path: Path) -> None:
    """Though nothing else is the same: runtime folder, log, endpoint."""
    kept = "outputs.evidence={dir: evidence, keep: [pass]}"
    manager = Manager(tmp_path)
    try:
        with daemon(tmp_path, kept, manager=manager) as first:
            manager.wait_for("READY=1")
            with daemon(tmp_path, kept, "runtime_dir=run2", "outputs.jsonl.dir=log2") as second:
                assert second.wait(PATIENCE_S) == 6
                taken = f"outputs.evidence.dir: {tmp_path}/evidence/lock: another process writes evidence there"
                assert second.communicate()[1].splitlines()[-2:] == [
                    f"{tmp_path}/cam1.yaml: {taken}",
                    "  fix: stop that one first, or give this one another folder",
                ]
            time.sleep(0.5)
            first.send_signal(signal.SIGTERM)
            assert first.wait(PATIENCE_S) == 0
    finally:
        manager.close()
    lines = [orjson.loads(line) for line in (tmp_path / "evidence" / "frames.jsonl").read_bytes().splitlines()]
    assert len({line["record"]["instance_id"] for line in lines if "record" in line}) == 1


def test_an_aborted_daemon_tells_where_each_of_its_threads_was(tmp_path: Path) -> None:
    """What systemd's watchdog does to it; the stacks go to the journal."""
    manager = Manager(tmp_path)
    try:
        with daemon(tmp_path, manager=manager) as process:
            manager.wait_for("READY=1")
            process.send_signal(signal.SIGABRT)
            told = process.communicate(timeout=PATIENCE_S)[1]
            assert process.returncode == -signal.SIGABRT
    finally:
        manager.close()
    assert "Fatal Python error: Aborted" in told
    for stage in ("acquire_loop", "infer_loop", "judge_loop", "_run_locked"):
        assert f"in {stage}" in told
