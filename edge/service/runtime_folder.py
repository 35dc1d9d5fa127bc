"""The runtime folder of one camera: the lock against a second instance, and endpoints.json for those who look for us."""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.config.load import Loaded
from edge.errors import UserError
from edge.storage.disk import why_unwritable

EXIT_LOCKED = 6
LOCK = "lock"
INSTANCE = "instance.json"
RELOAD = "reload.json"


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """How a reload went. ``number``: counted from the start; ``began_ns``: monotonic, before the config was read."""

    number: int
    began_ns: int
    tried_sha256: str | None
    """Of the config that was read; None where it could not be."""
    config_sha256: str
    """Of the config in force after it."""
    refused: str | None


def runtime_folder(loaded: Loaded) -> Path:
    """The folder, made if it isn't there.

    ``runtime_dir`` of the config, else systemd's $RUNTIME_DIRECTORY, else /run/edge/CAMERA where it can be made, else
    edge-UID/CAMERA in the system's temporary folder.
    """
    candidates = _candidates(loaded)
    for folder in candidates:
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            reason = why_unwritable(folder) or error.strerror
            continue
        if os.access(folder, os.W_OK):
            return folder
        reason = f"this user may not write in {folder}"
    raise UserError(f"runtime_dir: {candidates[-1]}: {reason}", fix="set runtime_dir to a folder that this user may write")


def runtime_roots() -> list[Path]:
    """Folders under which daemons without ``runtime_dir`` have theirs, one per camera."""
    return [Path("/run/edge"), Path(tempfile.gettempdir()) / f"edge-{os.getuid()}"]


def found_folder(loaded: Loaded) -> Path:
    """Where this config's daemon would be running, for those who look for it: nothing is made."""
    candidates = _candidates(loaded)
    return next((folder for folder in candidates if (folder / LOCK).exists()), candidates[0])


def _candidates(loaded: Loaded) -> list[Path]:
    config = loaded.config
    if config.runtime_dir is not None:
        return [loaded.resolve(config.runtime_dir)]
    if os.environ.get("RUNTIME_DIRECTORY"):
        return [Path(os.environ["RUNTIME_DIRECTORY"].split(":")[0])]
    return [root / config.camera for root in runtime_roots()]


def taken(folder: Path, camera: str, owner: str) -> UserError:
    """What is said to a second instance. ``owner``: the process id of the first one."""
    return UserError(
        f"camera {camera}: another instance is running",
        received=f"{folder / LOCK} is held by process {owner or 'unknown'}",
        fix="stop that one first, or give this one a folder of its own: another camera name, or a runtime_dir",
        exit_code=EXIT_LOCKED,
    )


class InstanceLock:
    """Held while the daemon runs. A second daemon in the same folder would silently take over its ipc socket.

    A daemon of the same camera name in another runtime folder is not kept out by this lock, but by those of its log, its
    evidence and its endpoint wherever they are the same, and by the camera, which only one can open.
    """

    def __init__(self, folder: Path, camera: str) -> None:
        self._path = folder / LOCK
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            raise taken(folder, camera, owner) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def holder(folder: Path) -> int | None:
    """Process id of the daemon that holds the lock in ``folder``; None where none runs.

    Nothing is locked to find out: a daemon that starts at this moment must not meet our lock.
    """
    try:
        text = (folder / LOCK).read_text("ascii").strip()
        inode = (folder / LOCK).stat().st_ino
    except (OSError, UnicodeDecodeError):
        return None
    if not text.isdigit():
        return None
    try:
        locks = Path("/proc/locks").read_text("ascii").splitlines()
    except OSError:
        return int(text) if Path(f"/proc/{text}").exists() else None
    # 1: FLOCK  ADVISORY  WRITE 4663 fe:00:2146331 0 EOF; the device number is another than stat's on btrfs
    held = any(" FLOCK " in line and line.split()[-3].endswith(f":{inode}") for line in locks)
    return int(text) if held else None


def write_endpoints(folder: Path, endpoints: dict[str, str | None]) -> Path:
    """endpoints.json: where clients find the daemon."""
    return _write(folder, "endpoints.json", endpoints)


def write_instance(folder: Path, loaded: Loaded) -> Path:
    """instance.json: what the daemon runs with, for ``edge reload`` and ``edge fleet``."""
    told = {
        "camera": loaded.config.camera,
        "config": str(loaded.path.absolute()),
        "overrides": loaded.overrides,
        "effective": loaded.config.model_dump(mode="json"),
    }
    (folder / RELOAD).unlink(missing_ok=True)  # of a run before: reloads are counted from the start
    return _write(folder, INSTANCE, told)


def write_reload(folder: Path, report: ReloadReport) -> Path:
    """reload.json: how the last reload went."""
    return _write(folder, RELOAD, asdict(report))


def read_reload(folder: Path) -> ReloadReport | None:
    """None where there was no reload in this run."""
    try:
        return ReloadReport(**read_json(folder, RELOAD))
    except TypeError:  # of another version
        return None


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A file of the runtime folder; empty where it isn't there or is none."""
    try:
        found = orjson.loads((folder / name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(folder: Path, name: str, content: object) -> Path:
    """By temp file and rename: a reader sees the old or the new one, never half."""
    path, temp = folder / name, folder / f".{name}.tmp"
    temp.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    temp.replace(path)
    return path
