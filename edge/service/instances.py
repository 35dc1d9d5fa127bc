"""The daemons of this machine are found by their runtime folders."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge.config.load import load_config
from edge.errors import UserError
from edge.service.instance_lock import holder
from edge.service.runtime_folder import ENDED, INSTANCE, found_folder, read_json, trusted_roots


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance has ``pid``, None if it ran once and doesn't now, and ``endpoints`` by name, as in endpoints.json."""

    camera: str
    folder: Path
    pid: int | None
    endpoints: dict[str, str]
    config: Path | None
    overrides: tuple[str, ...]
    ended_ns: int | None = None
    """When it ended in peace, UTC; None while it runs, and for one that was killed or gave up."""


def instance_in(folder: Path) -> Instance:
    """Read what ``folder`` says, as far as this user may read it."""
    facts, endpoints = read_json(folder, INSTANCE), read_json(folder, "endpoints.json")
    path, overrides = facts.get("config"), facts.get("overrides")
    ended = read_json(folder, ENDED).get("at_ns")
    pid = holder(folder)
    return Instance(
        camera=str(facts.get("camera", folder.name)),
        folder=folder,
        pid=pid,
        endpoints={name: value for name, value in endpoints.items() if isinstance(value, str)},
        config=Path(path) if isinstance(path, str) else None,
        overrides=tuple(map(str, overrides)) if isinstance(overrides, list) else (),
        ended_ns=ended if pid is None and isinstance(ended, int) else None,
    )


def instances(more: Iterable[Path] = ()) -> list[Instance]:
    """Find all that have a runtime folder in one of the usual places, or in ``more``; by camera."""
    folders: list[Path] = [*more]
    for root in trusted_roots():
        try:
            inside = sorted(root.iterdir())
        except OSError:
            continue
        folders += [folder for folder in inside if os.path.isfile(folder / INSTANCE)]  # False where we may not look
    found = {folder.resolve(): instance_in(folder) for folder in folders}
    return sorted(found.values(), key=lambda i: (i.camera, i.folder))


def forget(more: Iterable[Path] = ()) -> list[Instance]:
    """Forget those that don't run any more; return them.

    Raises:
        OSError: this user may not write in the runtime folder.
    """
    gone = [instance for instance in instances(more) if instance.pid is None]
    for instance in gone:
        (instance.folder / INSTANCE).unlink(missing_ok=True)
    return gone


def find_instance(text: str) -> Instance:
    """Find the daemon of a camera's name, a config or a runtime folder; it must be running.

    Raises:
        UserError: there is none, or the config can't be used.
    """
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        folders = [found_folder(load_config(path))]
    elif "/" in text or os.path.isdir(path):
        folders = [path]
    else:
        folders = [root / text for root in trusted_roots()]
    for folder in folders:
        found = instance_in(folder)
        if found.pid is not None:
            return found
    raise UserError(
        f"{text}: no daemon is running",
        received=f"no held lock in {' or '.join(map(str, folders))}",
        expected="a camera's name, its config or its runtime folder",
        fix="edge fleet lists those that run; one with a runtime_dir of its own is found by its config",
    )
