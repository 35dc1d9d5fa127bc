"""Reports of ``edge shift -o`` under the page's ``shifts``: which there are, who may see them, their points as they lie.

The front lists them, so nothing here reads the points, which may be 50,000: they go to the browser byte for byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from edge.errors import UserError
from edge.shift.report_file import points_in, report_head
from edge.web.doors.roles import Visitor

_MOST_HEAD: Final = 1 << 20
_MOST_POINTS: Final = 64 << 20
_MOST_PICTURE: Final = 1 << 16
_MOST: Final = 200
_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A listed report has an id that says nothing of its place. ``cameras``: those that its frames come from, as far
    as they say so; ``all_say``: every one of them does.
    """

    id: str
    name: str
    path: Path
    head: dict[str, Any]
    cameras: frozenset[str]
    all_say: bool
    points_at: int
    """Where the points begin in the file; 0 if it has none."""

    def is_for(self, camera: str, visitor: Visitor) -> bool:
        """Whether it belongs on this camera's page, and shows nothing of a camera that the visitor may not see."""
        if self.cameras and camera not in self.cameras:
            return False
        if not self.all_say:  # a frame of no known camera may be any camera's
            return visitor.cameras is None
        return all(visitor.sees(one) for one in self.cameras)

    def brief(self) -> dict[str, Any]:
        """Return what a list shows of it."""
        shown = {name: self.head.get(name) for name in ("created", "headline", "verdict")}
        sets = [str(one.get("name")) for one in self.head.get("sets", ())]
        return {"id": self.id, "name": self.name, "sets": sets, "points": bool(self.points_at), **shown}

    def points(self) -> bytes:
        """Return the points as JSON.

        Raises:
            UserError: the report has none, or the file is gone.
        """
        if not self.points_at:
            raise UserError(
                f"{self.name}: has no points",
                fix="it is of an older version: make it again with edge shift A B -o FILE.html",
            )
        try:
            with self.path.open("rb") as file:
                file.seek(self.points_at)
                body = file.read(_MOST_POINTS)
        except OSError as error:
            raise UserError(f"{self.name}: cannot be read: {error.strerror}", passes=True) from None
        return points_in(body)

    def picture(self, start: int, end: int) -> bytes | None:
        """Return the bytes of one small picture; None where there is none."""
        if not 0 <= start < end <= start + _MOST_PICTURE:
            return None
        try:
            with self.path.with_suffix(".jpegs").open("rb") as file:
                file.seek(start)
                found = file.read(end - start)
        except OSError:
            return None
        return found if found.startswith(b"\xff\xd8") and len(found) == end - start else None


def reports_of(roots: Sequence[Path], camera: str, visitor: Visitor) -> list[ListedReport]:
    """Return the reports of a camera that a visitor may see, newest first."""
    found: list[ListedReport] = []
    for root in roots:
        for path in _under(root, _DEPTH):
            try:
                state = path.stat()
                one = _listed(root, path, state.st_mtime_ns, state.st_size)
            except OSError:
                continue
            if one is not None and one.is_for(camera, visitor):
                found.append(one)
    return sorted(found, key=lambda one: str(one.head.get("created")), reverse=True)[:_MOST]


def _under(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return
    for path in inside:
        if path.is_symlink():
            continue
        if path.suffix == ".json" and path.is_file():
            yield path
        elif depth and path.is_dir():
            yield from _under(path, depth - 1)


@lru_cache(maxsize=1000)
def _listed(root: Path, path: Path, _changed_ns: int, _size: int) -> ListedReport | None:
    """Read a report's head; None if the file is no report. Raises OSError."""
    with path.open("rb") as file:
        begun = file.read(_MOST_HEAD)
    try:
        head, points_at = report_head(begun)
        if not isinstance(head["statistics"], list):
            return None
        cameras = frozenset(map(str, head.get("cameras", ())))
        all_say = bool(cameras) and head.get("without_camera") == 0  # an older report doesn't say
        sets = [dict(one) for one in head["sets"]]
    except (ValueError, KeyError, TypeError):
        return None
    name = str(path.relative_to(root)).encode("utf-8", "backslashreplace").decode()
    digest = hashlib.sha256(str(path).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return ListedReport(digest, name, path, head | {"sets": sets}, cameras=cameras, all_say=all_say, points_at=points_at)
