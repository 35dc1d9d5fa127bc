"""A camera's recordings: the evidence of its line, and what lies under the page's ``recordings``. Ids are looked up, never
joined.

The front lists them, so nothing here may bring the picture libraries into its memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from edge.config.load import load_config
from edge.errors import UserError
from edge.service.instances import Instance
from edge.web.last_disk import is_on

KEPT: Final = "frames"
"""The folder of a set that holds the copies of labelled frames."""
_HEAD = "recording.json"
_DEPTH = 3
_MOST = 500


@dataclass(frozen=True, slots=True)
class ListedRecording:
    """A listed recording has an id that says nothing of its place, and a name for people."""

    id: str
    name: str
    folder: Path
    created_ns: int
    source: str


def kept_name(recording: str, received_ns: int, number: int, file: str) -> str:
    """Return the name that a labelled frame's copy has in the page's folder: the same frame has the same name for ever.

    Numbers begin anew where an evidence folder was emptied; the time tells such frames apart.
    """
    return f"{KEPT}/{received_ns}-{recording[:8]}-{number:08d}{Path(file).suffix.lower()}"


def recording_id(folder: Path) -> str:
    """Return the id of a recording, which says nothing of its place."""
    return hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def recordings_of(instance: Instance, roots: Sequence[Path]) -> list[ListedRecording]:
    """Return the recordings of a camera, the line's own evidence first. What can't be read is left out."""
    return listing_of([instance], roots)[0]


def listing_of(lines: Iterable[Instance], roots: Sequence[Path]) -> tuple[list[ListedRecording], bool]:
    """Return the recordings of a camera whose instances are ``lines``, each once, and whether all that names any was read.

    A config that can't be read now is no sign that its evidence is gone; nor is a root that isn't there.
    """
    found: dict[Path, str] = {}
    cameras, is_whole = [], True
    for line in lines:
        cameras.append(line.camera)
        try:
            evidence = _evidence(line)
        except UserError:
            is_whole = False
            continue
        if evidence is not None and os.path.isfile(evidence / _HEAD):
            found[evidence.resolve()] = "evidence of this line"
    for root in roots:
        is_whole = is_whole and os.path.isdir(root)
        for folder in _under(root.resolve(), _DEPTH):
            found.setdefault(folder, str(folder.relative_to(root.resolve().parent)))
    listed = (_listed(folder, name, cameras) for folder, name in found.items())
    return [one for one in listed if one is not None][:_MOST], is_whole


def is_gone(folder: Path, camera: str, device: int | None, *, is_whole: bool) -> bool:
    """Return True if a recording that is listed no more is gone for certain; ``device`` is the disk on which it lay.

    A recording that is still there is gone from the list if ``is_whole``: nobody names it any more.
    """
    try:
        head = orjson.loads((folder / _HEAD).read_bytes())
        return is_whole or head["camera"] != camera
    except (FileNotFoundError, NotADirectoryError):
        return is_on(device, folder)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _evidence(instance: Instance) -> Path | None:
    if instance.config is None:
        raise UserError(f"{instance.folder}: no config is named there")
    config = load_config(instance.config, instance.overrides).resolved
    return None if config.outputs.evidence is None else config.outputs.evidence.dir


def _under(folder: Path, depth: int) -> Iterator[Path]:
    if os.path.isfile(folder / _HEAD):  # False where we may not look
        yield folder
        return
    try:
        inside = sorted(path for path in folder.iterdir() if os.path.isdir(path) and not path.is_symlink()) if depth else []
    except OSError:
        return
    for path in inside:
        yield from _under(path, depth - 1)


def _listed(folder: Path, name: str, cameras: Collection[str]) -> ListedRecording | None:
    try:
        head: dict[str, Any] = orjson.loads((folder / _HEAD).read_bytes())
        of, created_ns, source = head["camera"], int(head["created_ns"]), str(head["source"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return None
    if of not in cameras:
        return None
    shown = name.encode("utf-8", "backslashreplace").decode()
    return ListedRecording(recording_id(folder), shown, folder, created_ns, source)
