"""Shift's part of the API: the drift in force, the course of each statistic, and what was named before."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from starlette.requests import Request

from edge.config.load import load_config
from edge.errors import UserError
from edge.report.moments import moment_ns
from edge.service.instances import Instance
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.live.hub import why_not_heard
from edge.web.logs.drift_search import drifts_named, kept_blocks
from edge.web.logs.places import kept_places
from edge.web.shift.answers import LineFiles, advised, answers, to_begin
from edge.web.shift.course import course
from edge.web.site import Site, site_of

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
