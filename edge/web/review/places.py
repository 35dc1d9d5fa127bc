"""Review keeps all that it makes in the page's own folder; these are the names there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FRAMES: Final = "frames.sqlite"
"""The index of frames, which the indexer writes."""
LABELS: Final = "labels.sqlite"
"""What people said, in a form that frames are searched by."""
SETS: Final = "labels"
"""A folder with a set for each camera, as ``edge label`` writes them."""
SMALL: Final = "thumbnails"
EXPORTS: Final = "exports"


def set_folder(folder: Path, camera: str) -> Path:
    """Return the folder of a camera's set under the page's ``folder``."""
    return folder / SETS / camera


def small_path(folder: Path, camera: str, kept: str) -> Path:
    """Return where a frame's small picture lies under the page's ``folder``; ``kept`` is the frame's name in the set."""
    return folder / SMALL / f"{camera}-{kept.rpartition('/')[2]}.jpg"


def part_folder(folder: Path, name: str) -> Path:
    """Return where an export of this name lies while it is written."""
    return folder / EXPORTS / f"{name}.part"
