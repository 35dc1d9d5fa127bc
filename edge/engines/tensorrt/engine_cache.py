"""Engine files are kept between starts. One that is stale, damaged or has another key is as good as none.

A file: ``EDGE-TRT 1``, a line of JSON {key, nbytes, sha256 of the payload}, the payload. It is written under a temporary
name, synced and renamed. TensorRT runs what an engine file holds without checking it, so nothing is handed to it unchecked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import orjson
import structlog

from edge.errors import UserError
from edge.storage.disk import whole_file

log = structlog.get_logger()

Key: TypeAlias = Mapping[str, str]
"""Everything that an engine file depends on, by name."""
KEEP: Final = 8
"""Number of keys whose files are kept, the last used ones: an engine file is as large as its model."""
_MAGIC: Final = b"EDGE-TRT 1\n"
_LINE_BYTES: Final = 1 << 16


class EngineCache:
    """The cache is opened before a build, so that minutes of work don't end at a folder that can't be written.

    Raises:
        UserError: the folder can't be made or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise _unwritable(folder, error) from None

    def load(self, key: Key, kind: str = "engine") -> bytes | None:
        """Return the payload that was stored under ``key``; None if there is none, or it is not what was stored."""
        path = self._path(key, kind)
        try:
            with path.open("rb") as file:
                head = file.readline(_LINE_BYTES) + file.readline(_LINE_BYTES)
                payload = file.read()
            why = _damage(head, payload, key)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        if why is not None:
            log.warning("tensorrt_cache_rejected", path=str(path), why=why)
            return None
        with contextlib.suppress(OSError):  # another user's: its age is then its writing
            os.utime(path)
        return payload

    def store(self, key: Key, payload: bytes, kind: str = "engine") -> None:
        """Replace what was stored under ``key``, and drop the files that were used longest ago.

        If it can't be written, for example on a full disk, the log says so, and the next start makes it again: what was
        made is at hand, and a line that can inspect does.
        """
        path = self._path(key, kind)
        head = {"key": dict(key), "nbytes": len(payload), "sha256": hashlib.sha256(payload).hexdigest()}
        try:
            with whole_file(path, sync=True) as file:
                file.write(_MAGIC + orjson.dumps(head, option=orjson.OPT_SORT_KEYS) + b"\n")
                file.write(payload)
            self._prune()
        except OSError as error:
            effect = "the next start makes it again"
            log.warning("tensorrt_cache_not_written", path=str(path), why=error.strerror, effect=effect)

    def drop(self, key: Key, why: str, kind: str = "engine") -> None:
        """Forget what was stored under ``key``, because TensorRT itself refused it."""
        path = self._path(key, kind)
        log.warning("tensorrt_cache_rejected", path=str(path), why=why)
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def _path(self, key: Key, kind: str) -> Path:
        digest = hashlib.sha256(orjson.dumps(dict(key), option=orjson.OPT_SORT_KEYS)).hexdigest()
        return self.folder / f"{digest[:32]}.{kind}"

    def _prune(self) -> None:
        groups: dict[str, list[Path]] = {}
        for path in self.folder.glob("[0-9a-f]*.*"):
            groups.setdefault(path.stem, []).append(path)

        def used(paths: list[Path]) -> float:
            return max((p.stat().st_mtime for p in paths if p.exists()), default=0.0)

        for paths in sorted(groups.values(), key=used, reverse=True)[KEEP:]:
            for path in paths:
                path.unlink(missing_ok=True)


def _damage(head: bytes, payload: bytes, key: Key) -> str | None:
    """Say what is wrong with a file, or return None."""
    if not head.startswith(_MAGIC):
        return "no engine file of this program's"
    try:
        said = orjson.loads(head[len(_MAGIC) :])
        found, nbytes, sha256 = said["key"], said["nbytes"], said["sha256"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "its head is damaged"
    if found != dict(key):
        return "it belongs to another model, GPU or TensorRT"
    if nbytes != len(payload):
        return f"it is cut off: {len(payload)} of {nbytes} bytes"
    if sha256 != hashlib.sha256(payload).hexdigest():
        return "its content does not match its SHA-256"
    return None


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(
        f"{path}: the cache of TensorRT's engine files cannot be written",
        received=error.strerror,
        fix="make it writable for this user, or set CACHE_DIRECTORY to a folder that is (a unit's CacheDirectory= does)",
    )
