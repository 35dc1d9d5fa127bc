"""Log searches what the lines recorded, shows one record and what made it, and how two such texts differ."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from edge.errors import UserError
from edge.report.moments import utc
from edge.web.api.frame_calls import pictures_of_record
from edge.web.api.record_calls import archived_of, whole_record
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.logs.asked import wish_of
from edge.web.logs.record_search import Hit, indexed, search
from edge.web.shell import cameras_of, page
from edge.web.site import site_of

ROWS = 100
_NAMES = ("camera", "since", "until", "verdict", "reason", "part", "seq")
routes = Routes()


@routes.page("/log", role=Role.VIEWER)
async def log_search(request: Request) -> Response:
    query, folder = request.query_params, site_of(request).folder
    asked = {name: query.get(name, "") for name in _NAMES}
    hits: list[Hit] = []
    wrong = None
    try:
        wish = wish_of(query)
        hits = await asyncio.to_thread(search, folder, wish, cameras_of(request), query.get("cursor") or None, ROWS)
    except UserError as error:
        wrong = str(error)
    records, files = await asyncio.to_thread(indexed, folder)
    older = urlencode({**asked, "cursor": hits[-1].cursor}) if len(hits) == ROWS else None
    return page(
        request,
        "log.html",
        title="Log",
        asked=asked,
        hits=[(hit, utc(hit.at)) for hit in hits],
        wrong=wrong,
        older=older,
        query=urlencode({name: text for name, text in asked.items() if text}),
        records=records,
        files=files,
    )


@routes.page("/cam/{camera}/record/{instance}/{seq}", role=Role.VIEWER)
async def log_record(request: Request, camera: str, instance: str, seq: int) -> Response:
    raw = await asyncio.to_thread(whole_record, site_of(request), camera, instance, seq)
    if raw is None:
        fix = "edge log shows what the files themselves still hold"
        raise UserError(f"record {seq} of run {instance[:40]} is not here any more", fix=fix)
    record = orjson.loads(raw)
    try:
        pictures = await pictures_of_record(request, camera, instance, seq)
    except UserError:  # their index is still being made
        pictures = []
    return page(
        request,
        "record.html",
        title=f"Record {seq}",
        camera=camera,
        record=record,
        text=readable(record),
        at=utc(record["created_ns"]),
        hashes=_hashes(record),
        pictures=pictures,
    )


@routes.page("/cam/{camera}/made-by/{sha256}", role=Role.ENGINEER)
async def log_made_by(request: Request, camera: str, sha256: str, other: str = "") -> Response:
    site = site_of(request)
    text = await asyncio.to_thread(archived_of, site, camera, sha256)
    changes: list[str] | None = None
    wrong = None
    if other:
        try:
            before = await asyncio.to_thread(archived_of, site, camera, other)
            changes = list(
                difflib.unified_diff(before.splitlines(), text.splitlines(), other[:12], sha256[:12], lineterm="")
            )
        except UserError as error:
            wrong = str(error)
    return page(
        request,
        "made_by.html",
        title="What made a record",
        camera=camera,
        sha256=sha256,
        other=other,
        text=text,
        changes=changes,
        wrong=wrong,
    )


def _hashes(record: dict[str, Any]) -> list[tuple[str, str]]:
    named = {
        "config": record.get("config_sha256"),
        "model": (record.get("model") or {}).get("sha256"),
        "calibration": record.get("calibration_sha256"),
    }
    return [(name, sha256) for name, sha256 in named.items() if sha256]


def readable(record: Mapping[str, Any]) -> str:
    """Return a record as JSON for people: a line for each field, and for each region."""
    lines = []
    for key, value in record.items():
        if key == "regions" and value:
            inner = ",\n".join(f"    {json.dumps(region)}" for region in value)
            lines.append(f'  "{key}": [\n{inner}\n  ]')
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(lines) + "\n}"
