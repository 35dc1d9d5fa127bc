"""The indexer is a process that keeps the indexes of records and of frames up to date:
``python -m edge.web.logs.indexer PAGE_PID FOLDER [RUNTIME ...] [-- RECORDINGS ...]``. It ends with the page.
"""

from __future__ import annotations

import itertools
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import structlog

from edge.errors import UserError
from edge.service.instances import Instance, instances
from edge.service.logs import set_up_logs
from edge.web.derived_database import must_begin_anew
from edge.web.idle import become_idle
from edge.web.logs.places import kept_places
from edge.web.logs.record_index import FILE, RecordIndex
from edge.web.review.frame_index import FrameIndex

LOOK_S: Final = 2.0
log = structlog.get_logger()


def look_once(index: RecordIndex, runtime_folders: Sequence[Path]) -> int:
    """Read what is new in every line's log; return how many records. A log that can't be read is reported, and waits.

    Raises:
        sqlite3.DatabaseError: the index is damaged or was deleted.
    """
    index.check()
    count = 0
    for camera, lines in itertools.groupby(instances(runtime_folders), key=lambda line: line.camera):
        try:
            folders, is_whole = _log_folders([*lines])
            if folders:
                count += index.follow(camera, *folders, is_whole=is_whole)
        except (UserError, OSError, sqlite3.Error) as error:
            _report("log_not_indexed", camera, error)
    try:
        index.make_keys()
    except sqlite3.Error as error:
        _report("log_not_indexed", None, error)
    return count


def _log_folders(lines: Sequence[Instance]) -> tuple[list[Path], bool]:
    """Return where the instances of one camera keep their logs, and whether all of them could be asked."""
    folders, is_whole = [], True
    for line in lines:
        try:
            place = kept_places(line).log
        except UserError as error:
            log.warning("log_not_indexed", camera=line.camera, error=str(error))
            is_whole = False
            continue
        if place is not None and place.is_dir():
            folders.append(place)
        elif place is not None or line.config is None:
            is_whole = False
    return folders, is_whole


def _report(event: str, camera: str | None, error: Exception) -> None:
    if must_begin_anew(error):
        raise error
    log.warning(event, camera=camera, error=str(error))


def look_at_frames(index: FrameIndex, runtime_folders: Sequence[Path], recordings: Sequence[Path]) -> int:
    """Read which frames every line's evidence and recordings have new; return how many. Raises as ``look_once``."""
    index.check()
    count = 0
    for camera, lines in itertools.groupby(instances(runtime_folders), key=lambda line: line.camera):
        try:
            count += index.follow([*lines], recordings)
        except (UserError, OSError, sqlite3.Error) as error:
            _report("frames_not_indexed", camera, error)
    return count


def keep_indexing() -> None:
    """Look at all logs, evidence and recordings every 2 s, for ever."""
    page, *words = sys.argv[1:]
    become_idle(int(page))
    set_up_logs("warning")
    cut = words.index("--") if "--" in words else len(words)
    folder, *runtime_folders = map(Path, words[:cut])
    recordings = [Path(word) for word in words[cut + 1 :]]
    index, frames = RecordIndex(folder / FILE), FrameIndex(folder)
    while True:
        began = time.monotonic()
        look_once(index, runtime_folders)
        look_at_frames(frames, runtime_folders, recordings)
        time.sleep(max(LOOK_S, 4 * (time.monotonic() - began)))  # of its time it works a fifth at most


if __name__ == "__main__":
    keep_indexing()
