"""Users, sessions, tokens and one-time links are kept in SQLite in the page's folder, where the command line changes them
while the page runs. Secrets are kept as hashes alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.config.web import SessionsConfig
from edge.errors import UserError
from edge.web.doors.passwords import check_password, is_password, password_hash
from edge.web.doors.private_file import open_private
from edge.web.doors.roles import Role, Visitor, role_named

FILE: Final = "accounts.sqlite"
LINK_S: Final = 3600.0
_TOUCH_S = 60.0
_TABLES = """
create table if not exists users (name text primary key, role text not null, cameras text, password text not null,
  made real not null);
create table if not exists sessions (key text primary key, name text not null, role text, made real not null,
  seen real not null, peer text not null);
create table if not exists tokens (name text primary key, key text unique not null, role text not null, cameras text,
  made real not null, until real);
create table if not exists links (key text primary key, until real not null);
"""


@dataclass(frozen=True, slots=True)
class Account:
    """An account is a user's or a program's. ``until``: UTC in s at which a token ends; None: never."""

    name: str
    role: Role
    cameras: frozenset[str] | None
    made: float
    until: float | None = None


class AccountBook:
    """Accounts are read anew with each request: a change by another process counts at once. Any thread may call."""

    def __init__(self, folder: Path, sessions: SessionsConfig) -> None:
        """Open or make the file in ``folder``. Raises UserError if that can't be done."""
        self._lives, self._lock = sessions, threading.Lock()
        path = folder / FILE
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(open_private(path, os.O_RDWR))
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=5.0)
            self._database.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise UserError(f"{path}: cannot be opened: {error}", fix="name another folder: dir in web.yaml") from None

    def close(self) -> None:
        self._database.close()

    def add_user(self, name: str, role: Role, password: str, cameras: Iterable[str] | None = None) -> None:
        """Add a user, or give a known one a new password, role and cameras; its sessions end. Raises UserError."""
        _check_name(name)
        check_password(name, password)
        row = (name, role.word, _cameras_text(cameras), password_hash(password), time.time())
        self._do("insert or replace into users values (?, ?, ?, ?, ?)", row)
        self._do("delete from sessions where name = ?", (name,))

    def users(self) -> list[Account]:
        return [
            Account(name, role_named(role), _cameras(cameras), made)
            for name, role, cameras, made in self._do("select name, role, cameras, made from users order by name")
        ]

    def revoke_user(self, name: str) -> None:
        """Delete a user and end its sessions. Raises UserError if there is none."""
        if not self._do("delete from users where name = ? returning 1", (name,)):
            raise UserError(f"no user {name!r}", fix="edge web user list")
        self._do("delete from sessions where name = ?", (name,))

    def log_in(self, name: str, password: str, peer: str) -> str | None:
        """Return a new session's secret, for the cookie; None if name and password don't fit. Takes 0.1 s."""
        rows = self._do("select password from users where name = ?", (name,))
        if not is_password(password, rows[0][0] if rows else None):
            return None
        return self._begin(name, None, peer)

    def new_link(self) -> str:
        """Return the secret of a link that lets one person in as admin, once, within an hour."""
        secret = secrets.token_urlsafe(32)
        self._do("delete from links")
        self._do("insert into links values (?, ?)", (_key(secret), time.time() + LINK_S))
        return secret

    def enter(self, secret: str, peer: str) -> str | None:
        """Use up a link; return a new session's secret, or None if the link was used or is too old."""
        if not self._do("delete from links where key = ? and until > ? returning 1", (_key(secret), time.time())):
            return None
        return self._begin("owner", Role.ADMIN, peer)

    def log_out(self, session: str) -> None:
        self._do("delete from sessions where key = ?", (session,))

    def of_session(self, secret: str) -> Visitor | None:
        """Return whose session this is; None if it ended."""
        return self.still(_key(secret))

    def of_token(self, secret: str) -> Visitor | None:
        """Return whose token this is; None if it was revoked or ended."""
        return self.still(f"token:{_key(secret)}")

    def still(self, session: str) -> Visitor | None:
        """Return the visitor of a session's or a token's key as it is now; None if it was revoked or has ended."""
        if session.startswith("token:"):
            rows = self._do("select name, role, cameras, until from tokens where key = ?", (session[6:],))
            if not rows or (rows[0][3] is not None and rows[0][3] < time.time()):
                return None
            return Visitor(rows[0][0], role_named(rows[0][1]), _cameras(rows[0][2]), session, is_program=True)
        now = time.time()
        rows = self._do(
            "select s.name, coalesce(s.role, u.role), u.cameras, s.seen from sessions s left join users u"
            " on u.name = s.name where s.key = ? and s.made > ? and s.seen > ?",
            (session, now - self._lives.hours * 3600, now - self._lives.idle_hours * 3600),
        )
        if not rows or rows[0][1] is None:
            return None
        if now - rows[0][3] > _TOUCH_S:
            self._do("update sessions set seen = ? where key = ?", (now, session))
        return Visitor(rows[0][0], role_named(rows[0][1]), _cameras(rows[0][2]), session)

    def sessions(self) -> list[tuple[str, str, float, float, str]]:
        """Return key, name, begin and last use (UTC in s), and peer of each session that has not ended by age."""
        oldest = time.time() - self._lives.hours * 3600
        self._do("delete from sessions where made <= ?", (oldest,))
        rows = self._do("select key, name, made, seen, peer from sessions order by made desc")
        return [(key, name, made, seen, peer) for key, name, made, seen, peer in rows]

    def add_token(self, name: str, role: Role, cameras: Iterable[str] | None = None, days: float | None = None) -> str:
        """Return a new token's secret, which is shown once and kept nowhere. Raises UserError: the name has one."""
        _check_name(name)
        secret, now = f"edge_{secrets.token_urlsafe(32)}", time.time()
        until = None if days is None else now + days * 86400
        try:
            row = (name, _key(secret), role.word, _cameras_text(cameras), now, until)
            self._do("insert into tokens values (?, ?, ?, ?, ?, ?)", row)
        except sqlite3.IntegrityError:
            raise UserError(f"{name!r} has a token already", fix=f"edge web token revoke {name}") from None
        return secret

    def tokens(self) -> list[Account]:
        return [
            Account(name, role_named(role), _cameras(cameras), made, until)
            for name, role, cameras, made, until in self._do(
                "select name, role, cameras, made, until from tokens order by name"
            )
        ]

    def revoke_token(self, name: str) -> None:
        """Delete a token. Raises UserError if there is none."""
        if not self._do("delete from tokens where name = ? returning 1", (name,)):
            raise UserError(f"no token {name!r}", fix="edge web token list")

    def _begin(self, name: str, role: Role | None, peer: str) -> str:
        secret, now = secrets.token_urlsafe(32), time.time()
        row = (_key(secret), name, None if role is None else role.word, now, now, peer)
        self._do("insert into sessions values (?, ?, ?, ?, ?, ?)", row)
        return secret

    def _do(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(statement, values).fetchall()


def _key(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", name) or name == "owner":
        raise UserError("name", received=repr(name), expected="letters, digits and . _ @ -, at most 64; not owner")


def _cameras_text(cameras: Iterable[str] | None) -> str | None:
    return None if cameras is None else json.dumps(sorted(cameras))


def _cameras(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))
