"""Pictures of frames for the page: small ones are kept in its folder, large ones are made as they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from edge.errors import UserError
from edge.storage.disk import space, write_whole
from edge.storage.pictures import PictureError, decode_picture, picture_bytes, picture_inside
from edge.web.review.places import set_folder, small_path
from edge.web.tuning.frame_jpeg import jpeg_of

SMALL_PX: Final = 320
MOST_BYTES: Final = 256 << 20
_KEEP_FREE_BYTES: Final = 1 << 30


class FramePictures:
    """Pictures are read from a frame's labelled copy, or where the frame itself lies. One thread uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes: int | None = None

    def picture(self, camera: str, frame: Mapping[str, Any], most: int) -> bytes:
        """Return a frame as JPEG, its longer side at most ``most`` px. Raises UserError: it can't be read."""
        try:
            pixels = decode_picture(self._data(camera, frame))
        except PictureError as error:
            raise UserError("the picture is damaged", received=str(error)) from None
        return jpeg_of(pixels, frame["bits"], most)

    def small(self, camera: str, frame: Mapping[str, Any]) -> bytes:
        """Return a frame's small picture, and keep it where there is room."""
        path = small_path(self._folder, camera, frame["kept"])
        with suppress(OSError):
            return path.read_bytes()
        data = self.picture(camera, frame, SMALL_PX)
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            self._make_room(len(data), path.parent)
            if space(path.parent)[0] > _KEEP_FREE_BYTES:
                write_whole(path, data)
        return data

    def _data(self, camera: str, frame: Mapping[str, Any]) -> bytes:
        with suppress(OSError, PictureError):  # a folder that was emptied gives its numbers to other frames
            return picture_bytes(set_folder(self._folder, camera) / frame["kept"])
        try:
            return picture_bytes(picture_inside(Path(frame["folder"]), frame["file"]))
        except (OSError, PictureError):
            raise UserError(
                "the picture is gone", fix="a quota of the evidence took it; label frames that matter"
            ) from None

    def _make_room(self, more: int, folder: Path) -> None:
        """Delete the oldest where all of them would be more than 256 MB."""
        if self._bytes is None:
            self._bytes = sum(entry.stat().st_size for entry in os.scandir(folder))
        self._bytes += more
        if self._bytes <= MOST_BYTES:
            return
        found = sorted((entry.stat().st_mtime_ns, entry.stat().st_size, entry.path) for entry in os.scandir(folder))
        for _, size, path in found[: len(found) // 4 + 1]:
            Path(path).unlink(missing_ok=True)
            self._bytes -= size
