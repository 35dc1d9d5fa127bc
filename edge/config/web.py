"""The page's own YAML (``edge web -c web.yaml``) declares where it listens, who may look, and where its own files lie."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.config.validate import validate
from edge.config.yaml_reader import Lines, Section, read_yaml
from edge.errors import UserError

UNIX = "unix:"
OF_SERVICE = Path("/var/lib/edge-web")
"""Folder of the service's page, which root means where it names no other."""


def _bind(text: str) -> str:
    if text.startswith(UNIX):
        if text == UNIX:
            raise PydanticCustomError("bind", "ADDRESS:PORT, or unix:/PATH")
        return text
    host, _, port = text.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise PydanticCustomError("bind", "ADDRESS:PORT with PORT 0 to 65535, where 0 takes any free one; or unix:/PATH")
    return text


class TlsConfig(Section):
    """With TLS the page may listen on the network."""

    cert: Path
    """Certificate chain in PEM; relative to this file."""
    key: Path
    """Private key in PEM, which other users can't read; relative to this file."""


class ProxyConfig(Section):
    """A reverse proxy in front of the page ends TLS; what it says about the visitor is believed from these peers alone."""

    peers: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses of the proxy. Over a Unix socket nobody else can connect, and these don't count."""


class SessionsConfig(Section):
    """A session begins with a log-in and ends by itself."""

    hours: Annotated[float, Field(gt=0, le=24 * 30)] = 12.0
    """Longest life of a session, in hours."""
    idle_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 8.0
    """A session that nobody uses ends after this many hours."""


class WorkersConfig(Section):
    """Workers compute maps and verdicts for Tuning, and pictures and exports for Review, in processes of their own, which
    never take a core from a line.
    """

    processes: Annotated[int, Field(ge=1, le=16)] = 1
    """Number of Tuning's worker processes; Review has one. All run under SCHED_IDLE."""
    memory_mb: Annotated[int, Field(ge=64)] = 1024
    """Most memory of one worker, in MB; beyond it the job ends with an error, and the worker is started anew."""


class WebConfig(Section):
    """The page has its own process, its own user and its own folder; it reads lines and never changes one."""

    bind: Annotated[str, AfterValidator(_bind)] = "127.0.0.1:8080"
    """Where the page listens: ``ADDRESS:PORT`` or ``unix:/PATH``. Beyond loopback it needs ``tls`` or ``behind_proxy``."""
    hosts: tuple[str, ...] = ()
    """Names by which browsers reach the page besides the address it listens on, for example ``edge-box.plant.lan``.
    Requests for other names are refused."""
    dir: Path | None = None
    """Folder of the page's own files: users, sessions, audit log, indexes, computed maps, labels, exports; relative
    to this file. null: $STATE_DIRECTORY, as systemd sets it; for root /var/lib/edge-web if it is there; otherwise
    ``~/.local/state/edge-web``."""
    tls: TlsConfig | None = None
    """Certificate and key. null: plain HTTP."""
    behind_proxy: ProxyConfig | None = None
    """A reverse proxy that ends TLS. null: none."""
    anonymous: Literal["viewer"] | None = None
    """Whoever comes without a log-in is this. null: nobody sees anything without one."""
    sessions: SessionsConfig = SessionsConfig()
    """How long a log-in lasts."""
    lines: tuple[Path, ...] = ()
    """Runtime folders of daemons that have a ``runtime_dir`` of their own; all others are found by themselves."""
    recordings: tuple[Path, ...] = ()
    """Folders under which recordings lie that Tuning and Review may read; relative to this file."""
    shifts: tuple[Path, ...] = ()
    """Folders under which reports of ``edge shift -o`` lie, for Shift; relative to this file."""
    key: Path | None = None
    """The page's own secret CURVE key (``.key_secret``), for daemons whose endpoints have keys. null: none."""
    workers: WorkersConfig = WorkersConfig()
    """Processes that compute for Tuning and Review."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect: a loopback address or a Unix socket."""
        if self.bind.startswith(UNIX):
            return True
        host = self.bind.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _guarded(self) -> WebConfig:
        if not self.is_loopback and self.tls is None and self.behind_proxy is None:
            raise ValueError(
                f"bind: {self.bind} would send passwords over the network in clear text; expected an address of this "
                "machine alone such as 127.0.0.1:8080, or tls, or behind_proxy"
            )
        return self


@dataclass(frozen=True, slots=True)
class LoadedWeb:
    """A loaded page config is valid; every path in it is absolute."""

    config: WebConfig
    path: Path | None
    folder: Path
    """The page's own folder, which may not be there yet."""


def load_web_config(path: Path | None, bind: str | None = None) -> LoadedWeb:
    """Read the page's YAML, or take its defaults without one. ``bind`` overrides the file's.

    Raises:
        UserError: names file, line, key, what was received and what was expected.
    """
    data: Any = {}
    lines: Lines = {}
    if path is not None:
        data, lines, _ = read_yaml(path)
        data = {} if data is None else data
        if not isinstance(data, dict):
            raise UserError(f"{path}: not a config", received="no mapping of keys")
    if bind is not None:
        data["bind"] = bind
        lines.pop(("bind",), None)
    config = validate(WebConfig, data, path or "edge web", lines=lines, whole="config")
    base = Path.cwd() if path is None else path.absolute().parent
    absolute = {
        "recordings": _all(base, config.recordings),
        "lines": _all(base, config.lines),
        "shifts": _all(base, config.shifts),
    }
    if config.tls is not None:
        tls = TlsConfig(cert=base / config.tls.cert, key=base / config.tls.key)
        config = config.model_copy(update={"tls": tls})
    if config.key is not None:
        absolute["key"] = base / config.key.expanduser()
    folder = _default_folder() if config.dir is None else base / config.dir.expanduser()
    return LoadedWeb(config.model_copy(update=absolute), path, folder)


def _all(base: Path, paths: Sequence[Path]) -> object:
    return tuple(base / path.expanduser() for path in paths)


def _default_folder() -> Path:
    if os.environ.get("STATE_DIRECTORY"):
        return Path(os.environ["STATE_DIRECTORY"].split(":")[0])
    if os.geteuid() == 0 and OF_SERVICE.is_dir():
        return OF_SERVICE
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edge-web"
