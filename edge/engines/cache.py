"""Engines keep what took long to make in a cache: compiled models, int8 graphs. Anything in there may be deleted at any
time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger()

MOST_BYTES = 1 << 30
"""What one kind of things may take: an any-size bundle has one compiled model for each frame size that it ever met."""
_NEW_S = 3600.0
"""A file that was used within the last hour stays: another line may have just made it."""


def cache_folder(kind: str) -> Path | None:
    """Return a folder for things of this kind, made if it isn't there; None, with a warning in the log, if none can be
    written.

    It lies in systemd's $CACHE_DIRECTORY, otherwise in $XDG_CACHE_HOME/edge-inspect, otherwise in ~/.cache/edge-inspect.
    """
    try:
        folder = cache_base() / kind
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "not writable")
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        log.warning("no_engine_cache", kind=kind, reason=reason, effect="each start compiles the model again")
        return None
    return folder


def cache_base() -> Path:
    if given := os.environ.get("CACHE_DIRECTORY"):
        return Path(given.split(":")[0])  # systemd lists several with colons between
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "edge-inspect"


def pictures_sha256(pictures: Iterable[NDArray[Any]]) -> str:
    """Hash the pictures' shapes, types and pixels, in their order."""
    digest = hashlib.sha256()
    for picture in pictures:
        digest.update(f"{picture.shape}{picture.dtype}".encode())
        digest.update(np.ascontiguousarray(picture).data)
    return digest.hexdigest()


def shrink_cache(folder: Path, most_bytes: int | None = None) -> list[Path]:
    """Delete the files that were used longest ago until the rest takes ``most_bytes`` (``MOST_BYTES``), and return them.

    A file counts as used when it was last read, as far as the file system notes that, or written. What can't be looked at
    or deleted, as when another line was faster, stays.
    """
    files: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.is_file():
                files.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    most = MOST_BYTES if most_bytes is None else most_bytes
    total, deleted = sum(size for _, size, _ in files), []
    for used, size, path in sorted(files):
        if total <= most or used > time.time() - _NEW_S:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
            deleted.append(path)
    if deleted:
        log.info("engine_cache_shrunk", folder=str(folder), files=len(deleted), bytes_left=total)
    return deleted
