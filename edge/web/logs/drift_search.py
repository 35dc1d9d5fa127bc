"""What the logs say of a line's drift, read from the index: blocks of measured frames, and which causes were named."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import orjson

from edge.errors import UserError
from edge.web.logs.record_search import ask

MOST_BLOCKS: Final = 20_000
MOST_NAMED: Final = 50
_OF: Final = "select at, body from drifts where camera = ? and kind = ? and at >= ? order by at desc limit ?"


def kept_blocks(folder: Path, camera: str, since_ns: int) -> list[dict[str, Any]]:
    """Return the newest blocks of a camera's log, newest first; none while there is no index yet."""
    return [block for _, block in _asked(folder, camera, "drift_block", since_ns, MOST_BLOCKS)]


def drifts_named(folder: Path, camera: str, since_ns: int) -> list[dict[str, Any]]:
    """Return the newest changes of what was named, newest first; ``drift`` is None where one was over."""
    found: list[dict[str, Any]] = []
    for at, drift in _asked(folder, camera, "drift", since_ns, MOST_NAMED):
        named = (
            {}
            if drift is None
            else {name: drift.get(name) for name in ("level", "cause", "group", "words", "statistic", "z")}
        )
        found.append({"at_ns": at, "over": drift is None, **named})
    return found


def _asked(folder: Path, camera: str, kind: str, since_ns: int, most: int) -> list[tuple[int, Any]]:
    try:
        rows = ask(folder, _OF, [camera, kind, since_ns, most])
    except UserError as error:
        if not error.passes:
            raise
        return []
    return [(at, orjson.loads(body)) for at, body in rows]
