"""The front's side of Review: it finds frames in the index, and hands labels and pictures to the worker."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config.web import WorkersConfig
from edge.errors import UserError
from edge.models.sets.manifest import MANIFEST
from edge.web.review.frame_search import FoundFrame, frame_details
from edge.web.review.label_table import LabelTable, has_book, summary
from edge.web.review.places import set_folder, small_path
from edge.web.tuning.desk import WorkerProcess


class ReviewDesk:
    """The desk belongs to one page. Everything here runs in the event loop."""

    def __init__(self, config: WorkersConfig, folder: Path) -> None:
        """Keep labels and small pictures under ``folder``. Raises UserError: the table of labels can't be made there."""
        self.folder = folder
        self._worker = WorkerProcess(config.memory_mb, "edge.web.review.worker", str(folder.absolute()))
        self._waking: asyncio.Future[None] | None = None
        self._followed: dict[str, tuple[int, int]] = {}
        try:
            LabelTable(folder).close()
        except (sqlite3.Error, OSError) as error:
            raise UserError(f"{folder}: the table of labels can't be made: {error}", passes=True) from None

    def wake(self) -> None:
        """Start the worker, where it doesn't run, before the first picture is asked for."""
        self._waking = asyncio.ensure_future(self._worker.start())

    async def frames(self, camera: str, ids: Sequence[int], *, votes: bool = True) -> list[FoundFrame]:
        """Return those of a camera's frames that are there, with ``votes`` as people said."""
        return await asyncio.to_thread(frame_details, self.folder, camera, ids, votes=votes)

    async def say(self, camera: str, frame: FoundFrame, word: dict[str, Any], by: str) -> None:
        """Write one word on a frame. Raises UserError; one that ``passes`` is worth another try."""
        message = {"op": "say", "camera": camera, "frame": frame.as_message(), "word": word, "by": by}
        await self._worker.ask(message)

    async def shapes(self, camera: str, frame: FoundFrame, by: str) -> list[Any]:
        """Return where people say that the defect is."""
        head, _ = await self._worker.ask({"op": "shapes", "camera": camera, "kept": frame.kept, "by": by})
        return list(head["shapes"])

    async def small(self, camera: str, frame: FoundFrame) -> bytes:
        """Return a frame's small picture as JPEG."""
        try:
            return await asyncio.to_thread(small_path(self.folder, camera, frame.kept).read_bytes)
        except OSError:
            return (await self._worker.ask({"op": "small", "camera": camera, "frame": frame.as_message()}))[1]

    async def picture(self, camera: str, frame: FoundFrame, most: int) -> bytes:
        """Return a frame as JPEG, its longer side at most ``most`` px."""
        message = {"op": "picture", "camera": camera, "frame": frame.as_message(), "most": most}
        return (await self._worker.ask(message))[1]

    async def export(self, camera: str, by: str) -> str:
        """Begin an export of all that is labelled; return its name."""
        head, _ = await self._worker.ask({"op": "export", "camera": camera, "by": by})
        return str(head["name"])

    async def exports(self, camera: str) -> list[dict[str, Any]]:
        """Return a camera's exports, those that are being written first."""
        head, _ = await self._worker.ask({"op": "exports", "camera": camera})
        return list(head["exports"])

    async def follow(self, camera: str) -> None:
        """Take into the table what ``edge label`` wrote into the set meanwhile."""
        try:
            state = (set_folder(self.folder, camera) / MANIFEST).stat()
        except OSError:
            return
        now = state.st_size, state.st_ino
        if self._followed.get(camera) != now or not await asyncio.to_thread(has_book, self.folder, camera):
            await self._worker.ask({"op": "follow", "camera": camera})
            self._followed[camera] = now

    async def labels(self, camera: str) -> dict[str, Any]:
        """Return how many frames have which label, and the kinds of defect."""
        return await asyncio.to_thread(summary, self.folder, camera)

    async def close(self) -> None:
        """End the worker."""
        if self._waking is not None:
            await asyncio.wait([self._waking])
        await self._worker.close()
