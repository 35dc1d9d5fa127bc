"""The page's own files: no link leads root, or the page, to another file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import structlog

from edge.config.web import SessionsConfig
from edge.errors import UserError
from edge.web.doors import audit_log
from edge.web.doors.account_book import FILE, AccountBook
from edge.web.doors.audit_log import AuditLog

NAMES = (FILE, audit_log.FILE)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def refused(folder: Path, name: str) -> str:
    """Use the file called ``name``; what was said about it."""
    if name == FILE:
        with pytest.raises(UserError) as error:
            AccountBook(folder, SessionsConfig())
        return str(error.value)
    with structlog.testing.capture_logs() as logs:
        AuditLog(folder).note("log-in", "ann", "here")
    (line,) = logs
    return f"{line['event']}: {line['error']}"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "to nothing"])
def test_a_symbolic_link_is_not_followed(tmp_path: Path, name: str, there: bool) -> None:
    target, folder = tmp_path / "shadow", tmp_path / "page"
    folder.mkdir()
    if there:
        target.write_bytes(b"root's")
    (folder / name).symlink_to(target)
    owner = target.stat().st_uid if there else None
    assert "symbolic links" in refused(folder, name)
    assert target.exists() is there
    if there:
        assert (target.read_bytes(), target.stat().st_uid) == (b"root's", owner)


@pytest.mark.parametrize("name", NAMES)
def test_a_second_name_of_another_file_and_a_pipe_are_refused(tmp_path: Path, name: str) -> None:
    target, folder = tmp_path / "shadow", tmp_path / "page"
    folder.mkdir()
    target.touch()
    os.link(target, folder / name)
    assert "a hard link" in refused(folder, name)
    assert target.read_bytes() == b""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert "No such device" in refused(folder, name) or "no plain file" in refused(folder, name)


@as_root
@pytest.mark.parametrize("name", NAMES)
def test_what_root_makes_belongs_to_the_folders_owner_and_a_third_users_file_is_not_given_away(
    tmp_path: Path, name: str
) -> None:
    os.chown(tmp_path, 4321, 4322)
    AccountBook(tmp_path, SessionsConfig()).close()
    AuditLog(tmp_path).note("log-in", "ann", "here")
    made = (tmp_path / name).stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (4321, 4322, 0o600)
    os.chown(tmp_path / name, 4399, 4399)
    assert "belongs to another user than its folder" in refused(tmp_path, name)
    assert (tmp_path / name).stat().st_uid == 4399


def test_a_full_audit_log_makes_way_and_the_newest_line_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "MOST_BYTES", 100)
    log = AuditLog(tmp_path)
    for number in range(3):
        log.note("log-in", f"{number}", "here")
    assert [line["who"] for line in log.newest(9)] == ["2"]
    assert len((tmp_path / "audit.1.jsonl").read_bytes().splitlines()) == 2
