"""Exports lie in the page's folder; they are listed, and sent as one tar to people who have no account on the box."""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from edge.web.review.places import EXPORTS, part_folder

_NAME: Final = re.compile(r"[a-z0-9_]{1,32}-\d{8}T\d{6}Z(-\d{1,4})?")
_CHUNK: Final = 1 << 20


def exports_of(folder: Path, camera: str) -> list[dict[str, Any]]:
    """Return what is known of a camera's exports that ended, newest first; what can't be read is left out."""
    found = []
    for path in (folder / EXPORTS).glob(f"{camera}-*.json"):
        try:
            progress: dict[str, Any] = orjson.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if progress.get("camera") == camera and (progress.get("state") != "done" or path.with_suffix("").is_dir()):
            found.append(progress)
    return sorted(found, key=lambda progress: int(progress["at"]), reverse=True)


def export_folder(folder: Path, camera: str, name: str) -> Path | None:
    """Return the folder of an export by its name; None if this camera has no such one."""
    if not _NAME.fullmatch(name) or not name.startswith(f"{camera}-"):
        return None
    path = folder / EXPORTS / name
    return path if path.is_dir() else None


def is_being_written(folder: Path, camera: str, name: str) -> bool:
    """Return whether this camera has an export of this name that isn't whole yet."""
    return bool(_NAME.fullmatch(name)) and name.startswith(f"{camera}-") and part_folder(folder, name).is_dir()


def sweep_exports(folder: Path) -> None:
    """Delete what a process that was ended left of exports that it was writing. Nothing may be writing one now."""
    for path in (folder / EXPORTS).glob("*"):
        note = path.with_suffix(".json")
        if path.suffix == ".part" or (_NAME.fullmatch(path.name) and path.is_dir() and not note.exists()):
            shutil.rmtree(path, ignore_errors=True)
            note.unlink(missing_ok=True)


def delete_export(folder: Path, camera: str, name: str) -> bool:
    """Delete an export that is whole or failed, and return whether there was one."""
    if is_being_written(folder, camera, name):
        return False
    path = export_folder(folder, camera, name)
    note = folder / EXPORTS / f"{name}.json"
    if path is None and not (_NAME.fullmatch(name) and name.startswith(f"{camera}-") and note.is_file()):
        return False
    note.unlink(missing_ok=True)
    if path is not None:
        shutil.rmtree(path, ignore_errors=True)
    return True


def as_tar(folder: Path) -> Iterator[bytes]:
    """Yield an export as a tar, file after file; nothing is kept in memory but a part of one."""
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        info = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
        state = path.stat()
        info.size, info.mtime, info.mode = state.st_size, int(state.st_mtime), 0o644
        yield info.tobuf(tarfile.PAX_FORMAT)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield bytes(-info.size % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)
