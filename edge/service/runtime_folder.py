"""The runtime folder of one camera holds the lock against a second instance, and endpoints.json for those who look for
us.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.config.load import Loaded
from edge.errors import UserError, may_pass
from edge.service.instance_lock import LOCK
from edge.storage.archive import secret_mode
from edge.storage.disk import make_folders, why_unwritable, write_whole
from edge.storage.ownership import why_not_ours

INSTANCE = "instance.json"
ENDED = "ended.json"
"""Beside instance.json once the daemon ended in peace."""
RELOAD = "reload.json"
_SHARED = Path("/run/edge")
_OWN = "/run/user/{}"  # file-hierarchy(7): made at login, for this user alone


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """A report says how a reload went. ``number`` counts from the start; ``began_ns``: monotonic, before the config was
    read.
    """

    number: int
    began_ns: int
    tried_sha256: str | None
    """Hash of the config that was read; None if it could not be."""
    config_sha256: str
    """Hash of the config in force after it."""
    refused: str | None


def runtime_folder(loaded: Loaded) -> Path:
    """Return the folder, made if it isn't there.

    ``runtime_dir`` of the config, else systemd's $RUNTIME_DIRECTORY, else /run/edge/CAMERA where it can be made, else
    /run/user/UID/edge/CAMERA, else edge-UID/CAMERA in the system's temporary folder. The last three have names that anybody
    can guess: each part of them must be this user's or root's, no link, and nobody else's to write in.

    Raises:
        UserError: none can be made, or other users may write there. Where a disk is full or not there yet it ``passes``.
    """
    candidates = _candidates(loaded)
    passes = False
    for candidate in candidates:
        folder = candidate.folder
        try:
            for part in candidate.parts:
                part.mkdir(mode=0o750, exist_ok=True)
            make_folders(folder, 0o750)
        except OSError as error:
            reason = candidate.why_not_ours() or why_unwritable(folder) or error.strerror or str(error)
            passes = may_pass(error)
            continue
        why = candidate.why_not_ours()
        if why is None and os.access(folder, os.W_OK):
            return folder
        reason, passes = why or f"this user may not write in {folder}", False
    raise UserError(
        f"runtime_dir: {folder}: {reason}", fix="set runtime_dir to a folder that only this user may write", passes=passes
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A candidate is a place for the folder. ``parts`` are those in front of it whose names anybody can guess."""

    folder: Path
    parts: tuple[Path, ...] = ()
    chosen: bool = False
    """True if a person or systemd chose it, and whom its group lets write in it."""

    def why_not_ours(self) -> str | None:
        folder = self.folder.resolve() if self.chosen else self.folder
        for part in (*self.parts, folder):
            why = why_not_ours(part, group_may_write=self.chosen)
            if why is not None:
                return why
        return None


def runtime_roots() -> list[Path]:
    """Return folders under which daemons without ``runtime_dir`` have theirs, one per camera."""
    own = Path(_OWN.format(os.geteuid()))
    # os.path: pathlib raises where we may not look, and a unit with ProtectHome=yes may not look into /run/user
    return [_SHARED, *([own / "edge"] if os.path.isdir(own) else []), Path(tempfile.gettempdir()) / f"edge-{os.geteuid()}"]


def trusted_roots() -> list[Path]:
    """Return those that nobody else can have put there: what lies in the others is not believed."""
    return [root for root in runtime_roots() if root == _SHARED or why_not_ours(root) is None]


def found_folder(loaded: Loaded) -> Path:
    """Return where this config's daemon would be running, for those who look for it; nothing is made.

    /run/edge/CAMERA may be another user's, the service's: only root can make it.
    """
    candidates = _candidates(loaded)
    for candidate in candidates:
        guessed = candidate.parts and candidate.parts[0] != _SHARED
        if os.path.exists(candidate.folder / LOCK) and not (guessed and candidate.why_not_ours()):
            return candidate.folder
    return candidates[0].folder


def _candidates(loaded: Loaded) -> list[_Candidate]:
    config = loaded.config
    if config.runtime_dir is not None:
        return [_Candidate(loaded.resolve(config.runtime_dir), chosen=True)]
    if os.environ.get("RUNTIME_DIRECTORY"):
        return [_Candidate(Path(os.environ["RUNTIME_DIRECTORY"].split(":")[0]), chosen=True)]
    return [_Candidate(root / config.camera, (root,)) for root in runtime_roots()]


def write_endpoints(folder: Path, endpoints: dict[str, str | None]) -> Path:
    """Write endpoints.json, where clients find the daemon."""
    return _write(folder, "endpoints.json", endpoints)


def write_instance(folder: Path, loaded: Loaded) -> Path:
    """Write instance.json: what the daemon runs with, for ``edge reload`` and ``edge fleet``."""
    facts = {
        "camera": loaded.config.camera,
        "config": str(loaded.path.absolute()),
        "overrides": loaded.overrides,
        "effective": loaded.config.model_dump(mode="json"),
    }
    for name in (RELOAD, ENDED):  # of a run before: reloads are counted from the start
        (folder / name).unlink(missing_ok=True)
    return _write(folder, INSTANCE, facts, mode=secret_mode(loaded.path))


def write_ended(folder: Path, at_ns: int) -> Path:
    """Write ended.json: the daemon ended in peace, at this time, UTC."""
    return _write(folder, ENDED, {"at_ns": at_ns})


def write_reload(folder: Path, report: ReloadReport) -> Path:
    """Write reload.json: how the last reload went."""
    return _write(folder, RELOAD, asdict(report))


def read_reload(folder: Path) -> ReloadReport | None:
    """Read how the last reload went; None if there was none in this run."""
    try:
        return ReloadReport(**read_json(folder, RELOAD))
    except TypeError:  # of another version
        return None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Read a file of the runtime folder; empty if it isn't there or is no JSON object."""
    try:
        found = orjson.loads((folder / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(folder: Path, name: str, content: object, *, mode: int | None = None) -> Path:
    path = folder / name
    write_whole(path, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n", mode=mode)
    return path
