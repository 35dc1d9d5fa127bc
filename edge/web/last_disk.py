"""What an index lists no more was deleted, or its disk isn't mounted now: the disk on which it lay tells them apart."""

from __future__ import annotations

from pathlib import Path


def is_on(device: int | None, path: Path) -> bool:
    """Return True if the nearest folder of a path that is there lies on this disk (``st_dev``); None is no disk.

    What isn't there any more was deleted then. A disk that isn't mounted looks like an empty folder, but one of another
    disk.
    """
    return device is not None and _nearest_device(path) == device


def _nearest_device(path: Path) -> int | None:
    for place in (path, *path.parents):
        try:
            return place.stat().st_dev
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            return None
    return None
