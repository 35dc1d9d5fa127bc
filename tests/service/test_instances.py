"""Finding the daemons of a machine without being in their way, and ``edge reload``."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import orjson
import pytest
from support.daemons import Manager, daemon
from support.lines import loaded, records
from support.waits import PATIENCE_S
from typer.testing import CliRunner, Result

from edge.cli import app
from edge.errors import UserError
from edge.service.instance_lock import InstanceLock, holder
from edge.service.instances import find_instance, instance_in, instances
from edge.service.runtime_folder import (
    ReloadReport,
    found_folder,
    runtime_folder,
    write_endpoints,
    write_instance,
    write_reload,
)


def reload(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["reload", *arguments])


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    lock = InstanceLock(tmp_path, "cam1")
    assert holder(tmp_path) == os.getpid()
    lock.release()
    assert holder(tmp_path) is None
    (tmp_path / "lock").write_text(f"{os.getpid()}\n")  # as SIGKILL leaves it
    assert holder(tmp_path) is None
    (tmp_path / "lock").write_bytes(b"\xff\xfe")
    assert holder(tmp_path) is None


def test_looking_makes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    config = loaded(tmp_path, "runtime_dir=elsewhere")
    assert found_folder(config) == tmp_path / "elsewhere"
    assert not (tmp_path / "elsewhere").exists()


def test_an_instance_is_found_by_camera_config_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.service.instances.trusted_roots", lambda: [tmp_path / "none", tmp_path])
    config = loaded(tmp_path)
    folder = tmp_path / "run"
    folder.rename(tmp_path / "cam1")
    (tmp_path / "run").symlink_to(tmp_path / "cam1")
    lock = InstanceLock(folder, "cam1")
    write_instance(folder, config)
    write_endpoints(folder, {"zmq": "ipc:///x", "health": None})
    try:
        for text in ("cam1", str(config.path), str(folder)):
            found = find_instance(text)
            assert (found.camera, found.pid, found.endpoints) == ("cam1", os.getpid(), {"zmq": "ipc:///x"})
            assert (found.config, found.overrides) == (config.path, ())
        assert [i.camera for i in instances()] == ["cam1"]
    finally:
        lock.release()
    assert instance_in(folder).pid is None
    with pytest.raises(UserError) as told:
        find_instance("cam1")
    assert str(told.value) == (
        "cam1: no daemon is running\n"
        f"  received: no held lock in {tmp_path}/none/cam1 or {tmp_path}/cam1\n"
        "  expected: a camera's name, its config or its runtime folder\n"
        "  fix: edge fleet lists those that run; one with a runtime_dir of its own is found by its config"
    )


def test_a_folder_of_nonsense_is_no_instance(tmp_path: Path) -> None:
    (tmp_path / "instance.json").write_text('{"camera": 7, "config": 1, "overrides": 3}')
    (tmp_path / "endpoints.json").write_text("[]")
    found = instance_in(tmp_path)
    assert (found.camera, found.pid, found.endpoints, found.config, found.overrides) == ("7", None, {}, None, ())


def test_a_new_run_counts_its_reloads_from_the_start(tmp_path: Path) -> None:
    write_reload(tmp_path, ReloadReport(5, 1, "a" * 64, "a" * 64, None))
    write_instance(tmp_path, loaded(tmp_path))
    assert not (tmp_path / "reload.json").exists()


def test_edge_reload_checks_first_asks_then_and_tells_what_came_of_it(tmp_path: Path) -> None:
    manager = Manager(tmp_path)
    try:
        with daemon(tmp_path, manager=manager) as process:
            manager.wait_for("READY=1")
            path = tmp_path / "cam1.yaml"
            text = path.read_text()
            path.write_text(text.replace("bundle: bundle", "bundle: none"))
            wrong = reload(str(path))
            assert isinstance(wrong.exception, UserError)
            assert wrong.exception.what == f"{tmp_path}/none: there is no such bundle"
            path.write_text(text.replace("width: 64", "width: 80"))
            restart = reload(str(path))
            assert str(restart.exception) == (
                f"{path}: source: changed, and needs a restart\n"
                "  expected: changes of recipe_id, deadline_ms, model, calibration, regions, score, drift only\n"
                "  fix: systemctl restart edge@cam1, or undo it"
            )
            assert not (tmp_path / "run" / "reload.json").exists(), "the daemon was not even asked"
            path.write_text(text.replace("high: 2.0", "high: 0.1"))
            good = reload(str(path))
            assert good.exit_code == 0
            told = orjson.loads((tmp_path / "run" / "reload.json").read_bytes())
            assert (told["number"], told["refused"]) == (1, None)
            assert good.stdout.splitlines()[-1] == f"camera cam1: reloaded, config {told['config_sha256'][:12]}"
            path.write_text(text.replace("{threshold", "{roi: {units: image_px, include: [[70, 0, 80, 40]]}, threshold"))
            refused = reload(str(path))  # sound in itself; that no frame has such a place, the daemon finds
            assert refused.exit_code == 1
            assert "camera cam1: refused, it runs on as before\n" in refused.stdout
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            ended = reload(str(path))
            assert isinstance(ended.exception, UserError)
            assert ended.exception.what == f"{path}: no daemon is running"
    finally:
        manager.close()
    assert {r["verdict"] for r in records(tmp_path / "log") if r["kind"] == "inspection"} == {"pass", "fail"}


class Answering:
    """A daemon in this process: it answers SIGHUP with the reports that a test gives it, one after the other."""

    def __init__(self, folder: Path, reports: Callable[[int], list[ReloadReport]]) -> None:
        self._folder = folder
        self._reports = reports
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Answering:  # noqa: PYI034  (typing.Self came with Python 3.11)
        self._lock = InstanceLock(self._folder, "cam1")
        self._patch = mock.patch("edge.cli.reload.send_signal", self._heard)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()
        for thread in self._threads:
            thread.join()
        self._lock.release()

    def _heard(self, folder: Path, pid: int, number: int) -> None:
        assert (folder, pid, number) == (self._folder, os.getpid(), signal.SIGHUP)
        self._threads.append(threading.Thread(target=self._answer, args=(time.monotonic_ns(),)))
        self._threads[-1].start()

    def _answer(self, heard_ns: int) -> None:
        for report in self._reports(heard_ns):
            time.sleep(0.2)  # the command looks every 0.05 s
            write_reload(self._folder, report)


def test_edge_reload_does_not_take_the_end_of_an_earlier_reload_for_its_own(tmp_path: Path) -> None:
    """That one had read the config before it was changed."""
    config = loaded(tmp_path)
    write_instance(tmp_path / "run", config)

    def reports(heard_ns: int) -> list[ReloadReport]:
        before = ReloadReport(1, heard_ns - 5_000_000_000, "a" * 64, "a" * 64, None)
        return [before, ReloadReport(2, heard_ns + 1, config.sha256, "a" * 64, "no such place")]

    with Answering(tmp_path / "run", reports):
        told = reload(str(config.path))
    assert (told.exit_code, told.stdout) == (1, "camera cam1: refused, it runs on as before\nno such place\n")


def test_edge_reload_says_so_where_the_config_changed_again_before_it_was_read(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    write_instance(tmp_path / "run", config)
    with Answering(tmp_path / "run", lambda heard_ns: [ReloadReport(1, heard_ns + 1, "c" * 64, "c" * 64, None)]):
        told = reload(str(config.path))
    assert told.exit_code == 0
    assert told.stdout == (
        f"camera cam1: reloaded, config {'c' * 12}\n"
        f"the file was changed while this was going on: {config.sha256[:12]} was checked\n"
    )


def test_a_runtime_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        runtime_folder(loaded(tmp_path, "runtime_dir=file"))
    assert str(caught.value) == (
        f"runtime_dir: {tmp_path}/file: {tmp_path}/file is a file, not a folder\n"
        "  fix: set runtime_dir to a folder that only this user may write"
    )
