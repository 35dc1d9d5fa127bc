"""Addresses of network cameras hold passwords and tokens: what may be shown of one, and where its secrets come from."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import quote

from edge.errors import UserError, may_pass

_SECRET = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_WITHIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"]*")
_ENDPOINTS = ("tcp://", "ipc://", "inproc://")
"""Addresses of our own, which hold nothing secret unless somebody took them for another kind."""


def redacted(address: str) -> str:
    """Scheme and host of an address, for journal, state and every other place that people see; a path stays as it is.

    User, password, path and query may each be a secret. A password may hold any character, ``/`` and ``@`` among them:
    where it can't be told from the host, the host isn't shown either.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        odd = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", address)
        return f"{odd[0]}..." if odd and not address.startswith("/") else address
    authority, after = re.match(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()  # type: ignore[union-attr]
    if "@" in after:
        return f"{scheme}://***"
    host = authority.rpartition("@")[2]
    return f"{scheme}://{host}{'/...' if after.strip('/') else ''}"


def redacted_within(text: str) -> str:
    """Return ``text``, of an error for example, with each address in it as ``redacted`` shows it.

    An address that stands under the wrong key holds a password all the same. Endpoints without a user part stay whole.
    """

    def shown(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith(_ENDPOINTS) and "@" not in match[0] else redacted(match[0])

    return _WITHIN.sub(shown, text)


def with_secrets(address: str, key: str = "source.device") -> str:
    """The address with each ``${NAME}`` replaced: by the environment variable, or by the file NAME in systemd's
    ``$CREDENTIALS_DIRECTORY`` (``LoadCredential=NAME:FILE``). It is escaped as addresses want it.

    Raises:
        UserError: there is neither.
    """

    def value(found: re.Match[str]) -> str:
        name = found[1]
        if name in os.environ:
            return quote(os.environ[name], safe="")
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        try:
            if folder:
                return quote((Path(folder) / name).read_text("utf-8").rstrip("\r\n"), safe="")
            reason, passes = "no such environment variable, and no CREDENTIALS_DIRECTORY", False
        except (OSError, UnicodeDecodeError) as error:
            reason = f"no such environment variable; {folder}/{name}: {getattr(error, 'strerror', None) or error}"
            passes = isinstance(error, OSError) and may_pass(error)
        raise UserError(
            f"{key}: ${{{name}}} has no value",
            received=reason,
            fix=f"LoadCredential={name}:FILE or Environment={name}=... in a drop-in of the unit",
            passes=passes,
        )

    return _SECRET.sub(value, address)
