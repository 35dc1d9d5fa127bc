"""A camera's recordings: the evidence of its line, and what lies under the page's ``recordings``. Ids are looked up, never
joined.

The front lists them, so nothing here may bring the picture libraries into its memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from edge.config.load import load_config
from edge.errors import UserError
from edge.service.instances import Instance

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
    return f"frames/{received_ns}-{recording[:8]}-{number:08d}{Path(file).suffix.lower()}"


def recording_id(folder: Path) -> str:
    """Return the id of a recording, which says nothing of its place."""
    return hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def recordings_of(instance: Instance, roots: Sequence[Path]) -> list[ListedRecording]:
    """Return the recordings of a camera, the line's own evidence first. What can't be read is left out."""
    found: dict[Path, str] = {}
    evidence = _evidence(instance)
    if evidence is not None and (evidence / _HEAD).is_file():
        found[evidence.resolve()] = "evidence of this line"
    for root in roots:
        for folder in _under(root.resolve(), _DEPTH):
            found.setdefault(folder, str(folder.relative_to(root.resolve().parent)))
    return [one for folder, name in found.items() if (one := _listed(folder, name, instance.camera)) is not None][:_MOST]


def _evidence(instance: Instance) -> Path | None:
    if instance.config is None:
        return None
    try:
        config = load_config(instance.config, instance.overrides).resolved
    except UserError:
        return None
    return None if config.outputs.evidence is None else config.outputs.evidence.dir


def _under(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / _HEAD).is_file():
        yield folder
        return
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()) if depth else []
    except OSError:
        return
    for path in inside:
        yield from _under(path, depth - 1)


def _listed(folder: Path, name: str, camera: str) -> ListedRecording | None:
    try:
        head: dict[str, Any] = orjson.loads((folder / _HEAD).read_bytes())
        of, created_ns, source = head["camera"], int(head["created_ns"]), str(head["source"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    if of != camera:
        return None
    shown = name.encode("utf-8", "backslashreplace").decode()
    return ListedRecording(recording_id(folder), shown, folder, created_ns, source)
