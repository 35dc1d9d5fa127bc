"""Scripts, styles and icons are read once at the start and served from memory, compressed, under the hash of them all: a
browser keeps them for ever, and meets a new version under a new name. A request's path never reaches the disk.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
routes = Routes()


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A static file is kept as it is and compressed."""

    content: bytes
    packed: bytes
    media_type: str


def _read() -> tuple[str, dict[str, StaticFile]]:
    files, digest = {}, hashlib.sha256()
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix in _TYPES:
            content, name = path.read_bytes(), path.relative_to(FOLDER).as_posix()
            digest.update(name.encode() + b"\0" + content)
            files[name] = StaticFile(content, gzip.compress(content, 9, mtime=0), _TYPES[path.suffix])
    return digest.hexdigest()[:12], files


VERSION, FILES = _read()


def static(name: str) -> str:
    """Return the URL of a file under ``static/``. Raises KeyError if there is none, when the page is made."""
    _ = FILES[name]
    return f"/static/{VERSION}/{name}"


@routes.api("GET", "/static/{version}/{name:path}", role=Role.OPEN, include_in_schema=False)
async def static_file(request: Request, version: str, name: str) -> Response:
    found = FILES.get(name)
    if found is None:
        return Response(status_code=404)
    age = "public, max-age=31536000, immutable" if version == VERSION else "no-store"
    headers = {"cache-control": age, "vary": "accept-encoding"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers=headers | {"content-encoding": "gzip"}, media_type=found.media_type)
    return Response(found.content, headers=headers, media_type=found.media_type)
