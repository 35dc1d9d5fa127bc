"""Pictures for people who tune: overlays of what is not a pass, and the masks, one file per frame."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.controls import RoiConfig
from edge.errors import UserError
from edge.frames import Frame, Heartbeat, Inspection, Record, State
from edge.overlay import draw_overlay

PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


@dataclass(frozen=True, slots=True)
class _Kept:
    overlay: NDArray[np.uint8] | None
    mask: NDArray[np.uint8] | None


class PictureSink:
    """Writes ``overlays/SEQ.png`` of each fail and invalid inspection, ``masks/SEQ.png`` of each inspection.

    For replay, which waits: pictures are drawn in the judge's thread.
    """

    name = "pictures"

    def __init__(self, folder: Path, roi: RoiConfig | None, *, overlays: bool, masks: bool) -> None:
        self._folder = folder
        self._roi = roi
        self._overlays = overlays
        self._masks = masks

    def open(self) -> None:
        for wanted, name in ((self._overlays, "overlays"), (self._masks, "masks")):
            if wanted:
                path = self._folder / name
                try:
                    path.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise UserError(f"{path}: cannot be made: {error.strerror}", fix="choose another --out") from None

    def keep(self, record: Record, frame: Frame, mask: NDArray[np.uint8] | None) -> _Kept | None:
        assert isinstance(record.body, Inspection)
        overlay = (
            draw_overlay(frame, record.body, self._roi, seq=record.seq)
            if self._overlays and record.verdict != "pass"
            else None
        )
        kept = mask.copy() if self._masks and mask is not None else None
        return _Kept(overlay, kept) if overlay is not None or kept is not None else None

    def write(self, record: Record, kept: _Kept | None) -> None:
        if kept is None:
            return
        if kept.overlay is not None:
            self._png("overlays", record.seq, kept.overlay[:, :, ::-1])
        if kept.mask is not None:
            self._png("masks", record.seq, kept.mask)

    def state(self, state: State) -> None:
        pass

    def tick(self, heartbeat: Heartbeat) -> None:
        pass

    def close(self) -> None:
        pass

    def _png(self, kind: str, seq: int, picture: NDArray[Any]) -> None:
        path = self._folder / kind / f"{seq:08d}.png"
        if not cv2.imwrite(str(path), np.ascontiguousarray(picture), PNG):
            raise OSError(f"{path} could not be written")
