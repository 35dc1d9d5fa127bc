"""Files of our own that turn out to be damaged are moved aside, never deleted and never a reason to stop."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import structlog

log = structlog.get_logger()

SUFFIX = ".damaged"


def keep_aside(path: Path) -> Path:
    """Give what ``path`` holds now a second name before it is written anew; the name is as in ``set_aside``."""
    to = _free_name(path)
    try:
        to.hardlink_to(path)
    except OSError:  # FAT and some shares have no links
        shutil.copy2(path, to)
    log.warning("file_damaged", file=str(path), set_aside=str(to))
    return to


def set_aside(path: Path) -> Path:
    """Rename to ``NAME.damaged``, or to ``NAME.damaged-2`` and so on if that is taken. Returns the new path.

    Raises:
        OSError: for example, the disk is read-only.
    """
    to = _free_name(path)
    path.rename(to)
    log.warning("file_damaged", file=str(path), set_aside=str(to))
    return to


def _free_name(path: Path) -> Path:
    names = (path.name + SUFFIX + (f"-{number}" if number > 1 else "") for number in itertools.count(1))
    return next(to for name in names if not (to := path.with_name(name)).exists())
