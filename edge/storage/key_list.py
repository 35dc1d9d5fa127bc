"""Pairs of CURVE keys are made here, and the list of clients that may connect is kept, one ``NAME.key`` for each."""

from __future__ import annotations

import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from zmq.auth.certs import create_certificates

from edge.errors import UserError
from edge.storage.disk import write_whole
from edge.wire.keys import PUBLIC, SECRET, read_public

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")


def new_pair(folder: Path, name: str, owner: str | None = None) -> tuple[Path, Path]:
    """Make ``NAME.key`` and ``NAME.key_secret`` in ``folder``, both with mode 0600.

    ``owner``: the user that gets them, and the folder where it is made: root makes them for the service.

    Raises:
        UserError: a name that is none, no such user, a key of that name is there already, or the folder can't be written.
    """
    _check_name(name)
    public, secret = folder / f"{name}{PUBLIC}", folder / f"{name}{SECRET}"
    for path in (public, secret):
        if path.exists():
            raise UserError(f"{path} is there already", fix="choose another name, or remove the old pair first")
    before = os.umask(0o077)  # pyzmq writes secret keys with the mode that the umask leaves, 0644 mostly
    try:
        made = [] if folder.is_dir() else [folder]
        folder.mkdir(parents=True, exist_ok=True)
        create_certificates(folder, name)
        _give_to(owner, *made, public, secret)
    except OSError as error:
        raise UserError(f"{folder}: no key can be written: {error.strerror}") from None
    finally:
        os.umask(before)
    return public, secret


def allow(clients: Path, public_key: Path, name: str | None = None, owner: str | None = None) -> Path:
    """Put a client's public key on the list, under ``name`` (the file's own if None). The folder is made if need be.

    ``owner``: as ``new_pair``'s.

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
    try:
        made = [] if clients.is_dir() else [clients]
        clients.mkdir(mode=0o750, parents=True, exist_ok=True)
        write_whole(path, b'metadata\ncurve\n    public-key = "' + key + b'"\n', mode=0o640)
        _give_to(owner, *made, path)
    except OSError as error:
        raise UserError(f"{clients}: cannot be written: {error.strerror}") from None
    return path


def revoke(clients: Path, name: str) -> Path:
    """Take a key off the list. A running daemon cuts its open sessions within a second.

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


def _names(clients: Path, key: bytes, *, but: Path) -> list[str]:
    """Return the names under which the key is on the list, besides the file ``but``."""
    found = []
    for path in sorted(clients.glob(f"*{PUBLIC}")):
        with suppress(UserError):
            if path != but and not path.name.startswith(".") and read_public(path) == key:
                found.append(path.name.removesuffix(PUBLIC))
    return found


def _give_to(owner: str | None, *paths: Path) -> None:
    """Give these files to ``owner``; None keeps them ours. Raises OSError if this user may not."""
    if owner is None:
        return
    try:
        user = pwd.getpwnam(owner)
    except KeyError:
        raise UserError(f"--owner {owner}: no such user", fix="systemd-sysusers makes the user edge") from None
    for path in paths:
        os.chown(path, user.pw_uid, user.pw_gid)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a key", expected="letters, digits and _ . @ -, at most 64")
