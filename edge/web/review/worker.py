"""The worker writes labels, makes pictures and exports for Review, as the last in every queue.

``python -m edge.web.review.worker MEMORY_MB FOLDER`` reads messages from its standard input and answers on its standard
output. Labels go before large pictures, these before small ones, and all before the next frame of an export.
"""

from __future__ import annotations

import os
import queue
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2

from edge.errors import UserError, text_of
from edge.web.derived_database import must_begin_anew
from edge.web.review.exports import exports_of, sweep_exports
from edge.web.review.frame_pictures import FramePictures
from edge.web.review.label_book import LabelBook
from edge.web.review.label_table import LabelTable
from edge.web.review.mvtec_export import MvtecExport
from edge.web.tuning import messages
from edge.web.tuning.lowest import be_the_last


class ReviewWorker:
    """The worker serves one page's folder. One thread works, another one listens."""

    def __init__(self, source: BinaryIO, out: BinaryIO, folder: Path) -> None:
        self._source, self._out, self._folder = source, out, folder
        self._inbox: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._waiting: deque[dict[str, Any]] = deque()
        self._large: deque[dict[str, Any]] = deque()
        self._small: list[dict[str, Any]] = []
        """Small pictures that are asked for; the newest is made first, because it is in sight."""
        self._table: LabelTable | None = LabelTable(folder)
        """None until it can be begun anew."""
        self._books: dict[str, LabelBook] = {}
        self._pictures = FramePictures(folder)
        self._writing: deque[tuple[MvtecExport, Iterator[None]]] = deque()
        sweep_exports(folder)

    def run(self) -> None:
        """Work until the front closes the pipe."""
        threading.Thread(target=self._listen, daemon=True).start()
        while self._receive():
            if self._waiting or self._large:
                self._answer((self._waiting or self._large).popleft())
            elif self._small:
                self._answer(self._small.pop())
            elif self._writing:
                self._go_on()
        if self._table is not None:
            self._table.close()

    def _listen(self) -> None:
        while (message := messages.read_message(self._source)) is not None:
            self._inbox.put(message[0])
        self._inbox.put(None)

    def _receive(self) -> bool:
        """Take what has come, and wait for something where there is nothing to do; False at the end."""
        is_idle = not (self._waiting or self._large or self._small or self._writing)
        try:
            while True:
                message = self._inbox.get(block=is_idle)
                if message is None:
                    return False
                {"picture": self._large, "small": self._small}.get(message["op"], self._waiting).append(message)
                is_idle = False
        except queue.Empty:
            return True

    def _go_on(self) -> None:
        """Write the next frame of an export; one after the other. Of one that ended nothing is kept but its note."""
        _, steps = self._writing[0]
        if next(steps, steps) is steps:
            self._writing.popleft()

    def _answer(self, message: dict[str, Any]) -> None:
        known = {"re": message.get("id"), "op": message["op"]}
        try:
            head, body = self._done(message)
        except UserError as error:
            self._tell({**known, "error": _error_fields(error)})
        except (MemoryError, sqlite3.Error, OSError) as error:
            self._tell({**known, "error": {"what": text_of(error) or "no memory is left", "passes": True}})
        except Exception as error:  # noqa: BLE001  (one frame's trouble must not end the page's labels)
            self._tell({**known, "error": {"what": text_of(error)}})
        else:
            self._tell({**known, **head}, body)

    def _done(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Do what a message asks for; a table that was damaged meanwhile is begun anew first, from the sets."""
        try:
            return self._do(message)
        except sqlite3.DatabaseError as error:
            if not must_begin_anew(error):
                raise
            if self._table is not None:
                self._table.close()
            self._table = None
            self._books.clear()
            return self._do(message)

    def _do(self, message: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        op, camera = message["op"], message["camera"]
        if op == "small":
            return {}, self._pictures.small(camera, message["frame"])
        if op == "picture":
            return {}, self._pictures.picture(camera, message["frame"], message["most"])
        if op == "export":
            return {"name": self._export(camera, message["by"])}, b""
        if op == "exports":
            return {"exports": self._exports_of(camera)}, b""
        book = self._book(camera)
        if op == "say":
            book.say(message["frame"], message["word"], message["by"])
        elif op == "shapes":
            return {"shapes": book.shapes(message["kept"], message["by"])}, b""
        else:
            book.follow()
            if self._table is not None and book.manifest.is_file() and book.manifest.stat().st_size:
                self._table.check(camera)
        return {}, b""

    def _export(self, camera: str, by: str) -> str:
        if self._writing:
            raise UserError("an export is being written", fix="wait for its end", passes=True)
        export = MvtecExport(self._folder, camera, by)
        self._writing.append((export, export.steps()))
        return export.name

    def _exports_of(self, camera: str) -> list[dict[str, Any]]:
        """Return those that are being written, and those of before."""
        running = [export.progress for export, _ in self._writing if export.progress["camera"] == camera]
        return running + exports_of(self._folder, camera)

    def _book(self, camera: str) -> LabelBook:
        if self._table is None:
            self._table = LabelTable(self._folder)
        if camera not in self._books:
            self._books[camera] = LabelBook(self._folder, camera, self._table)
        return self._books[camera]

    def _tell(self, head: dict[str, Any], body: bytes = b"") -> None:
        self._out.write(messages.packed_message(head, body))
        self._out.flush()


def _error_fields(error: UserError) -> dict[str, Any]:
    received = None if error.received is None else str(error.received)
    expected = None if error.expected is None else str(error.expected)
    fields = {"what": error.what, "received": received, "expected": expected, "fix": error.fix}
    return {**fields, "passes": error.passes, "code": error.code}


def review_for_front() -> None:
    """Work for the front until it closes the pipe."""
    be_the_last(int(sys.argv[1]))
    cv2.setNumThreads(1)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not stand between the messages
    ReviewWorker(sys.stdin.buffer, out, Path(sys.argv[2])).run()


if __name__ == "__main__":
    review_for_front()
