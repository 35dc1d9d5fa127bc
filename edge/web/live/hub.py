"""The hub knows the lines of this machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from edge.service.instances import Instance, instances

_LOOK_S = 1.0


class Hub:
    """The hub looks for daemons once a second at most."""

    def __init__(self, folders: Sequence[Path] = (), key: Path | None = None) -> None:
        self._folders, self._key = folders, key
        self._found: list[Instance] = []
        self._look_at = 0.0

    def instances(self) -> list[Instance]:
        """Return every daemon that runs or has run here, by camera."""
        if time.monotonic() >= self._look_at:
            self._found, self._look_at = instances(self._folders), time.monotonic() + _LOOK_S
        return self._found

    def instance(self, camera: str) -> Instance | None:
        """Return the daemon of a camera, a running one first; None if none ever ran here."""
        found = [instance for instance in self.instances() if instance.camera == camera]
        return max(found, key=lambda instance: instance.pid is not None, default=None)

    def close(self) -> None:
        """Stop listening."""
