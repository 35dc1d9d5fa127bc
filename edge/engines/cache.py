"""Engines keep what took long to make in a cache: compiled models, int8 graphs. Anything in there may be deleted at any
time.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

log = structlog.get_logger()


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
