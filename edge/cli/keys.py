"""``edge keys`` manages who may connect to a daemon whose endpoint has CURVE keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from edge.cli._console import say
from edge.cli._json import JsonOption, print_json
from edge.cli._tables import print_table
from edge.config.load import load_config
from edge.errors import UserError
from edge.storage.key_list import allow, new_pair, revoke
from edge.wire.keys import allowed

app = typer.Typer(help="CURVE keys: who may connect to a daemon from outside.", no_args_is_help=True, add_completion=False)

ClientsOption = Annotated[
    Path, typer.Option("--clients", help="The list: its folder, or a line's config (.yaml) that names it.")
]


OwnerOption = Annotated[
    str | None, typer.Option(help="User that the files are for, as root: the service's, edge.", show_default=False)
]


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the pair: of a daemon or of a client.")],
    folder: Annotated[
        Path, typer.Option("--dir", "-o", "--out", help="Folder that gets NAME.key and NAME.key_secret.")
    ] = Path("keys"),
    owner: OwnerOption = None,
) -> None:
    """Make a key pair, both files with mode 0600. Keep the secret one where it is used; hand out the public one."""
    public, secret = new_pair(folder, name, owner)
    say(f"{public}  public: to be given to the other side\n{secret}  secret: to be given to nobody")


@app.command("allow")
def allow_key(
    key: Annotated[Path, typer.Argument(help="The client's public key (.key).")],
    clients: ClientsOption,
    name: Annotated[str | None, typer.Option(help="Name on the list; the file's own if not given.")] = None,
    owner: OwnerOption = None,
) -> None:
    """Put a client on the list. A running daemon lets it in within a second."""
    say(f"allowed: {allow(clients_folder(clients), key, name, owner)}")


@app.command("revoke")
def revoke_key(
    name: Annotated[str, typer.Argument(help="Name on the list.")],
    clients: ClientsOption,
) -> None:
    """Take a client off the list. A running daemon cuts its open session within a second; the other clients connect
    again.
    """
    say(f"revoked: {revoke(clients_folder(clients), name)}")


@app.command("list")
def list_keys(clients: ClientsOption, as_json: JsonOption = False) -> None:
    """List the clients that may connect."""
    names, wrong = allowed(clients_folder(clients))
    rows = sorted((name, key.decode()) for key, name in names.items())
    if as_json:
        print_json({"clients": [{"name": name, "public_key": key} for name, key in rows]})
    elif rows:
        table = Table(Column("name", overflow="fold"), Column("public key", overflow="fold"), box=None)
        for name, key in rows:
            table.add_row(name, key)
        print_table(table)
    else:
        print("nobody is allowed")
    if wrong:
        raise UserError("\n".join(wrong))


def clients_folder(path: Path) -> Path:
    """Return the folder of keys: ``path`` itself, or what ``outputs.zmq.curve.clients`` names where ``path`` is a
    config.
    """
    if path.suffix not in (".yaml", ".yml"):
        return path
    loaded = load_config(path)
    curve = loaded.config.outputs.zmq and loaded.config.outputs.zmq.curve
    if not curve:
        raise UserError(f"{path}: has no outputs.zmq.curve", fix="name the folder of keys, or add curve to the config")
    return loaded.resolve(curve.clients)
