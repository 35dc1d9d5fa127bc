"""Shift's part of the API: the drift in force, the course of each statistic, and the reports of ``edge shift``."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, Final

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge.config.load import load_config
from edge.errors import UserError
from edge.report.moments import moment_ns
from edge.service.instances import Instance
from edge.web.doors.guard import visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.live.hub import why_not_heard
from edge.web.logs.drift_search import drifts_named, kept_blocks
from edge.web.logs.places import kept_places
from edge.web.shift.answers import LineFiles, advised, answers, to_begin
from edge.web.shift.course import course
from edge.web.shift.reports import ListedReport, reports_of
from edge.web.site import Site, site_of
from edge.web.tuning.recordings import recordings_of

_USUAL_SINCE: Final = "24h"
routes = Routes("/api/v1", "shift")


@routes.api("GET", "/cameras/{camera}/drift", role=Role.VIEWER)
async def drift_of(request: Request, camera: str) -> dict[str, Any]:
    """Return the drift in force, the course of each statistic with the band in which it is usual, and what was named:
    ``since`` (24h). Units and names are those of docs/drift.md.
    """
    site = site_of(request)
    feed = site.hub.feed(camera)
    if feed is None:
        raise why_not_heard(None, camera)
    since_ns = moment_ns(request.query_params.get("since") or _USUAL_SINCE, "since", time.time_ns, in_utc=True)
    heard = [block for block in feed.course if block["ended_ns"] >= since_ns]
    blocks, named, line = await asyncio.to_thread(_kept, site, camera, since_ns)
    drift = (feed.state or {}).get("drift")
    measures = line.has_drift or drift is not None or bool(feed.course)
    return {
        "now": drift,
        "advice": advised(drift),
        "measures": measures,
        "age_s": round(feed.age_s, 3),
        "course": course([*blocks, *heard]),
        "named": named,
        "commands": [one.as_json() for one in (answers(line, drift) if measures else to_begin(line))],
    }


@routes.api("GET", "/cameras/{camera}/shifts", role=Role.VIEWER)
async def shift_reports(request: Request, camera: str) -> dict[str, Any]:
    """List the reports of ``edge shift`` of this camera's frames, newest first, under the folders that ``shifts`` names."""
    found = await _reports(request, camera)
    return {"folders": len(site_of(request).config.shifts), "reports": [one.brief() for one in found]}


@routes.api("GET", "/cameras/{camera}/shifts/{report}", role=Role.VIEWER)
async def one_report(request: Request, camera: str, report: str) -> dict[str, Any]:
    """Return a report without its points; under ``recordings`` for each of its sets the id by which Review knows it."""
    found = await _report(request, camera, report)
    instance, roots = site_of(request).hub.instance(camera), site_of(request).config.recordings
    known = {} if instance is None else {r.folder: r.id for r in await asyncio.to_thread(recordings_of, instance, roots)}
    places = [Path(str(one.get("root", ""))) for one in found.head["sets"]]
    return found.head | {"id": found.id, "name": found.name, "recordings": [known.get(place) for place in places]}


@routes.api("GET", "/cameras/{camera}/shifts/{report}/points", role=Role.VIEWER)
async def report_points(request: Request, camera: str, report: str) -> Response:
    """Return every frame of both sets as a point: set, file, PCA, t-SNE and UMAP as far as they were made, and values."""
    found = await _report(request, camera, report)
    return Response(await asyncio.to_thread(found.points), media_type="application/json")


@routes.api("GET", "/cameras/{camera}/shifts/{report}/picture.jpg", role=Role.VIEWER, response_class=Response)
async def report_picture(request: Request, camera: str, report: str, start: int, end: int) -> Response:
    """Return one small picture of a report: its bytes from ``start`` to ``end``, as ``pictures`` of the points says."""
    found = await asyncio.to_thread((await _report(request, camera, report)).picture, start, end)
    if found is None:
        raise HTTPException(404, "no such picture")
    return Response(found, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


async def _reports(request: Request, camera: str) -> list[ListedReport]:
    return await asyncio.to_thread(reports_of, site_of(request).config.shifts, camera, visitor_of(request))


async def _report(request: Request, camera: str, report: str) -> ListedReport:
    found = next((one for one in await _reports(request, camera) if one.id == report), None)
    if found is None:
        raise HTTPException(404, "no such report of this camera: it was moved, or none was ever there")
    return found


def _kept(site: Site, camera: str, since_ns: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]], LineFiles]:
    line = files_of(site, camera)
    return kept_blocks(site.folder, camera, since_ns), drifts_named(site.folder, camera, since_ns), line


def files_of(site: Site, camera: str) -> LineFiles:
    """Return what commands name of this camera's line; a config that can't be read names nothing but the camera."""
    instance: Instance | None = site.hub.instance(camera)
    reports = site.config.shifts[0] if site.config.shifts else None
    if instance is None or instance.config is None:
        return LineFiles(camera, None, None, has_drift=False, reports=reports)
    try:
        has_drift = load_config(instance.config, instance.overrides).config.drift is not None
        evidence = kept_places(instance).evidence
    except UserError:
        return LineFiles(camera, instance.config, None, has_drift=False, reports=reports)
    return LineFiles(camera, instance.config, evidence, has_drift=has_drift, reports=reports)
