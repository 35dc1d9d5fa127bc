"""The runtime folder of one camera: the lock against a second instance, and endpoints.json for those who look for us."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path

import orjson

from edge.configfile import Loaded
from edge.errors import UserError

EXIT_LOCKED = 6


def runtime_folder(loaded: Loaded) -> Path:
    """The folder, made if it isn't there.

    ``runtime_dir`` of the config, else systemd's $RUNTIME_DIRECTORY, else /run/edge/CAMERA where it can be made, else
    edge-UID/CAMERA in the system's temporary folder.
    """
    config = loaded.config
    if config.runtime_dir is not None:
        candidates = [loaded.resolve(config.runtime_dir)]
    elif os.environ.get("RUNTIME_DIRECTORY"):
        candidates = [Path(os.environ["RUNTIME_DIRECTORY"].split(":")[0])]
    else:
        candidates = [
            Path("/run/edge") / config.camera,
            Path(tempfile.gettempdir()) / f"edge-{os.getuid()}" / config.camera,
        ]
    for folder in candidates:
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            reason = error.strerror
            continue
        if os.access(folder, os.W_OK):
            return folder
        reason = "not writable"
    raise UserError(f"runtime_dir: {candidates[-1]}: {reason}", fix="set runtime_dir to a folder that this user may write")


class InstanceLock:
    """Held while the daemon runs. A second daemon on the same camera would silently take over its ipc socket."""

    def __init__(self, folder: Path, camera: str) -> None:
        self._path = folder / "lock"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._fd, 32).decode(errors="replace").strip()
            os.close(self._fd)
            raise UserError(
                f"camera {camera}: another instance is running",
                received=f"{self._path} is held by process {owner or 'unknown'}",
                fix="stop that one first, or give this one another 'camera' name",
                exit_code=EXIT_LOCKED,
            ) from None
        os.ftruncate(self._fd, 0)
        os.write(self._fd, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)


def write_endpoints(folder: Path, endpoints: dict[str, str | None]) -> Path:
    """endpoints.json, by temp file and rename: a reader sees the old or the new one, never half."""
    path = folder / "endpoints.json"
    temp = folder / ".endpoints.json.tmp"
    temp.write_bytes(orjson.dumps(endpoints, option=orjson.OPT_INDENT_2) + b"\n")
    temp.replace(path)
    return path
