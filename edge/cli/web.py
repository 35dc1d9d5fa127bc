"""``edge web`` serves the page, and manages who may see it."""

from __future__ import annotations

import getpass
import os
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias, TypeVar

import typer
from rich.table import Column, Table

from edge.cli._console import say
from edge.cli._json import JsonOption, print_json
from edge.cli._tables import print_table
from edge.config.web import load_web_config
from edge.errors import UserError

if TYPE_CHECKING:
    from edge.web.doors.account_book import Account, AccountBook

Done = TypeVar("Done")

app = typer.Typer(invoke_without_command=True, add_completion=False)
users = typer.Typer(help="Users: who may log in to the page.", no_args_is_help=True, add_completion=False)
tokens = typer.Typer(help="Tokens: programs that read the API.", no_args_is_help=True, add_completion=False)
app.add_typer(users, name="user")
app.add_typer(tokens, name="token")

WebConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option("-c", "--config", help="The page's YAML file. Default: built-in values.", show_default=False)
]
RoleOption: TypeAlias = Annotated[
    Literal["viewer", "reviewer", "engineer", "admin"],
    typer.Option(help="What it may do, which includes all before it."),
]
CamerasOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="CAM1,CAM2", help="Cameras that it sees. Default: all.", show_default=False)
]


@app.callback()
def web(
    context: typer.Context,
    settings: WebConfigOption = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="Where to listen. Default: 127.0.0.1:8080.", show_default=False),
    ] = None,
) -> None:
    """Serve a page that shows the lines of this machine in a browser: live, log, users. Ctrl-C ends it.

    It is a process of its own that subscribes and reads; it never acts on a daemon.

    Exit codes: 0 after SIGTERM or Ctrl-C, 2 a mistake, 6 the address can't be had now.
    """
    if context.invoked_subcommand is not None:
        return
    _check_installed()
    from edge.web.serve import serve_page

    serve_page(load_web_config(settings, bind), lambda text: print(text, file=sys.stderr, flush=True))


@users.command("add")
def add_user(
    name: Annotated[str, typer.Argument(help="Name to log in with.")],
    role: RoleOption = "viewer",
    cameras: CamerasOption = None,
    settings: WebConfigOption = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
) -> None:
    """Add a user, or change a known one: password, role, cameras. Its open sessions end."""
    from edge.web.doors.roles import role_named

    wanted = role_named(role)
    password = sys.stdin.readline().rstrip("\n") if password_stdin else getpass.getpass(f"password of {name}: ")
    _with_accounts(
        settings,
        lambda accounts: accounts.add_user(name, wanted, password, _split(cameras)),
        _Note("add", "user", name, role=role, cameras=_split(cameras)),
    )
    say(f"{name}: {role}, {cameras or 'all cameras'}")


@users.command("list")
def list_users(settings: WebConfigOption = None, as_json: JsonOption = False) -> None:
    """List the users with their roles and cameras."""
    accounts = _with_accounts(settings, lambda accounts: accounts.users())
    _print_accounts(accounts, "users", "nobody has an account", as_json=as_json)


@users.command("revoke")
def revoke_user(name: Annotated[str, typer.Argument(help="Name of the user.")], settings: WebConfigOption = None) -> None:
    """Delete a user. Its sessions end at once, and open pages stop within 2 s."""
    _with_accounts(settings, lambda accounts: accounts.revoke_user(name), _Note("revoke", "user", name))
    say(f"revoked: {name}")


@tokens.command("add")
def add_token(
    name: Annotated[str, typer.Argument(help="Name of the program.")],
    role: RoleOption = "viewer",
    cameras: CamerasOption = None,
    days: Annotated[
        float | None, typer.Option(min=0, help="Days until it ends. Default: never.", show_default=False)
    ] = None,
    settings: WebConfigOption = None,
) -> None:
    """Make a token and print it, once: a program sends it as ``Authorization: Bearer TOKEN``."""
    from edge.web.doors.roles import role_named

    wanted = role_named(role)
    secret = _with_accounts(
        settings,
        lambda accounts: accounts.add_token(name, wanted, _split(cameras), days),
        _Note("add", "token", name, role=role, cameras=_split(cameras), days=days),
    )
    print(secret)


@tokens.command("list")
def list_tokens(settings: WebConfigOption = None, as_json: JsonOption = False) -> None:
    """List the tokens by name; the secrets are kept nowhere."""
    accounts = _with_accounts(settings, lambda accounts: accounts.tokens())
    _print_accounts(accounts, "tokens", "there are no tokens", as_json=as_json)


@tokens.command("revoke")
def revoke_token(
    name: Annotated[str, typer.Argument(help="Name of the program.")], settings: WebConfigOption = None
) -> None:
    """Delete a token; it counts no more from the next request on."""
    _with_accounts(settings, lambda accounts: accounts.revoke_token(name), _Note("revoke", "token", name))
    say(f"revoked: {name}")


def _check_installed() -> None:
    missing = [name for name in ("fastapi", "uvicorn", "jinja2", "websockets") if find_spec(name) is None]
    if missing:
        raise UserError(f"edge web needs {', '.join(missing)}", fix="pip install 'edge-inspect[web]'")


class _Note:
    """A line of the audit log: what a command changed."""

    def __init__(self, event: str, kind: str, name: str, **more: object) -> None:
        self.event, self.values = event, {"kind": kind, "name": name, **more}


def _with_accounts(config: Path | None, act: Callable[[AccountBook], Done], note: _Note | None = None) -> Done:
    """Let ``act`` change or read the accounts; what it changed is noted in the audit log once it is done."""
    from edge.web.doors.account_book import AccountBook

    loaded = load_web_config(config)
    accounts = AccountBook(loaded.folder, loaded.config.sessions)
    try:
        done = act(accounts)
    finally:
        accounts.close()
    if note is not None:
        _write_audit(loaded.folder, note)
    return done


def _write_audit(folder: Path, note: _Note) -> None:
    from edge.web.doors.audit_log import AuditLog

    AuditLog(folder).note(note.event, _user_of_machine(), "command line", **note.values)


def _user_of_machine() -> str:
    """Return who types this; behind sudo, who called it."""
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return f"uid {os.getuid()}"


def _split(cameras: str | None) -> list[str] | None:
    return None if cameras is None else [name.strip() for name in cameras.split(",") if name.strip()]


def _print_accounts(accounts: list[Account], kind: str, nobody: str, *, as_json: bool) -> None:
    if as_json:
        print_json({kind: [_as_json(account) for account in accounts]})
        return
    if not accounts:
        print(nobody)
        return
    table = Table(Column("name", overflow="fold"), "role", "cameras", "since", "until", box=None)
    for account in accounts:
        cameras = "all" if account.cameras is None else ", ".join(sorted(account.cameras))
        until = "" if account.until is None else _day(account.until)
        table.add_row(account.name, account.role.word, cameras, _day(account.made), until)
    print_table(table)


def _as_json(account: Account) -> dict[str, object]:
    return {
        "name": account.name,
        "role": account.role.word,
        "cameras": None if account.cameras is None else sorted(account.cameras),
        "made": account.made,
        "until": account.until,
    }


def _day(moment_s: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(moment_s))
