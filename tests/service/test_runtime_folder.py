"""A runtime folder at a place that anybody can guess is this user's own, or it is refused."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.lines import loaded

from edge.config.load import Loaded
from edge.errors import UserError
from edge.service.instances import find_instance, instances
from edge.service.runtime_folder import found_folder, runtime_folder, trusted_roots


@pytest.fixture
def guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Loaded]:
    """A machine without /run/edge, whose temporary folder is for everybody; and a line without a runtime_dir."""
    everybodys = tmp_path / "tmp"
    everybodys.mkdir()
    everybodys.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(everybodys))
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr("edge.service.runtime_folder._SHARED", tmp_path / "file" / "edge")
    (tmp_path / "file").touch()
    monkeypatch.setattr("edge.service.runtime_folder._OWN", "/nonexistent/{}")
    return everybodys / f"edge-{os.geteuid()}", loaded(tmp_path, "runtime_dir=null")


def test_it_is_made_for_this_user_whatever_the_umask(guessed: tuple[Path, Loaded]) -> None:
    root, line = guessed
    before = os.umask(0)
    try:
        assert runtime_folder(line) == root / line.config.camera
    finally:
        os.umask(before)
    assert [path.stat().st_mode & 0o777 for path in (root, root / line.config.camera)] == [0o750, 0o750]
    assert trusted_roots()[-1] == root


def _link(root: Path, camera: str) -> str:
    (root.parent / "his" / camera).mkdir(parents=True)
    root.symlink_to(root.parent / "his")
    return f"{root} is a symbolic link"


def _inner_link(root: Path, camera: str) -> str:
    (root.parent / "his").mkdir()
    root.mkdir()
    (root / camera).symlink_to(root.parent / "his")
    return f"{root / camera} is a symbolic link"


def _dangling(root: Path, _camera: str) -> str:
    root.symlink_to(root.parent / "none")
    return f"{root} is a symbolic link"


def _everybodys(root: Path, camera: str) -> str:
    (root / camera).mkdir(parents=True)
    root.chmod(0o777)
    return f"every user may write in {root}"


def _inner_everybodys(root: Path, camera: str) -> str:
    (root / camera).mkdir(parents=True)
    (root / camera).chmod(0o1777)
    return f"every user may write in {root / camera}"


def _groups(root: Path, camera: str) -> str:
    (root / camera).mkdir(parents=True)
    (root / camera).chmod(0o770)
    return f"its group may write in {root / camera}"


def _his(root: Path, camera: str) -> str:
    (root / camera).mkdir(parents=True)
    os.chown(root, 4242, 4242)
    return f"{root} belongs to user 4242"


@pytest.mark.parametrize("make", [_link, _inner_link, _dangling, _everybodys, _inner_everybodys, _groups, _his])
def test_one_that_somebody_else_prepared_is_refused_and_not_believed(
    guessed: tuple[Path, Loaded], make: Callable[[Path, str], str]
) -> None:
    root, line = guessed
    if make is _his and os.geteuid() != 0:
        pytest.skip("needs root, who may give a folder away")
    before = os.umask(0o022)
    try:
        why = make(root, line.config.camera)
    finally:
        os.umask(before)
    with pytest.raises(UserError) as refused:
        runtime_folder(line)
    folder = root / line.config.camera
    assert str(refused.value) == (
        f"runtime_dir: {folder}: {why}\n  fix: set runtime_dir to a folder that only this user may write"
    )
    if folder.is_dir():
        (folder / "lock").write_text("1\n")
    assert found_folder(line) != folder
    if why.endswith((str(root), "link")) and make is not _inner_link:
        assert root not in trusted_roots()


def test_a_chosen_folder_may_be_a_links_end_or_its_groups_but_not_everybodys(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real").chmod(0o770)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    line = loaded(tmp_path, f"runtime_dir={tmp_path}/link")
    assert runtime_folder(line) == tmp_path / "link"
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(UserError, match="every user may write in"):
        runtime_folder(line)


def test_what_may_not_be_looked_into_hides_nothing_else(
    guessed: tuple[Path, Loaded], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ProtectHome=yes shuts /run/user to a unit: the gateway and the page ended at their start, again and again."""
    root, line = guessed
    folder = runtime_folder(line)
    (folder / "instance.json").write_text('{"camera": "cam1"}')
    for shut in (root / "another", root.parent / "user"):
        shut.mkdir()
        (shut / "instance.json").write_text("{}")
    monkeypatch.setattr("edge.service.runtime_folder._OWN", f"{root.parent}/user/{{}}")
    whole = os.stat

    def unit_sees(path: Any, *args: Any, **options: Any) -> os.stat_result:
        if not isinstance(path, int) and {"another", "user"} & set(Path(os.fsdecode(path)).parts[-2:]):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return whole(path, *args, **options)

    monkeypatch.setattr(os, "stat", unit_sees)
    assert trusted_roots()[1:] == [root]
    assert [instance.folder for instance in instances()] == [folder]
    assert found_folder(line) == trusted_roots()[0] / line.config.camera
    with pytest.raises(UserError, match="no daemon is running"):
        find_instance(f"{root}/another")
