"""The folder of the evidence is taken by one process, and damage that was found in it is reported for a while."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from edge.errors import may_pass
from edge.storage.disk import cannot_be_written, lock_file, make_folders, written_by_another

EVIDENCE_LOCK: Final = "lock"
"""Held by the process that writes to the folder."""
DAMAGE_REPORTED_S: Final = 600.0
"""Time in s that files which were found damaged at the start are reported as a fault."""


class FolderDamage:
    """Damage remembers the files that were set aside when the folder was opened."""

    def __init__(self) -> None:
        self._text = ""
        self._until = 0.0

    def note(self, paths: Sequence[Path]) -> None:
        """Note that these files were set aside now."""
        if paths:
            names = ", ".join(path.name for path in paths)
            self._text = f"{paths[0].parent}: damaged, set aside as {names} and begun anew"
            self._until = time.monotonic() + DAMAGE_REPORTED_S

    @property
    def fault(self) -> str | None:
        """Return what is a fault now."""
        return self._text if time.monotonic() < self._until else None


def take_folder(folder: Path, key: str) -> int:
    """Make the folder and lock it, before anything in it is mended or written: two writers would give the same number to
    two pictures. Returns the lock's descriptor. ``key`` names the folder in errors.

    Raises:
        UserError: another process writes there, or nobody of this user can.
        OSError: what may pass by itself.
    """
    path = folder / EVIDENCE_LOCK
    try:
        make_folders(folder)
        return lock_file(path, partial(written_by_another, path, key, "evidence there"))
    except OSError as error:
        if may_pass(error):
            raise
        raise cannot_be_written(folder, error).at(key) from None
