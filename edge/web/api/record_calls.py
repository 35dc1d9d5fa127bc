"""Records of the log for other programs: searched a page at a time, or streamed whole as NDJSON or CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from edge.errors import UserError
from edge.web.doors.guard import peer_of, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.logs.asked import limit_of, wish_of
from edge.web.logs.places import archived, kept_places
from edge.web.logs.record_search import Hit, Wish, as_logged, each, search
from edge.web.shell import cameras_of
from edge.web.site import Site, site_of

MOST_EXPORTED: Final = 1_000_000
_FIELDS: Final = ("time", "camera", "instance", "seq", "verdict", "reason", "part", "part_last", "map_max", "total_ms")
routes = Routes("/api/v1", "records")


@routes.api("GET", "/cameras/{camera}/records", role=Role.VIEWER)
async def list_records(request: Request, camera: str) -> Response:
    """Search a line's log, newest first: ``since, until, verdict, reason, part, seq, limit, cursor``.

    Answers with ``{"records": [...], "cursor": ...}``; with ``Accept: application/x-ndjson`` whole records, one a line,
    and the cursor in the header ``X-Edge-Cursor``. A page has 1,000 at most.
    """
    wish = replace(wish_of(request.query_params), camera=camera)
    limit = limit_of(request.query_params, 100)
    folder, cursor = site_of(request).folder, request.query_params.get("cursor")
    hits = await asyncio.to_thread(search, folder, wish, [camera], cursor, limit)
    more = hits[-1].cursor if hits else None
    if "application/x-ndjson" in request.headers.get("accept", ""):
        headers = {} if more is None else {"X-Edge-Cursor": more}
        return StreamingResponse(as_logged(hits), headers=headers, media_type="application/x-ndjson")
    return JSONResponse({"records": [hit.as_json() for hit in hits], "cursor": more})


@routes.api("GET", "/cameras/{camera}/records/{instance}/{seq}", role=Role.VIEWER)
async def one_record(request: Request, camera: str, instance: str, seq: int) -> Response:
    """Return one record as it was published: of the last 600, or of the log."""
    site = site_of(request)
    raw = await asyncio.to_thread(whole_record, site, camera, instance, seq)
    if raw is None:
        what = f"record {seq} of this run is neither among the last 600 nor in the log"
        return JSONResponse({"what": what, "received": None, "expected": None, "fix": None}, 404)
    return Response(raw, media_type="application/json")


@routes.api("GET", "/export.{kind}", role=Role.REVIEWER)
async def export_records(request: Request, kind: str) -> Response:
    """Stream what a search of the log finds, as ``csv`` (in brief) or ``ndjson`` (whole records); 1,000,000 at most."""
    wish, folder, cameras = wish_of(request.query_params), site_of(request).folder, cameras_of(request)
    if kind not in ("csv", "ndjson"):
        raise UserError("export", received=kind, expected="csv or ndjson")
    hits = each(folder, wish, cameras, MOST_EXPORTED)
    first = await asyncio.to_thread(next, hits, None)  # what is wrong is said before the answer begins
    hits = itertools.chain(() if first is None else (first,), hits)
    site_of(request).doors.audit.note("export", visitor_of(request).name, peer_of(request), query=str(request.query_params))
    lines = _csv_lines(hits) if kind == "csv" else as_logged(hits)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/x-ndjson"
    headers = {"content-disposition": f'attachment; filename="edge-records.{kind}"'}
    return StreamingResponse(lines, headers=headers, media_type=media_type)


@routes.api("GET", "/cameras/{camera}/archive/{sha256}", role=Role.ENGINEER)
async def archived_text(request: Request, camera: str, sha256: str) -> Response:
    """Return the text of a config, bundle or calibration by the hash that a record has; it may hold a camera's password."""
    return Response(archived_of(site_of(request), camera, sha256), media_type="text/plain; charset=utf-8")


def archived_of(site: Site, camera: str, sha256: str) -> str:
    """Return what ``archived`` finds beside this camera's log. Raises UserError."""
    instance = site.hub.instance(camera)
    log = None if instance is None else kept_places(instance).log
    if log is None:
        raise UserError(f"{camera}: keeps no log", fix="outputs.jsonl in the line's config")
    return archived(log, sha256)


def whole_record(site: Site, camera: str, instance: str, seq: int) -> bytes | None:
    """Return a record as it was published; None if it is neither in memory nor in the log."""
    feed = site.hub.feed(camera)
    for kept in reversed(feed.records) if feed is not None else ():
        if kept.shown["seq"] == seq and kept.shown["instance"] == instance and kept.raw:
            return kept.raw
    try:
        hits = search(site.folder, Wish(camera=camera, instance=instance, seq=seq), [camera])
    except UserError as error:
        if not error.passes:
            raise
        return None  # no index yet
    return next((raw for hit in hits if (raw := hit.whole()) is not None), None)


def _csv_lines(hits: Iterable[Hit]) -> Iterator[bytes]:
    page = io.StringIO()
    writer = csv.writer(page)
    writer.writerow(_FIELDS)
    for hit in hits:
        writer.writerow(_row(hit))
        if page.tell() > 1 << 16:
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()
    yield page.getvalue().encode()


def _row(hit: Hit) -> list[object]:
    answer = hit.as_json()
    seconds, ns = divmod(answer["at"], 1_000_000_000)
    at = f"{_utc(seconds)}.{ns // 1_000_000:03d}Z"
    return [at, *(_safe(answer[name]) for name in _FIELDS[1:])]


def _utc(seconds: int) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def _safe(value: object) -> object:
    """A text that a spreadsheet would take for a formula is quoted."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@" else value
