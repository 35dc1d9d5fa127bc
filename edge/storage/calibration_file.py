"""The calibration file is written here; ``edge.config.calibration`` reads it."""

from __future__ import annotations

from pathlib import Path

from edge.config.calibration import Calibration
from edge.errors import UserError
from edge.storage.disk import write_whole


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the file as a whole or not at all, readable by all: the daemon runs as another user.

    Raises:
        UserError: the folder can't be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, calibration.text.encode(), sync=True, mode=0o644)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
