"""Records that stand in a log as they were judged, and again as they were published: overruled, for the log had failed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from edge.errors import UserError
from edge.storage.log_files import read_records

LOG_LOST: Final = "log_lost"


def overruled_later(files: Iterable[Path]) -> set[tuple[str, int]]:
    """Find the run and seq of each record that was published as ``invalid: log_lost``.

    Raises:
        UserError: a file can't be read.
    """
    found = set()
    for path in files:
        try:
            for record in read_records(path, only=f'"{LOG_LOST}"'.encode()):
                if record.get("reason") == LOG_LOST:
                    found.add((record["instance_id"], record["seq"]))
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return found
