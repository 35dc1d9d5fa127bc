"""Frames of evidence and recordings for Review and other programs: searched by what is known of them, with pictures."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from fastapi import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from edge.web.doors.guard import visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.review.asked import frame_wish, listed_numbers
from edge.web.review.frame_search import FoundFrame, FrameWish, choices, frame_ids, overlay_of
from edge.web.site import site_of

routes = Routes("/api/v1", "frames")
_CACHED: Final = {"cache-control": "private, max-age=86400"}
_ASKED_ANEW: Final = {"cache-control": "private, no-cache"}
"""An index that is begun anew gives its ids to other frames: only an address with a frame's time stays that frame's."""


@routes.api("GET", "/cameras/{camera}/frames", role=Role.VIEWER)
async def search_frames(request: Request, camera: str) -> dict[str, Any]:
    """Search frames that have a picture, newest first: ``since, until, verdict, reason, part, seq, near, dropped,
    recording, label, kind, disagree, mine``.

    Answers with ``{"ids": [...], "cut": false}``; ``cut`` says that there are more than 200,000. ``near=10`` are frames
    whose ``map_max`` lies within 10 % of the threshold, ``dropped`` names a filter that dropped a region, ``disagree=1``
    finds labels that say another thing than the verdict, ``mine=no`` what you have no word on.
    """
    site = site_of(request)
    wish = frame_wish(request.query_params, visitor_of(request).name)
    await site.review.follow(camera)
    ids, cut = await asyncio.to_thread(frame_ids, site.folder, camera, wish)
    return {"ids": ids, "cut": cut}


@routes.api("GET", "/cameras/{camera}/frames/choices", role=Role.VIEWER)
async def frame_choices(request: Request, camera: str) -> dict[str, Any]:
    """Return what frames can be searched by: recordings, reasons, filters, kinds; and how many have which label."""
    site = site_of(request)
    await site.review.follow(camera)
    found = await asyncio.to_thread(choices, site.folder, camera)
    return found | await site.review.labels(camera)


@routes.api("GET", "/cameras/{camera}/frames/details", role=Role.VIEWER)
async def details_of_frames(request: Request, camera: str, ids: str) -> list[dict[str, Any]]:
    """Return what is known of each of these frames (``ids=1,2,3``), 200 at most; those that are gone are left out."""
    return [one.shown | {"kept": one.kept} for one in await site_of(request).review.frames(camera, listed_numbers(ids))]


@routes.api("GET", "/cameras/{camera}/frames/{frame}/thumbnail.jpg", role=Role.VIEWER, response_class=Response)
async def frame_thumbnail(request: Request, camera: str, frame: int, at: str | None = None) -> Response:
    """Return a frame as a small JPEG, 320 px; ``at`` as for ``picture.jpg``."""
    found = await meant_frame(request, camera, frame, at, votes=False)
    body = await site_of(request).review.small(camera, found)
    return Response(body, media_type="image/jpeg", headers=_headers(at))


@routes.api("GET", "/cameras/{camera}/frames/{frame}/picture.jpg", role=Role.VIEWER, response_class=Response)
async def frame_picture(request: Request, camera: str, frame: int, most: int = 2400, at: str | None = None) -> Response:
    """Return a frame as JPEG, its longer side at most ``most`` px.

    ``at`` is the frame's time in ns, as details of frames have it: 404 where the id means another frame now. Without it the
    answer is for this moment alone.
    """
    found = await meant_frame(request, camera, frame, at, votes=False)
    body = await site_of(request).review.picture(camera, found, min(max(most, 16), 12000))
    return Response(body, media_type="image/jpeg", headers=_headers(at))


@routes.api("GET", "/cameras/{camera}/frames/{frame}/overlay.jpg", role=Role.VIEWER, response_class=Response)
async def frame_overlay(request: Request, camera: str, frame: int, at: str | None = None) -> Response:
    """Return a fail's frame with its regions drawn, as the line's evidence has it; 404 where it has none; ``at`` as for
    ``picture.jpg``.
    """
    found = await asyncio.to_thread(overlay_of, await meant_frame(request, camera, frame, at, votes=False))
    if found is None:
        raise HTTPException(404, f"frame {frame} has no overlay: outputs.evidence.overlays draws them of fails")
    return Response(found, media_type="image/jpeg", headers=_headers(at))


@routes.api("GET", "/cameras/{camera}/records/{instance}/{seq}/pictures", role=Role.VIEWER)
async def pictures_of_record(request: Request, camera: str, instance: str, seq: int) -> list[dict[str, Any]]:
    """List the pictures that evidence and recordings have of one record, each with where to get it: the frame, small,
    and with its regions where an overlay was drawn. None at all is an empty list: a quota may have taken them.
    """
    site = site_of(request)
    if not 0 <= seq < 1 << 62:
        return []
    ids, _ = await asyncio.to_thread(frame_ids, site.folder, camera, FrameWish(seq=seq, instance=instance))
    frames = await site.review.frames(camera, ids)
    overlays = await asyncio.to_thread(lambda: [overlay_of(frame) is not None for frame in frames])
    return [_pictures(camera, frame, has_overlay) for frame, has_overlay in zip(frames, overlays, strict=True)]


def _pictures(camera: str, frame: FoundFrame, has_overlay: bool) -> dict[str, Any]:
    place, at = f"/api/v1/cameras/{camera}/frames/{frame.shown['id']}", frame.shown["at"]
    return {
        "frame": frame.shown["id"],
        "why": frame.shown["why"],
        "size": frame.shown["size"],
        "picture": f"{place}/picture.jpg?at={at}",
        "thumbnail": f"{place}/thumbnail.jpg?at={at}",
        "overlay": f"{place}/overlay.jpg?at={at}" if has_overlay else None,
    }


async def meant_frame(
    request: Request, camera: str, frame: int, at: str | None = None, kept: str | None = None, *, votes: bool = True
) -> FoundFrame:
    """Return the frame of this id that was taken at ``at``; where the id means another one now, the one named ``kept``.

    Raises:
        HTTPException: 404, there is no such frame.
    """
    site = site_of(request)
    found = await site.review.frames(camera, [frame], votes=votes) if 0 <= frame < 1 << 62 else []
    if found and at in (None, found[0].shown["at"]) and kept in (None, found[0].kept):
        return found[0]
    if kept is not None and at is not None and at.isascii() and at.isdecimal() and len(at) < 20:
        ids, _ = await asyncio.to_thread(frame_ids, site.folder, camera, FrameWish(since_ns=int(at), until_ns=int(at) + 1))
        same = [one for one in await site.review.frames(camera, ids, votes=votes) if one.kept == kept]
        if same:
            return same[0]
    if found:
        raise HTTPException(404, f"frame {frame} of {camera} is another one now: search again")
    raise HTTPException(404, f"no frame {frame} of {camera}: a quota may have taken it")


def _headers(at: str | None) -> dict[str, str]:
    return _ASKED_ANEW if at is None else _CACHED
