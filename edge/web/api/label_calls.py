"""Labels: a person's word on a frame is written, read and taken back; the set that they make is ``edge label``'s own."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from starlette.requests import Request

from edge.web.api.frame_calls import frame_of
from edge.web.doors.guard import peer_of, visitor_of
from edge.web.doors.roles import Role
from edge.web.doors.routes import Routes
from edge.web.review.said_word import SaidWord, said_word
from edge.web.site import site_of

routes = Routes("/api/v1", "labels")
_BODY: Any = {"requestBody": {"content": {"application/json": {"schema": SaidWord.model_json_schema()}}, "required": True}}


@routes.api("GET", "/labels/{camera}", role=Role.VIEWER)
async def labels_of(request: Request, camera: str) -> dict[str, Any]:
    """Return how many of a camera's frames have which label, and the kinds of defect in their order."""
    await site_of(request).review.follow(camera)
    return await site_of(request).review.labels(camera)


@routes.api("GET", "/labels/{camera}/{frame}", role=Role.VIEWER)
async def label_of(request: Request, camera: str, frame: int) -> dict[str, Any]:
    """Return each person's word on a frame, and where they say the defect is."""
    found = await frame_of(request, camera, frame)
    shapes: list[Any] = []
    if any(vote["mask"] for vote in found.shown["votes"]):
        shapes = await site_of(request).review.shapes(camera, found, visitor_of(request).name)
    return {"votes": found.shown["votes"], "shapes": shapes}


@routes.api("PUT", "/labels/{camera}/{frame}", role=Role.REVIEWER, openapi_extra=_BODY)
async def put_label(request: Request, camera: str, frame: int) -> dict[str, Any]:
    """Say what a frame shows, in place of your word before. 503: it can't be written now, send it again."""
    word = said_word(await request.body())
    return await _said(request, camera, frame, word.model_dump(exclude={"who", "at"}), (word.who, word.at))


@routes.api("DELETE", "/labels/{camera}/{frame}", role=Role.REVIEWER)
async def withdraw_label(
    request: Request, camera: str, frame: int, who: str | None = None, at: str | None = None
) -> dict[str, Any]:
    """Take your word on a frame back; ``who`` and ``at`` as in a word."""
    return await _said(request, camera, frame, {"label": "withdrawn"}, (who, at))


async def _said(
    request: Request, camera: str, frame: int, word: dict[str, Any], meant: tuple[str | None, str | None]
) -> dict[str, Any]:
    site, visitor, (who, at) = site_of(request), visitor_of(request), meant
    if who is not None and who != visitor.name:
        raise HTTPException(409, f"this is a word of {who}, and {visitor.name} is logged in")
    found = await frame_of(request, camera, frame)
    if at is not None and at != found.shown["at"]:
        raise HTTPException(404, f"frame {frame} of {camera} is another one now: search again")
    await site.review.say(camera, found, word, visitor.name)
    told = {"camera": camera, "frame": found.kept, "label": word["label"], "kinds": list(word.get("kinds") or ())}
    site.doors.audit.note("label", visitor.name, peer_of(request), **told)
    return {"votes": (await frame_of(request, camera, frame)).shown["votes"]}
