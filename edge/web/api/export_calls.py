"""Exports: labelled frames as folders in MVTec AD's layout, written on the box and sent as a tar to whoever asks."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edge.web.doors.guard import peer_of, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.review.exports import as_tar, delete_export, export_folder, is_being_written
from edge.web.site import site_of

routes = Routes("/api/v1", "labels")


@routes.api("GET", "/exports/{camera}", role=Role.REVIEWER)
async def list_exports(request: Request, camera: str) -> list[dict[str, Any]]:
    """List a camera's exports, newest first: state, how many frames of how many, folders, what was left out."""
    return await site_of(request).review.exports(camera)


@routes.api("POST", "/exports/{camera}", role=Role.REVIEWER)
async def begin_export(request: Request, camera: str) -> dict[str, str]:
    """Export every frame that is labelled good or defect, and that nobody disputes, in MVTec AD's layout.

    ``train/good`` and ``test/good`` share no part; ``test/KIND`` has the defects, ``ground_truth/KIND`` their masks.
    """
    visitor = visitor_of(request)
    name = await site_of(request).review.export(camera, visitor.name)
    site_of(request).doors.audit.note("label_export", visitor.name, peer_of(request), camera=camera, export=name)
    return {"name": name}


@routes.api("GET", "/exports/{camera}/{name}.tar", role=Role.REVIEWER, response_class=Response)
async def export_as_tar(request: Request, camera: str, name: str) -> Response:
    """Return an export as a tar; 409 while it is being written."""
    _check_whole(request, camera, name)
    folder = export_folder(site_of(request).folder, camera, name)
    if folder is None:
        raise HTTPException(404, f"no export {name[:80]!r} of {camera}")
    note = {"camera": camera, "export": name}
    site_of(request).doors.audit.note("label_download", visitor_of(request).name, peer_of(request), **note)
    headers = {"content-disposition": f'attachment; filename="{name}.tar"'}
    return StreamingResponse(as_tar(folder), media_type="application/x-tar", headers=headers)


@routes.api("DELETE", "/exports/{camera}/{name}", role=Role.REVIEWER)
async def remove_export(request: Request, camera: str, name: str) -> dict[str, str]:
    """Delete an export; the labels stay. 409 while it is being written."""
    _check_whole(request, camera, name)
    if not await asyncio.to_thread(delete_export, site_of(request).folder, camera, name):
        raise HTTPException(404, f"no export {name[:80]!r} of {camera}")
    note = {"camera": camera, "export": name}
    site_of(request).doors.audit.note("label_export_deleted", visitor_of(request).name, peer_of(request), **note)
    return {"deleted": name}


def _check_whole(request: Request, camera: str, name: str) -> None:
    if is_being_written(site_of(request).folder, camera, name):
        raise HTTPException(409, f"export {name} is being written: wait for its end")
