"""CURVE keys as files, in the format of pyzmq and CZMQ: NAME.key is public, NAME.key_secret (mode 0600) is not.

A daemon has a pair of its own and a folder of the public keys that may connect; a client has its own pair and the
daemon's public key.
"""

from __future__ import annotations

import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zmq.auth.certs import create_certificates, load_certificate

from edge.errors import UserError

PUBLIC, SECRET = ".key", ".key_secret"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_Z85 = re.compile(rb"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_READABLE_BY_OTHERS = stat.S_IRWXO | stat.S_IWGRP  # a group may read: root:edge 0640 keeps the service from writing


@dataclass(frozen=True, slots=True)
class DoorKeys:
    """A daemon's side: the file of its secret key, and the folder of the public keys that may connect."""

    server_key: Path
    clients: Path


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's side: its own pair and the daemon's public key, each in Z85 (40 characters)."""

    public: bytes
    secret: bytes
    server: bytes


def new_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Make ``NAME.key`` and ``NAME.key_secret`` in ``folder``, both with mode 0600.

    Raises:
        UserError: a name that is none, a key of that name is there already, or the folder can't be written.
    """
    _check_name(name)
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    for path in (public, secret):
        if path.exists():
            raise UserError(f"{path} is there already", fix="choose another name, or remove the old pair first")
    before = os.umask(0o077)  # pyzmq writes secret keys with the mode that the umask leaves, 0644 mostly
    try:
        folder.mkdir(parents=True, exist_ok=True)
        create_certificates(folder, name)
    except OSError as error:
        raise UserError(f"{folder}: no key can be written: {error.strerror}") from None
    finally:
        os.umask(before)
    return public, secret


def read_public(path: Path) -> bytes:
    """The public key in a file, in Z85.

    Raises:
        UserError: no such file, or no key in it.
    """
    return _read(path)[0]


def read_pair(path: Path) -> tuple[bytes, bytes]:
    """Public and secret key of a ``.key_secret`` file, in Z85.

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
    """From the client's ``.key_secret`` and the daemon's public ``.key`` file."""
    return ClientKeys(*read_pair(key), read_public(server_key))


def allow(clients: Path, public_key: Path, name: str | None = None) -> Path:
    """Put a client's public key on the list, under ``name`` (the file's own if None). The folder is made if need be.

    Raises:
        UserError: a secret key, no key at all, another key has that name, or this key another one.
    """
    if public_key.name.endswith(SECRET):
        raise UserError(
            f"{public_key}: a secret key stays with its owner", fix=f"name the {PUBLIC} file that lies beside it"
        )
    name = name or public_key.name.removesuffix(PUBLIC)
    _check_name(name)
    key = read_public(public_key)
    path = clients / f"{name}{PUBLIC}"
    if path.exists() and read_public(path) != key:
        raise UserError(f"{path}: another key has this name", fix=f"--name another, or `edge keys revoke {name}` first")
    others = _names(clients, key, but=path)
    if others:
        raise UserError(
            f"{public_key}: this key is on the list already, as {', '.join(others)}",
            fix=f"`edge keys revoke {others[0]}` first, to give it another name",
        )
    temp = clients / f".{name}.tmp"
    try:
        clients.mkdir(mode=0o750, parents=True, exist_ok=True)
        with os.fdopen(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            file.write(b'metadata\ncurve\n    public-key = "' + key + b'"\n')
        temp.replace(path)
    except OSError as error:
        raise UserError(f"{clients}: cannot be written: {error.strerror}") from None
    return path


def revoke(clients: Path, name: str) -> Path:
    """Take a key off the list. A daemon that runs cuts its open sessions within a second.

    Raises:
        UserError: nobody of that name is on it; or it was taken off, but stands there under another name, too.
    """
    path = clients / f"{name.removesuffix(PUBLIC)}{PUBLIC}"
    others: list[str] = []
    try:
        _check_name(name)
        with suppress(UserError):  # a damaged file has no key that others could have
            others = _names(clients, read_public(path), but=path)
        path.unlink()
    except (OSError, UserError) as error:
        if isinstance(error, OSError) and not isinstance(error, FileNotFoundError):
            raise UserError(f"{path}: cannot be removed: {error.strerror}") from None
        known = sorted(p.name.removesuffix(PUBLIC) for p in clients.glob(f"*{PUBLIC}"))
        raise UserError(
            f"{clients}: no key named {name}", expected=f"one of {', '.join(known)}" if known else "the list is empty"
        ) from None
    if others:
        raise UserError(
            f"{path}: removed, but its key may still connect: it is on the list as {' and '.join(others)}, too",
            fix=", ".join(f"`edge keys revoke {other}`" for other in others),
        )
    return path


def allowed(clients: Path) -> tuple[dict[bytes, str], list[str]]:
    """Names by key (Z85) of all who may connect, and in words which files hold no key.

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
        ) from None
    for path in paths:
        try:
            key, name = read_public(path), path.name.removesuffix(PUBLIC)
            keys[key] = f"{keys[key]}, {name}" if key in keys else name
        except UserError as error:
            wrong.append(error.what)
    return keys, wrong


def _names(clients: Path, key: bytes, *, but: Path) -> list[str]:
    """Under which names the key is on the list, beside the file ``but``."""
    found = []
    for path in sorted(clients.glob(f"*{PUBLIC}")):
        with suppress(UserError):
            if path != but and not path.name.startswith(".") and read_public(path) == key:
                found.append(path.name.removesuffix(PUBLIC))
    return found


def _read(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = load_certificate(path)
    except OSError as error:
        reason = error.strerror or "No such file or directory"
        raise UserError(f"{path}: no key can be read: {reason}", fix="`edge keys new NAME` makes a pair") from None
    except ValueError:
        public, secret = b"", None
    for key in (public, secret):
        if key is not None and not _Z85.fullmatch(key):
            raise UserError(f"{path}: holds no CURVE key", expected='a line: public-key = "40 characters of Z85"')
    return public, secret


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a key", expected="letters, digits and _ . @ -, at most 64")
