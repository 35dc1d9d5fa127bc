"""``edge web user`` and ``edge web token`` leave a line in the page's audit log for whatever they change."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from edge.cli import web
from edge.errors import UserError
from edge.web.doors.audit_log import FILE, AuditLog

PASSWORD = "a long enough password"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SUDO_USER", "ann")
    path = tmp_path / "web.yaml"
    path.write_text("dir: page\n")
    return path


def told(settings: Path) -> list[dict[str, Any]]:
    """The log's lines, oldest first, without their time."""
    lines = reversed(AuditLog(settings.parent / "page").newest(50))
    return [{key: value for key, value in line.items() if key != "time_ns"} for line in lines]


def test_accounts_and_tokens_added_and_revoked_stand_in_the_audit_log(
    settings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(web.sys, "stdin", io.StringIO(PASSWORD + "\n"))
    web.add_user("bob", "engineer", "cam1,cam2", settings, password_stdin=True)
    web.add_token("grafana", "viewer", None, 30.0, settings)
    secret = capsys.readouterr().out.split()[-1]
    web.list_users(settings)
    web.list_tokens(settings)
    web.revoke_user("bob", settings)
    web.revoke_token("grafana", settings)
    who = {"who": "ann", "peer": "command line"}
    assert told(settings) == [
        {"event": "add", **who, "kind": "user", "name": "bob", "role": "engineer", "cameras": ["cam1", "cam2"]},
        {"event": "add", **who, "kind": "token", "name": "grafana", "role": "viewer", "cameras": None, "days": 30.0},
        {"event": "revoke", **who, "kind": "user", "name": "bob"},
        {"event": "revoke", **who, "kind": "token", "name": "grafana"},
    ]
    text = (settings.parent / "page" / FILE).read_text()
    assert PASSWORD not in text
    assert secret not in text


def test_what_was_refused_changed_nothing_and_leaves_no_line(settings: Path) -> None:
    with pytest.raises(UserError, match="no user 'nobody'"):
        web.revoke_user("nobody", settings)
    with pytest.raises(UserError, match="no token 'nothing'"):
        web.revoke_token("nothing", settings)
    assert told(settings) == []
