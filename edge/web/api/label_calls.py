"""Labels: a person's word on a frame is written, read and taken back; the set that they make is ``edge label``'s own."""

from __future__ import annotations

from typing import Any

from fastapi import HTTPException
from starlette.requests import Request

from edge.web.api.frame_calls import meant_frame
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
async def label_of(request: Request, camera: str, frame: int, at: str | None = None) -> dict[str, Any]:
    """Return each person's word on a frame, and where they say the defect is; ``at`` as in a word."""
    found = await meant_frame(request, camera, frame, at)
    shapes: list[Any] = []
    if any(vote["mask"] for vote in found.shown["votes"]):
        shapes = await site_of(request).review.shapes(camera, found, visitor_of(request).name)
    return {"votes": found.shown["votes"], "shapes": shapes}


@routes.api("PUT", "/labels/{camera}/{frame}", role=Role.REVIEWER, openapi_extra=_BODY)
async def put_label(request: Request, camera: str, frame: int) -> dict[str, Any]:
    """Say what a frame shows, in place of your word before.

    400 with the code ``invalid_word``: it is none, and never will be one. 503, and whatever else: send it again later.
    """
    word = said_word(await request.body())
    said = word.model_dump(exclude={"who", "at", "kept"})
    return await _said(request, camera, frame, said, word.who, (word.at, word.kept))


@routes.api("DELETE", "/labels/{camera}/{frame}", role=Role.REVIEWER)
async def withdraw_label(
    request: Request, camera: str, frame: int, who: str | None = None, at: str | None = None, kept: str | None = None
) -> dict[str, Any]:
    """Take your word on a frame back; ``who``, ``at`` and ``kept`` as in a word. What it decided is open again."""
    return await _said(request, camera, frame, {"label": "withdrawn"}, who, (at, kept))


async def _said(
    request: Request,
    camera: str,
    number: int,
    word: dict[str, Any],
    who: str | None,
    meant: tuple[str | None, str | None],
) -> dict[str, Any]:
    site, visitor = site_of(request), visitor_of(request)
    if who is not None and who != visitor.name:
        raise HTTPException(409, f"this is a word of {who}, and {visitor.name} is logged in")
    found = await meant_frame(request, camera, number, *meant)
    await site.review.say(camera, found, word, visitor.name)
    entry = {"camera": camera, "frame": found.kept, "label": word["label"], "kinds": list(word.get("kinds") or ())}
    site.doors.audit.note("label", visitor.name, peer_of(request), **entry)
    return {"votes": (await meant_frame(request, camera, found.shown["id"])).shown["votes"]}
