"""AccountBook: passwords, sessions that end, links that work once, tokens; secrets are nowhere in the file."""

from __future__ import annotations

import pytest

from edge.config.web import SessionsConfig
from edge.errors import UserError
from edge.web.doors import account_book as module
from edge.web.doors.account_book import AccountBook
from edge.web.doors.roles import Role

PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(tmp_path):
    made = AccountBook(tmp_path, SessionsConfig(hours=12.0, idle_hours=8.0))
    yield made
    made.close()


def test_a_session_is_its_users_until_it_logs_out(accounts) -> None:
    accounts.add_user("ann", Role.REVIEWER, PASSWORD, ["cam1"])
    assert accounts.log_in("ann", "another one altogether", "here") is None
    assert accounts.log_in("nobody", PASSWORD, "here") is None
    secret = accounts.log_in("ann", PASSWORD, "here")
    visitor = accounts.of_session(secret)
    assert (visitor.name, visitor.role, visitor.cameras) == ("ann", Role.REVIEWER, frozenset({"cam1"}))
    assert visitor.sees("cam1")
    assert not visitor.sees("cam2")
    accounts.log_out(visitor.session)
    assert accounts.of_session(secret) is None


def test_another_process_revokes_and_the_session_is_over(accounts, tmp_path) -> None:
    accounts.add_user("ann", Role.VIEWER, PASSWORD)
    secret = accounts.log_in("ann", PASSWORD, "here")
    other = AccountBook(tmp_path, SessionsConfig())
    other.revoke_user("ann")
    other.close()
    assert accounts.of_session(secret) is None
    with pytest.raises(UserError, match="no user 'ann'\n  fix: edge web user list"):
        accounts.revoke_user("ann")


@pytest.mark.parametrize(("later_h", "is_over"), [(7.9, False), (8.1, True)])
def test_a_session_that_nobody_uses_ends(accounts, monkeypatch, later_h, is_over) -> None:
    accounts.add_user("ann", Role.VIEWER, PASSWORD)
    secret = accounts.log_in("ann", PASSWORD, "here")
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + later_h * 3600)
    assert (accounts.of_session(secret) is None) is is_over


def test_a_link_lets_one_person_in_once(accounts) -> None:
    link = accounts.new_link()
    assert accounts.of_session(accounts.enter(link, "here")).role is Role.ADMIN
    assert accounts.enter(link, "here") is None
    assert accounts.enter("guessed", "here") is None


def test_a_token_is_shown_once_and_revoked_by_name(accounts) -> None:
    secret = accounts.add_token("grafana", Role.VIEWER, days=1)
    assert accounts.of_token(secret).is_program
    with pytest.raises(UserError, match="'grafana' has a token already"):
        accounts.add_token("grafana", Role.VIEWER)
    accounts.revoke_token("grafana")
    assert accounts.of_token(secret) is None


def test_no_secret_is_in_the_file(accounts, tmp_path) -> None:
    accounts.add_user("ann", Role.VIEWER, PASSWORD)
    secrets = [PASSWORD, accounts.log_in("ann", PASSWORD, "x"), accounts.add_token("p", Role.VIEWER), accounts.new_link()]
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [secret for secret in secrets if secret.encode() in content] == []
    assert (tmp_path / "accounts.sqlite").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "password", "text"),
    [
        ("ann", "short", "the password is too short\n  received: 5 characters\n  expected: at least 12 characters"),
        ("ann the first", PASSWORD, "name\n  received: 'ann the first'"),
        ("owner", PASSWORD, "not owner"),
    ],
)
def test_what_is_no_account_is_refused(accounts, name, password, text) -> None:
    with pytest.raises(UserError, match=text):
        accounts.add_user(name, Role.VIEWER, password)
