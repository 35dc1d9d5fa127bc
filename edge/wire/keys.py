"""CURVE keys lie in files in the format of pyzmq and CZMQ: NAME.key is public, NAME.key_secret (mode 0600) is not.

A daemon has a pair of its own and a folder of the public keys that may connect; a client has its own pair and the daemon's
public key. They are read here, and made and listed by ``edge.storage.key_list``.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path

from zmq.auth.certs import load_certificate

from edge.errors import UserError, may_pass

PUBLIC, SECRET = ".key", ".key_secret"
_Z85 = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_READABLE_BY_OTHERS = stat.S_IRWXO | stat.S_IWGRP  # a group may read: root:edge 0640 keeps the service from writing


@dataclass(frozen=True, slots=True)
class DoorKeys:
    """The daemon's side has the file of its secret key, and the folder of the public keys that may connect."""

    server_key: Path
    clients: Path


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """The client's side has its own pair and the daemon's public key, each in Z85 (40 characters)."""

    public: bytes
    secret: bytes
    server: bytes


def read_public(path: Path) -> bytes:
    """Read the public key from a file, in Z85.

    Raises:
        UserError: no such file, or no key in it.
    """
    return _read(path)[0]


def read_pair(path: Path) -> tuple[bytes, bytes]:
    """Read public and secret key from a ``.key_secret`` file, in Z85.

    Raises:
        UserError: no such file, no secret key in it, or others may read it.
    """
    public, secret = _read(path)
    if secret is None:
        raise UserError(f"{path}: holds no secret key", fix=f"name the {SECRET} file that `edge keys new` made")
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _READABLE_BY_OTHERS:
        raise UserError(
            f"{path}: a secret key that others may read",
            received=f"mode {mode:04o}",
            expected="0600, or 0640 for a group of its own",
            fix=f"chmod 600 {path}; if somebody may have seen it, make a new pair",
        )
    return public, secret


def client_keys(key: Path, server_key: Path) -> ClientKeys:
    """Read a client's keys from its ``.key_secret`` and the daemon's public ``.key`` file."""
    return ClientKeys(*read_pair(key), read_public(server_key))


def allowed(clients: Path) -> tuple[dict[bytes, str], list[str]]:
    """Return names by key (Z85) of all who may connect, and in words which files hold no key.

    A key that stands in two files has both names: ``alice, bob``.

    Raises:
        UserError: no such folder, or it can't be read.
    """
    keys: dict[bytes, str] = {}
    wrong = []
    try:
        paths = sorted(p for p in clients.iterdir() if p.name.endswith(PUBLIC) and not p.name.startswith("."))
    except OSError as error:
        raise UserError(
            f"{clients}: the list of allowed keys cannot be read: {error.strerror}",
            fix="`edge keys allow CLIENT.key --clients FOLDER` makes it",
            passes=may_pass(error),
        ) from None
    for path in paths:
        try:
            key, name = read_public(path), path.name.removesuffix(PUBLIC)
            keys[key] = f"{keys[key]}, {name}" if key in keys else name
        except UserError as error:
            wrong.append(error.what)
    return keys, wrong


def _read(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = load_certificate(path)
    except OSError as error:
        reason = error.strerror or "No such file or directory"
        raise UserError(
            f"{path}: no key can be read: {reason}", fix="`edge keys new NAME` makes a pair", passes=may_pass(error)
        ) from None
    except ValueError:
        public, secret = b"", None
    for key in (public, secret):
        if key is not None and not _Z85.fullmatch(key):
            raise UserError(f"{path}: holds no CURVE key", expected='a line: public-key = "40 characters of Z85"')
    return public, secret
