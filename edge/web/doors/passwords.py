"""Passwords are kept as scrypt hashes (RFC 7914): n = 2^15, r = 8, p = 1, which takes 32 MB and about 0.1 s of a core."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading
from typing import Final

from edge.errors import UserError

LEAST_CHARACTERS: Final = 12
_N, _R, _P, _LENGTH, _MEMORY = 1 << 15, 8, 1, 32, 64 << 20
_one_at_a_time = threading.Lock()
"""Log-ins wait for each other: a flood of them must take neither the memory nor the cores of the lines."""


def check_password(name: str, password: str) -> None:
    """Raise UserError for a password that is too short, or is the name itself."""
    if len(password) < LEAST_CHARACTERS or password == name:
        raise UserError(
            "the password is too short" if password != name else "the password is the name",
            received=f"{len(password)} characters",
            expected=f"at least {LEAST_CHARACTERS} characters; a few words are easy to remember",
        )


def password_hash(password: str) -> str:
    """Return ``scrypt$N$SALT$HASH``, salt and hash in base64, for the accounts."""
    salt = os.urandom(16)
    return "$".join(("scrypt", str(_N), *(base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt, _N)))))


def is_password(password: str, stored: str | None) -> bool:
    """Return True if ``password`` made ``stored``. Without one it takes as long, so that nobody learns who has one."""
    _, number, salt, expected = (stored or f"scrypt${_N}$AAAAAAAAAAAAAAAAAAAAAA==$AAAA").split("$")
    made = _scrypt(password, base64.b64decode(salt), int(number))
    return hmac.compare_digest(made, base64.b64decode(expected)) and stored is not None


def _scrypt(password: str, salt: bytes, number: int) -> bytes:
    with _one_at_a_time:
        return hashlib.scrypt(password.encode(), salt=salt, n=number, r=_R, p=_P, dklen=_LENGTH, maxmem=_MEMORY)
